"""Ingest: bytes become an image, its region, and the job that will extract it.

Blob before row: a crash leaves an unused file, never a row without its image.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import PurePath
from typing import Any
from uuid import UUID

from sqlalchemy import insert, select, text
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session

from app import jobs
from app.blobs import BlobStore, Incoming
from app.config import Settings
from app.errors import AppError, Unavailable, UnusableImage
from app.imaging import Header, Limits, inspect
from app.imaging.formats import DICOM
from app.models import Declaration, Image, Region
from app.models.ids import uuid7
from app.services import audit, images, tasks
from app.services.coverage import APPLIES
from app.services.deidentification import rewritten


@dataclass(frozen=True)
class Metadata:
    """What the sender knows of a scan; `profile`: the kind of scan it is, else that of the declared tasks."""

    subject: str | None = None
    source: str | None = None
    captured_at: datetime | None = None
    tags: tuple[str, ...] = ()
    declared: dict[str, str] = field(default_factory=dict)
    profile: str | None = None

    def of_profile(self, profile: str | None) -> "Metadata":
        return self if self.profile is not None else replace(self, profile=profile)


@dataclass(frozen=True)
class Received:
    """A file with its name and metadata, on disk but not yet kept; `position`: which of its request's files it is."""

    name: str
    file: Incoming
    metadata: Metadata
    position: int = 0

    def of_profile(self, profile: str | None) -> "Received":
        """The same with the kind of scan that the question is about, unless its sender said which it is."""
        return replace(self, metadata=self.metadata.of_profile(profile))


@dataclass(frozen=True)
class Admitted:
    """A file that will be kept; `file_name` is what is stored of its name."""

    received: Received
    header: Header
    file_name: str


@dataclass(frozen=True)
class Refusal:
    """A file that was not taken, and why."""

    name: str
    problem: AppError
    position: int = 0


@dataclass(frozen=True)
class Outcome:
    """The images of a request in the order sent, which of them are new, and by file's position which each is."""

    image_ids: list[UUID]
    created: set[UUID]
    of_file: dict[int, UUID] = field(default_factory=dict)


def limits(settings: Settings) -> Limits:
    """The bounds on a file that the operator set."""
    return Limits(settings.max_file_bytes, settings.max_pixels, settings.min_side_pixels, settings.max_frames)


def check_declared(session: Session, files: Sequence[Received]) -> None:
    """Raise InvalidInput when a declaration names no known class; ask before `admit` keeps a byte."""
    for declared in {tuple(received.metadata.declared.items()) for received in files}:
        tasks.check_declared(session, dict(declared))


def admit(blobs: BlobStore, settings: Settings, files: Sequence[Received]) -> tuple[list[Admitted], list[Refusal]]:
    """Bound and sniff each file, then make the good ones durable. One bad file refuses only itself.

    What is kept of a DICOM file is a file without identifying attributes, unless the settings keep them.
    """
    admitted: list[Admitted] = []
    refused: list[Refusal] = []
    with ExitStack() as stack:
        for received in files:
            received.file.close()
            try:
                admitted.append(_admitted(blobs, settings, received, stack))
            except UnusableImage as problem:
                refused.append(Refusal(received.name, problem, received.position))
        blobs.keep(item.received.file for item in admitted)
    return admitted, refused


def _admitted(blobs: BlobStore, settings: Settings, received: Received, stack: ExitStack) -> Admitted:
    bounds = limits(settings)
    header = inspect(received.file.path, bounds)
    if header.media_type != DICOM:
        return Admitted(received, header, received.name)
    file, origin = rewritten(blobs, settings, bounds, received.file, stack)
    said = received.metadata
    dated = settings.keep_dicom_dates or settings.keep_dicom_identity
    metadata = replace(
        said,
        subject=said.subject or origin.subject,
        captured_at=said.captured_at or (origin.taken_at if dated else None),
    )
    return Admitted(replace(received, file=file, metadata=metadata), header, origin.name or received.name)


