"""Commands on heads: heads, export-head."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from app.cli.output import DataOption, JsonOption, console, print_json, print_table
from app.cli.recipe_options import TaskArgument
from app.cli.store import opened
from app.db import transaction
from app.models import Head
from app.services import registry, tasks


def register(app: typer.Typer) -> None:
    app.command()(heads)
    app.command("export-head")(export_head)


def heads(task: TaskArgument, data: DataOption = None, as_json: JsonOption = False) -> None:
    """List the head versions of a task, newest first."""
    with opened(data) as store, transaction(store.sessions) as session:
        tasks.named(session, task)
        rows = [_head_row(head) for head in registry.versions(session, task)]
    if as_json:
        print_json(rows)
    else:
        columns = ["version", "stage", "algorithm", "AUC", "threshold", "trained at", "author", "id"]
        print_table(columns, [list(row.values()) for row in rows])


def _head_row(head: Head) -> dict[str, Any]:
    auc = head.report["out_of_fold"]["auc"] if head.report else None
    return {
        "version": head.version, "stage": head.stage, "algorithm": head.algorithm,
        "auc": None if auc is None else round(auc, 4),
        "threshold": None if head.threshold is None else round(head.threshold, 4),
        "trained_at": head.trained_at and head.trained_at.isoformat(timespec="seconds"),
        "author": head.author, "id": str(head.id),
    }  # fmt: skip


def export_head(
    task: TaskArgument,
    version: Annotated[int, typer.Argument(min=1, help="The head version to write.")],
    out: Annotated[Path, typer.Option(help="Folder to write TASK.onnx, TASK.json and TASK.md into.")] = Path(),
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a head version's ONNX artifact, its report and its model card."""
    with opened(data) as store, transaction(store.sessions) as session:
        head = registry.numbered(session, task, version)
        artifact, report, card = registry.artifact(session, head.id), registry.report(session, head.id), head.card
    out.mkdir(parents=True, exist_ok=True)
    files = {"onnx": artifact, "json": json.dumps(report, indent=1).encode() + b"\n", "md": (card or "").encode()}
    for suffix, content in files.items():
        (out / f"{task}.{suffix}").write_bytes(content)
    written = [str(out / f"{task}.{suffix}") for suffix in files]
    print_json({"written": written}) if as_json else console.print("\n".join(written))
