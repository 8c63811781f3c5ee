"""Alembic's environment. The caller passes a connection (`penumbra migrate`); the bare command uses settings."""

from alembic import context
from sqlalchemy import Connection
from sqlalchemy.schema import SchemaItem

import app.models  # noqa: F401  (registers the tables)
from app.config import load_settings
from app.db import Base, make_engine


def is_ours(item: SchemaItem, name: str | None, kind: str, reflected: bool, _: SchemaItem | None) -> bool:
    """Partitions and what hangs on them are made at run time, one a feature set."""
    table = name if kind == "table" else getattr(getattr(item, "table", None), "name", "")
    return not (reflected and str(table).startswith("embedding_fs"))


def migrate(connection: Connection) -> None:
    context.configure(connection=connection, target_metadata=Base.metadata, include_object=is_ours)
    with context.begin_transaction():
        context.run_migrations()


given: Connection | None = context.config.attributes.get("connection")
if given is not None:
    migrate(given)
else:
    url = load_settings().database_url
    if url is None:
        raise SystemExit("Set PENUMBRA_DATABASE_URL, or use `penumbra migrate` for the embedded server.")
    with make_engine(url.get_secret_value()).connect() as opened:
        migrate(opened)
        opened.commit()
