"""Labels from a CSV file: each line names images and says their class; a line that cannot be used is reported."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from uuid import UUID

from app.db import Sessions, transaction
from app.errors import InvalidInput
from app.models import Task
from app.services import label_keys, labelling, tasks
from app.services.label_csv import Line, Refused
from app.services.labelling import Statement

_CHUNK_LINES = 2_000
_LONGEST_AUTHOR, _LONGEST_REASON = 256, 4_096
REFUSALS_KEPT = 1_000


@dataclass
class Summary:
    """What an import of labels did, or would do: lines, labels new and known, lines refused."""

    lines: int = 0
    stored: int = 0
    known: int = 0
    refused_lines: int = 0
    refused: list[Refused] = field(default_factory=list)
    ignored_columns: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Import:
    """How to read lines: what they say where they are silent, and what becomes of the answer.

    `dry_run` stores nothing. `on_refused` is told of every refused line; the summary keeps the first ones.
    """

    task: str
    author: str
    source: str = "import"
    dry_run: bool = False
    on_lines: Callable[[int], None] = lambda _: None
    on_refused: Callable[[Refused], None] = lambda _: None


def run(sessions: Sessions, lines: Iterable[Line | Refused], wanted: Import) -> Summary:
    """State what the lines say, some thousand lines a transaction; memory does not grow with the file.

    Good lines are stored whatever the others are. Run it again after an interruption: what is known is not stored
    twice. Raise NotFound for an unknown task, InvalidInput for an unknown source.
    """
    labelling.check_source(wanted.source)
    with transaction(sessions) as session:
        task = tasks.named(session, wanted.task)
    summary, unread = Summary(), iter(lines)
    while chunk := list(islice(unread, _CHUNK_LINES)):
        statements: list[Statement] = []
        with transaction(sessions) as session:
            found = label_keys.resolve(session, [one.keys for one in chunk if isinstance(one, Line)])
            for one in _sorted_out(task, chunk, found, wanted):
                if isinstance(one, Refused):
                    _refuse(summary, one, wanted)
                else:
                    statements += one
            if wanted.dry_run:
                stored = len(labelling.new_rows(session, task, statements))
            else:
                stored = labelling.state(session, task, statements, actor=wanted.author)
        summary.lines += len(chunk)
        summary.stored += stored
        summary.known += len(statements) - stored
        wanted.on_lines(len(chunk))
    return summary


def _refuse(summary: Summary, one: Refused, wanted: Import) -> None:
    summary.refused_lines += 1
    if len(summary.refused) < REFUSALS_KEPT:
        summary.refused.append(one)
    wanted.on_refused(one)


def _sorted_out(
    task: Task, chunk: list[Line | Refused], found: list[list[UUID] | str], wanted: Import
) -> Iterator[list[Statement] | Refused]:
    """What each line states, or why it is refused, in the file's order."""
    images = iter(found)
    for one in chunk:
        if isinstance(one, Refused):
            yield one
            continue
        meant = next(images)
        try:
            yield Refused(one.number, meant, one.text) if isinstance(meant, str) else _stated(task, one, meant, wanted)
        except InvalidInput as error:
            yield Refused(one.number, error.message, one.text)


def _stated(task: Task, one: Line, meant: list[UUID], wanted: Import) -> list[Statement]:
    by_name = {name.casefold(): name for name in task.classes}
    class_name = by_name.get(one.class_name.casefold())
    if class_name is None:
        said = f"{one.class_name} is no class" if one.class_name else "The line names no class"
        raise InvalidInput(f"{said} of {task.name}; it has: {', '.join(task.classes)}.")
    source = one.source.casefold() or wanted.source
    labelling.check_source(source)
    at = _time(one.time)
    labelling.check_time(at)
    for name, value, most in (("author", one.author, _LONGEST_AUTHOR), ("reason", one.reason, _LONGEST_REASON)):
        if len(value) > most:
            raise InvalidInput(f"The {name} has {len(value):,} characters; at most {most:,} are kept.")
    author, reason = one.author or wanted.author, one.reason or None
    return [
        Statement(image_id=image, class_name=class_name, source=source, author=author, at=at, reason=reason)
        for image in meant
    ]


def _time(text: str) -> datetime | None:
    if not text:
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise InvalidInput(f"{text} is no ISO 8601 time with a zone, such as 2026-05-01T10:00:00Z.") from None
