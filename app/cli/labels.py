"""Commands on labels: import a file of them, list, one image's history, disagreements."""

import csv
import os
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer

from app.cli.output import DataOption, JsonOption, console, print_json, print_table, progress_bar
from app.cli.store import actor, opened
from app.db import transaction
from app.errors import InvalidInput
from app.services import label_csv, label_import, label_lists, labelling
from app.services.label_csv import Refused
from app.services.label_import import Import, Summary
from app.services.label_lists import LabelFilter, ListedLabel

TaskOption = Annotated[str, typer.Option("--task", "-t", help="Task that the labels belong to.")]
LimitOption = Annotated[int, typer.Option(min=1, max=100_000, help="At most so many.")]
_SHOWN_REFUSALS = 20
labels = typer.Typer(name="labels", help="Import, list and explain labels.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    app.add_typer(labels)


@labels.command("import")
def import_labels(
    file: Annotated[Path, typer.Argument(help="CSV file.", exists=True, dir_okay=False)],
    task: TaskOption,
    source: Annotated[str, typer.Option(help="Of lines that name none: import, declared or review.")] = "import",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Store nothing; say what would be stored.")] = False,
    refused: Annotated[Path | None, typer.Option(help="Write every refused line into this CSV file.")] = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Label images by a CSV file: id, sha256, file or subject; class; and if wanted source, author, time, reason."""
    every: list[Refused] = []
    with ExitStack() as stack:
        stream = stack.enter_context(file.open("rb"))
        found = label_csv.read(stream)
        note = _writer(stack, refused)
        store = stack.enter_context(opened(data))
        bar, line = stack.enter_context(progress_bar("labelling"))
        size = os.fstat(stream.fileno()).st_size

        def refuse(one: Refused) -> None:
            note(one)
            if as_json:
                every.append(one)

        wanted = Import(
            task=task, author=actor(), source=source, dry_run=dry_run, on_refused=refuse,
            on_lines=lambda _: bar.update(line, total=size, completed=stream.tell()),
        )  # fmt: skip
        summary = label_import.run(store.sessions, found.lines, wanted)
    summary.ignored_columns = found.ignored_columns
    if as_json:
        print_json(_told(summary, every, dry_run=dry_run))
    else:
        _print_summary(summary, refused, dry_run=dry_run)
    if summary.lines and summary.refused_lines == summary.lines:
        raise typer.Exit(1)


def _writer(stack: ExitStack, path: Path | None) -> Any:
    if path is None:
        return lambda _: None
    table = csv.writer(stack.enter_context(path.open("w", newline="", encoding="utf-8")))
    table.writerow(["line", "reason", "text"])
    return lambda one: table.writerow([one.number, one.reason, one.text])


def _told(summary: Summary, refused: list[Refused], *, dry_run: bool) -> dict[str, Any]:
    return {
        "dry_run": dry_run, "lines": summary.lines, "stored": summary.stored, "known": summary.known,
        "ignored_columns": summary.ignored_columns, "refused_lines": summary.refused_lines,
        "refused": [{"line": one.number, "reason": one.reason, "text": one.text} for one in refused],
    }  # fmt: skip


def _print_summary(summary: Summary, written: Path | None, *, dry_run: bool) -> None:
    verb = "would be stored" if dry_run else "stored"
    console.print(
        f"{summary.lines} lines: {summary.stored} labels {verb}, {summary.known} known, "
        f"{summary.refused_lines} lines refused."
    )
    if summary.ignored_columns:
        console.print(f"Columns that mean nothing here: {', '.join(summary.ignored_columns)}.")
    if summary.refused:
        shown = summary.refused[:_SHOWN_REFUSALS]
        print_table(["line", "why", "it says"], [[one.number, one.reason, one.text] for one in shown])
        if summary.refused_lines > len(shown):
            where = f"all are in {written}" if written else "--refused FILE writes all of them"
            console.print(f"... and {summary.refused_lines - len(shown)} more; {where}.")


@labels.command("list")
def list_labels(
    task: Annotated[str | None, typer.Option("--task", "-t", help="Only this task's.")] = None,
    source: Annotated[str | None, typer.Option(help="Only of this source.")] = None,
    author: Annotated[str | None, typer.Option(help="Only by this author.")] = None,
    class_name: Annotated[str | None, typer.Option("--class", help="Only of this class; needs --task.")] = None,
    since: Annotated[str | None, typer.Option("--from", help="Stated then or later: ISO 8601.")] = None,
    until: Annotated[str | None, typer.Option(help="Stated before then: ISO 8601.")] = None,
    limit: LimitOption = 50,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """List labels, the last stored first, and which of them count."""
    wanted = LabelFilter(
        task=task, source=source, author=author, class_name=class_name, since=_moment("--from", since),
        until=_moment("--until", until),
    )  # fmt: skip
    with opened(data) as store, transaction(store.sessions) as session:
        rows = [_listed(one) for one in label_lists.page(session, wanted, limit=limit)]
    if as_json:
        print_json(rows)
    else:
        columns = ["stated at", "task", "class", "source", "author", "counts", "file", "image"]
        print_table(columns, [[row[c.replace(" ", "_")] for c in columns] for row in rows])


def _moment(option: str, text: str | None) -> datetime | None:
    try:
        found = None if text is None else datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidInput(f"{option} {text}: give an ISO 8601 time, such as 2026-05-01T10:00:00Z.") from error
    return found.replace(tzinfo=UTC) if found is not None and found.tzinfo is None else found


def _listed(one: ListedLabel) -> dict[str, Any]:
    label = one.label
    return {
        "stated_at": label.at.isoformat(timespec="seconds"), "task": label.task, "class": label.class_name,
        "source": label.source, "author": label.author, "counts": "yes" if one.stated.effective else "",
        "why": one.stated.why, "reason": label.reason, "file": one.file_name, "subject": one.subject,
        "image": str(label.image_id),
    }  # fmt: skip


@labels.command()
def history(
    image: Annotated[UUID, typer.Argument(help="Image id.")],
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print every label an image ever had, which one counts for its task, and why."""
    with opened(data) as store, transaction(store.sessions) as session:
        stated = labelling.history(session, image)
        rows = [
            {
                "stated_at": one.label.at.isoformat(timespec="seconds"), "task": one.label.task,
                "class": one.label.class_name, "source": one.label.source, "author": one.label.author,
                "counts": "yes" if one.effective else "", "why": one.why, "reason": one.label.reason,
            }
            for one in stated
        ]  # fmt: skip
    if as_json:
        print_json(rows)
    else:
        columns = ["stated at", "task", "class", "source", "author", "counts", "why", "reason"]
        print_table(columns, [list(row.values()) for row in rows])


@labels.command()
def conflicts(
    task: TaskOption,
    open_only: Annotated[bool, typer.Option("--open", help="Leave out what a reviewer decided.")] = False,
    limit: LimitOption = 50,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """List images whose sources disagree, each by its last word."""
    with opened(data) as store, transaction(store.sessions) as session:
        found = label_lists.conflicts(session, task, limit=limit, open_only=open_only)
    if as_json:
        print_json([
            {"image": str(one.image_id), "file": one.file_name, "subject": one.subject, "classes": one.classes,
             "effective": one.effective, "settled": one.settled}
            for one in found
        ])  # fmt: skip
        return
    rows = [
        [*(one.classes.get(source, "") for source in labelling.SOURCES), one.effective, one.file_name, one.image_id]
        for one in found
    ]
    print_table([*labelling.SOURCES, "counts", "file", "image"], rows)
