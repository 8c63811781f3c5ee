"""Which stored images a label file means by an id, a digest, a file's name or a subject."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import InstrumentedAttribute, Session

from app.models import Image
from app.services.label_csv import Keys

_DIGEST_HEX = 64


def resolve(session: Session, keys: Sequence[Keys]) -> list[list[UUID] | str]:
    """The images that each of `keys` means, oldest first, or in words why it means none.

    All that is filled in must name the same images. An id, a digest or a file's name means one image: a name that
    several images bear is ambiguous, unless the rest tells them apart. A subject alone means all its images.
    """
    ids, digests = {_uuid(one.id) for one in keys} - {None}, {_digest(one.sha256) for one in keys} - {None}
    files, subjects = ({_base_name(one.file) for one in keys} - {""}, {one.subject for one in keys} - {""})
    known = _Known(
        {
            "id": _found(session, Image.id, ids),
            "sha256": _found(session, Image.sha256, digests),
            "file": _found(session, Image.file_name, files),
            "subject": _found(session, Image.subject, subjects),
        }
    )
    return [_meant(one, known) for one in keys]


class _Known:
    """The images that lines name, by each way to name them."""

    def __init__(self, images: dict[str, dict[Any, set[UUID]]]) -> None:
        self._images = images

    def of(self, way: str, key: object) -> set[UUID]:
        return self._images[way].get(key, set())


def _found(session: Session, column: InstrumentedAttribute[Any], wanted: Collection[object]) -> dict[Any, set[UUID]]:
    images: dict[Any, set[UUID]] = defaultdict(set)
    if wanted:
        for key, image_id in session.execute(select(column, Image.id).where(column.in_(wanted))):
            images[key].add(image_id)
    return images


def _meant(one: Keys, known: _Known) -> list[UUID] | str:
    named = list(_named(one, known))
    if not named:
        return "The line names no image; fill in id, sha256, file or subject."
    if unknown := [missing for images, missing in named if not images]:
        return unknown[0]
    meant = set.intersection(*(images for images, _ in named))
    if not meant:
        return "Its columns name different images; correct or leave out one of them."
    if len(meant) > 1 and (one.id or one.sha256 or one.file):
        return f"{len(meant)} images are named {_base_name(one.file)}; give the id or sha256 of the one that is meant."
    return sorted(meant)


def _named(one: Keys, known: _Known) -> Iterator[tuple[set[UUID], str]]:
    """For each key that is filled in, the images that it names, and what to say when there are none."""
    if one.id:
        parsed = _uuid(one.id)
        yield known.of("id", parsed), f"There is no image {one.id}." if parsed else f"{one.id} is no image id."
    if one.sha256:
        digest = _digest(one.sha256)
        missing = f"No image has the SHA-256 {one.sha256}."
        yield known.of("sha256", digest), missing if digest else f"{one.sha256} is no SHA-256 (64 hexadecimal digits)."
    if one.file:
        yield known.of("file", _base_name(one.file)), f"No image came from a file {one.file}."
    if one.subject:
        yield known.of("subject", one.subject), f"No image has the subject {one.subject}."


def _base_name(file: str) -> str:
    """The name without folders, as images keep it."""
    return PurePosixPath(file.replace("\\", "/")).name


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        return None


def _digest(text: str) -> bytes | None:
    try:
        return bytes.fromhex(text) if len(text) == _DIGEST_HEX else None
    except ValueError:
        return None