def register(session: Session, blobs: BlobStore, admitted: Sequence[Admitted], *, author: str) -> Outcome:
    """Store rows and extraction jobs of admitted files in this transaction.

    The same bytes are the same image: known ones keep their metadata and only gain a declaration
    that differs from their latest. Raise InvalidInput when a declaration names no known class,
    Unavailable when the same image was deleted between its receipt and now.
    """
    check_declared(session, [a.received for a in admitted])
    images.lock_blobs(session, shared=True)
    created = _insert_images(session, admitted)
    ids = images.ids_by_sha256(session, [a.received.file.sha256 for a in admitted])
    order = [ids[a.received.file.sha256] for a in admitted]
    if any(not blobs.path(a.received.file.sha256).exists() for a in admitted):
        raise Unavailable("One of the files was deleted by another request meanwhile; send them again.")
    _queue(session, created)
    declared: dict[UUID, dict[str, str]] = defaultdict(dict)
    for image_id, item in zip(order, admitted, strict=True):  # the same bytes may come twice, with other claims
        declared[image_id] |= item.received.metadata.declared
    _declare(session, declared, author)
    if order:
        audit.record(
            session, author, "image.upload", "image", order[0],
            created=[str(i) for i in sorted(created)], known=len(set(order)) - len(created),
        )  # fmt: skip
    of_file = {item.received.position: image_id for item, image_id in zip(admitted, order, strict=True)}
    return Outcome(list(dict.fromkeys(order)), created, of_file)


def _insert_images(session: Session, admitted: Sequence[Admitted]) -> set[UUID]:
    profiles = {task.name: task.profile for task in tasks.every(session)}
    rows = {a.received.file.sha256: _row(a, profiles) for a in admitted}
    sizes = {a.received.file.sha256: a.header.sizes for a in admitted}
    if not rows:
        return set()
    # Sorted: two requests with the same new files must not deadlock.
    statement = upsert(Image).on_conflict_do_nothing(index_elements=["sha256"]).returning(Image.id)
    created = set(session.scalars(statement, [rows[key] for key in sorted(rows)]))
    frames = [
        {
            "image_id": row["id"], "ordinal": frame, "frame": frame, "x": 0, "y": 0,
            "width": width, "height": height,
        }
        for row in rows.values()
        if row["id"] in created
        for frame, (width, height) in enumerate(sizes[row["sha256"]])
    ]  # fmt: skip
    if frames:
        session.execute(insert(Region), frames)
    return created


def _queue(session: Session, created: set[UUID]) -> None:
    """Extraction jobs of new images, for each live feature set that is for their kind."""
    rows = session.execute(
        text(
            f"SELECT fs.id AS feature_set, image.id AS image FROM image, feature_set fs "
            f"WHERE image.id = ANY (:ids) AND fs.stage = 'live' AND {APPLIES} ORDER BY fs.id, image.id"
        ),
        {"ids": list(created)},
    )
    wanted: dict[int, list[UUID]] = defaultdict(list)
    for row in rows:
        wanted[row.feature_set].append(row.image)
    for feature_set, image_ids in wanted.items():
        jobs.enqueue_extractions(session, image_ids, [feature_set])


def _profile(metadata: Metadata, profiles: Mapping[str, str | None]) -> str | None:
    """The kind of scan: as it was said, else what the declared tasks ask about, if they agree."""
    if metadata.profile is not None:
        return metadata.profile
    asked = {profiles.get(task) for task in metadata.declared}
    return asked.pop() if len(asked) == 1 else None


def _row(item: Admitted, profiles: Mapping[str, str | None]) -> dict[str, Any]:
    metadata, header = item.received.metadata, item.header
    return {
        "id": uuid7(), "sha256": item.received.file.sha256, "byte_count": item.received.file.byte_count,
        "media_type": header.media_type, "width": header.width, "height": header.height,
        "bit_depth": header.bit_depth, "file_name": _display_name(item.file_name), "subject": metadata.subject,
        "source": metadata.source, "captured_at": metadata.captured_at, "tags": list(metadata.tags),
        "profile": _profile(metadata, profiles), "frames": header.frames,
        "facts": dict(header.facts),
    }  # fmt: skip


def _display_name(name: str) -> str:
    """The last part of a path; a file system's name that is no UTF-8 could not be stored as it is."""
    return PurePath(name).name.encode(errors="replace").decode()


def _declare(session: Session, declared: dict[UUID, dict[str, str]], author: str) -> None:
    """Store declarations that differ from each image's latest."""
    wanted = {(image, task): name for image, claims in declared.items() for task, name in claims.items()}
    if not wanted:
        return
    latest = session.execute(
        select(Declaration.image_id, Declaration.task, Declaration.class_name)
        .where(Declaration.image_id.in_(declared))
        .order_by(Declaration.id)
    )
    known = {(row.image_id, row.task): row.class_name for row in latest}
    rows = [
        {"image_id": image, "task": task, "class_name": name, "author": author}
        for (image, task), name in wanted.items()
        if known.get((image, task)) != name
    ]
    if rows:
        session.execute(insert(Declaration), rows)
