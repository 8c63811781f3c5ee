"""Commands on API keys."""

from typing import Annotated
from uuid import UUID

import typer

from app.cli.output import DataOption, JsonOption, console, print_json, print_table
from app.cli.store import actor, opened
from app.db import transaction
from app.models import ApiKey, Role
from app.services import keys as service

keys = typer.Typer(name="keys", help="Make, list and revoke API keys.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    app.add_typer(keys)


@keys.command()
def create(
    name: Annotated[str, typer.Argument(help="Who will use it.")],
    role: Annotated[Role, typer.Option(help="What it may do.")] = Role.INGEST,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a key and print it: it is not readable again."""
    with opened(data) as store, transaction(store.sessions) as session:
        key, secret = service.create(session, name, role, author=actor())
    if as_json:
        print_json({**_row(key), "secret": secret})
    else:
        console.print(secret, soft_wrap=True)


@keys.command("list")
def list_keys(data: DataOption = None, as_json: JsonOption = False) -> None:
    """List keys, revoked ones too."""
    with opened(data) as store, transaction(store.sessions) as session:
        rows = [_row(key) for key in service.every(session)]
    if as_json:
        print_json(rows)
    else:
        print_table(["id", "name", "role", "created at", "revoked at"], [list(row.values()) for row in rows])


@keys.command()
def revoke(key_id: UUID, data: DataOption = None, as_json: JsonOption = False) -> None:
    """Make a key useless at once."""
    with opened(data) as store, transaction(store.sessions) as session:
        row = _row(service.revoke(session, key_id, author=actor()))
    print_json(row) if as_json else console.print(f"{row['name']} is revoked.")


def _row(key: ApiKey) -> dict[str, object]:
    return {
        "id": str(key.id), "name": key.name, "role": key.role, "created_at": key.created_at,
        "revoked_at": key.revoked_at,
    }  # fmt: skip
