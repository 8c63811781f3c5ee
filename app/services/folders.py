"""Import of labelled scans from a folder: class folders, or a CSV file beside the images."""

import csv
import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from uuid import UUID

from app.blobs import BlobStore
from app.config import Settings
from app.db import Sessions, transaction
from app.errors import AppError, InvalidInput
from app.models import Task
from app.services import images, ingest, labelling, tasks

_BATCH = 64
_CHUNK_BYTES = 1 << 20
CSV_COLUMNS = ("file", "label", "subject", "source", "captured_at", "tags")


@dataclass(frozen=True)
class Entry:
    """A file to import and what is known of it."""

    path: Path
    label: str | None
    metadata: ingest.Metadata


@dataclass
class Summary:
    """What an import did."""

    created: int = 0
    known: int = 0
    labelled: int = 0
    refused: list[tuple[str, str, str]] = field(default_factory=list)  # file, code, message
    by_path: dict[str, UUID] = field(default_factory=dict)

    @property
    def image_ids(self) -> list[UUID]:
        return list(self.by_path.values())


def scan_class_folders(folder: Path, task: Task, *, source: str | None, subject: re.Pattern[str] | None) -> list[Entry]:
    """Files below one folder per class, names compared without case, in a stable order.

    `subject`'s first group, found in a file's name, is the subject that keeps scans together in splits.
    Raise InvalidInput when no folder is named after a class of the task.
    """
    by_name = {name.casefold(): name for name in task.classes}
    below = [child for child in folder.iterdir() if child.is_dir()] if folder.is_dir() else []
    found = sorted(child for child in below if child.name.casefold() in by_name)
    if not found:
        raise InvalidInput(
            f"{folder} has no folder named after a class of {task.name} ({', '.join(task.classes)}); "
            "rename its folders, or give --labels CSV."
        )
    return [
        Entry(path, by_name[child.name.casefold()], _metadata(path, source=source, subject=subject))
        for child in found
        for path in sorted(p for p in child.rglob("*") if p.is_file() and not p.name.startswith("."))
    ]


def left_out(folder: Path, task: Task) -> list[tuple[str, str, str]]:
    """Folders that hold files but name no class, as refusals: a misspelt one must not vanish."""
    names = {name.casefold() for name in task.classes}
    others = [c for c in sorted(folder.iterdir()) if c.is_dir() and c.name.casefold() not in names]
    counts = {child: sum(p.is_file() for p in child.rglob("*")) for child in others if not child.name.startswith(".")}
    return [
        (
            str(child),
            "unknown-class",
            f"Its {count} files were left out; name it after one of {', '.join(task.classes)}.",
        )
        for child, count in counts.items()
        if count
    ]


