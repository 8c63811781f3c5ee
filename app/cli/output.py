"""What a command prints: a table for people, JSON with `--json`; progress goes to standard error."""

import dataclasses
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DataOption = Annotated[
    Path | None, typer.Option("--data", help="Data folder; PENUMBRA_DATA_DIR, or penumbra-data, without it.")
]
# No markup unless asked for: file names and messages may hold brackets.
errors = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
# A pipe or a file has no width of its own: wide enough that nothing is folded.
console = Console(highlight=False, markup=False, soft_wrap=True, width=None if sys.stdout.isatty() else 240)


def problem(message: str) -> None:
    errors.print(Text.assemble(("penumbra:", "bold red"), " ", message))


def note(message: str) -> None:
    errors.print(message)


def print_json(value: Any) -> None:
    json.dump(value, sys.stdout, indent=2, default=_plain)
    print()


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Columns side by side; an identifier is never cut, so that it can be copied."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, no_wrap=column in ("id", "image"), overflow="fold")
    for row in rows:
        table.add_row(*("" if cell is None else str(cell) for cell in row))
    console.print(table)


@contextmanager
def progress_bar(description: str) -> Iterator[tuple[Progress, Any]]:
    """A bar on standard error; give it its total when that is known."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=errors, disable=not errors.is_terminal) as progress:
        yield progress, progress.add_task(description, total=None)


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if isinstance(value, (UUID, Path)):
        return str(value)
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no JSON form")