def scan_csv(
    folder: Path, table: Path, task: Task, *, source: str | None, subject: re.Pattern[str] | None
) -> list[Entry]:
    """Files named by a CSV with the columns `CSV_COLUMNS`, of which only `file` must be there.

    Raise InvalidInput that names the line when a row cannot be used.
    """
    try:
        with table.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            if "file" not in (reader.fieldnames or ()):
                raise InvalidInput(f"{table} needs a column `file`; its columns may be {', '.join(CSV_COLUMNS)}.")
            return [_entry(folder, table, reader.line_num, row, task, source, subject) for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidInput(f"{table} is no CSV file in UTF-8 ({error}); save it as one.") from error


def _entry(
    folder: Path, table: Path, line: int, row: dict[str, str | None], task: Task, source: str | None,
    subject: re.Pattern[str] | None,
) -> Entry:  # fmt: skip
    if not row["file"]:
        raise InvalidInput(f"{table}, line {line}: the column `file` is empty.")
    by_name = {name.casefold(): name for name in task.classes}
    label = (row.get("label") or "").strip()
    if label and label.casefold() not in by_name:
        raise InvalidInput(f"{table}, line {line}: {label} is no class of {task.name} ({', '.join(task.classes)}).")
    moment = (row.get("captured_at") or "").strip()
    try:
        captured_at = datetime.fromisoformat(moment) if moment else None
    except ValueError as error:
        raise InvalidInput(f"{table}, line {line}: captured_at is not an ISO 8601 time: {moment}.") from error
    if captured_at is not None and captured_at.tzinfo is None:
        raise InvalidInput(f"{table}, line {line}: captured_at needs a time zone, such as {moment}Z.")
    path = folder / row["file"]
    base = _metadata(path, source=row.get("source") or source, subject=subject)
    metadata = ingest.Metadata(
        subject=row.get("subject") or base.subject, source=base.source, captured_at=captured_at,
        tags=tuple(filter(None, (row.get("tags") or "").split(";"))),
    )  # fmt: skip
    return Entry(path, by_name[label.casefold()] if label else None, metadata)


def _metadata(path: Path, *, source: str | None, subject: re.Pattern[str] | None) -> ingest.Metadata:
    match = subject.search(path.name) if subject else None
    return ingest.Metadata(subject=match.group(1) if match else None, source=source)


def run(
    sessions: Sessions,
    blobs: BlobStore,
    settings: Settings,
    task_name: str,
    entries: Sequence[Entry],
    *,
    author: str,
    on_progress: Callable[[int], None] = lambda _: None,
) -> Summary:
    """Import entries batch by batch, each in its own transaction.

    Resumable: a file whose bytes are stored is not stored again, a label that already
    holds is not repeated, so a second run only does what the first left.
    """
    summary = Summary()
    with transaction(sessions) as session:
        profile = tasks.named(session, task_name).profile if task_name else None
    entries = [replace(entry, metadata=entry.metadata.of_profile(profile)) for entry in entries]
    for start in range(0, len(entries), _BATCH):
        batch = entries[start : start + _BATCH]
        known, fresh = _sort_out(sessions, batch, summary)
        with ExitStack() as stack:
            received = list(_received(stack, blobs, settings, fresh, summary))
            admitted, refused = ingest.admit(blobs, settings, received)
            summary.refused += [(r.name, r.problem.code, r.problem.message) for r in refused]
            with transaction(sessions) as session:
                outcome = ingest.register(session, blobs, admitted, author=author)
                ids = images.ids_by_sha256(session, [a.received.file.sha256 for a in admitted])
                by_path = {a.received.name: ids[a.received.file.sha256] for a in admitted} | known
                labels = {by_path[str(e.path)]: e.label for e in batch if e.label and str(e.path) in by_path}
                if labels:
                    task = tasks.named(session, task_name)
                    summary.labelled += labelling.add_many(session, task, labels, author=author, source="import")
        summary.created += len(outcome.created)
        summary.known += len(by_path) - len(outcome.created)
        summary.by_path |= by_path
        on_progress(len(batch))
    return summary


def _sort_out(sessions: Sessions, batch: Sequence[Entry], summary: Summary) -> tuple[dict[str, UUID], list[Entry]]:
    """Files that are stored already, by path, and the others."""
    digests: dict[str, bytes] = {}
    for entry in batch:
        try:
            with entry.path.open("rb") as stream:
                digests[str(entry.path)] = hashlib.file_digest(stream, "sha256").digest()
        except OSError as error:
            summary.refused.append((str(entry.path), "unreadable", error.strerror or str(error)))
    with transaction(sessions) as session:
        ids = images.ids_by_sha256(session, list(digests.values()))
    known = {path: ids[digest] for path, digest in digests.items() if digest in ids}
    return known, [e for e in batch if str(e.path) in digests and str(e.path) not in known]


def _received(
    stack: ExitStack, blobs: BlobStore, settings: Settings, entries: Sequence[Entry], summary: Summary
) -> Iterator[ingest.Received]:
    for entry in entries:
        file = stack.enter_context(blobs.receive(settings.max_file_bytes))
        try:
            with entry.path.open("rb") as stream:
                while chunk := stream.read(_CHUNK_BYTES):
                    file.write(chunk)
        except AppError as problem:
            summary.refused.append((str(entry.path), problem.code, problem.message))
        except OSError as error:  # it was there when it was digested
            summary.refused.append((str(entry.path), "unreadable", error.strerror or str(error)))
        else:
            yield ingest.Received(str(entry.path), file, entry.metadata)
