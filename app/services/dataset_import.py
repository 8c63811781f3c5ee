"""Datasets from files, into a store that has their images."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from app import vectors
from app.datasets import npz, parquet
from app.datasets.content import Entry
from app.datasets.duplicates import across
from app.datasets.exchange import Header, Part
from app.datasets.splits import SPLITS
from app.errors import Conflict, InvalidInput, MixedFeatureSets
from app.models import Dataset, FeatureSet, Task
from app.services import dataset_splits, dataset_versions, datasets, feature_sets

_MAGIC = {b"PAR1": parquet.read, b"PK\x03\x04": npz.read}
ROWS_AT_ONCE = 4096


@dataclass(frozen=True)
class Imported:
    """The dataset as this store has it now; how many vectors came from the file, how many rows were left out."""

    dataset: Dataset
    filled: int
    skipped: int


def read(path: Path) -> tuple[Header, Part]:
    """Read a file that `export` wrote, in either format. Raise InvalidInput for any other."""
    size = path.stat().st_size
    with path.open("rb") as file:
        reader = _MAGIC.get(file.read(4))
        if reader is None:
            raise InvalidInput(f"{path.name} is neither Parquet nor .npz; export one with penumbra dataset export.")
        file.seek(0)
        return reader(file, size)


def store(
    session: Session, header: Header, part: Part, *, author: str, name: str | None = None, skip_unknown: bool = False
) -> Imported:
    """Freeze a file's rows here, under its name or `name`. Images are known by their SHA-256.

    Vectors that are missing are taken from the file; those that are stored must be its own, bit for bit. Raise
    Conflict for images that this store has not (unless skipped) or vectors that differ, MixedFeatureSets for a
    feature set that it has not, InvalidInput for another task or other classes.
    """
    task, feature_set = _task(session, header), _feature_set(session, header)
    datasets.check_name(name or header.name)
    places = _places(session, part)
    kept = np.array([row for row, place in enumerate(places) if place is not None], np.int64)
    skipped = len(part) - len(kept)
    if skipped and not skip_unknown:
        stranger = next(e for e, place in zip(part.entries, places, strict=True) if place is None)
        raise Conflict(
            f"{skipped:,} of {len(part):,} images are not in this store, such as {stranger.sha256.hex()}; import the "
            "scans first (penumbra import), or leave them out (--skip-unknown)."
        )
    found = [place for place in places if place is not None]
    filled = _fill(session, feature_set, np.array([place.region_id for place in found], np.int64), part, kept)
    entries = [part.entries[row] for row in kept]
    dataset = dataset_versions.keep(
        session, name or header.name, task, feature_set,
        [(place.region_id, place.image_id) for place in found], entries, author=author,
        selection=dict(header.selection), split=dict(header.split),
        findings=_findings(header, entries, found, part.avg[kept]) | ({"skipped": skipped} if skipped else {}),
    )  # fmt: skip
    return Imported(dataset, filled, skipped)


class Place(NamedTuple):
    """Where this store has a row's region."""

    region_id: int
    image_id: UUID
    file_name: str | None


class Named(NamedTuple):
    sha256: bytes
    subject: str
    file_name: str | None


def _findings(
    header: Header, entries: Sequence[Entry], places: Sequence[Place], avg: NDArray[np.float32]
) -> dict[str, Any]:
    """What crosses the splits, looked at again: a file may say anything."""
    if not entries:
        return {}
    said = header.split.get("duplicate_bound")
    bound = said if isinstance(said, float) and 0.5 <= said <= 1 else None
    splits = np.array([SPLITS.index(entry.split) for entry in entries], np.int64)
    alike = across(avg, splits, bound) if bound is not None else None
    rows = [Named(e.sha256, e.subject, place.file_name) for e, place in zip(entries, places, strict=True)]
    y = np.array([header.classes.index(entry.class_name) for entry in entries], np.int64)
    told = {name: n for name in ("moved", "unmatched") if isinstance(n := header.findings.get(name), int)}
    return dataset_splits.findings(rows, y, splits, header.classes, alike=alike, bound=bound) | told


def _task(session: Session, header: Header) -> Task:
    task = session.get(Task, header.task)
    if task is None:
        raise InvalidInput(
            f"This store has no task {header.task}; create it with the classes {', '.join(header.classes)} "
            f"(positive: {header.positive}) first."
        )
    if (tuple(task.classes), task.positive) != (header.classes, header.positive):
        raise InvalidInput(
            f"Task {task.name} has the classes {', '.join(task.classes)} (positive: {task.positive}) here, the file "
            f"{', '.join(header.classes)} (positive: {header.positive})."
        )
    return task


def _feature_set(session: Session, header: Header) -> FeatureSet:
    found = session.scalar(select(FeatureSet).where(FeatureSet.digest == header.feature_set))
    if found is None:
        known = ", ".join(session.scalars(select(FeatureSet.name).order_by(FeatureSet.id)))
        raise MixedFeatureSets(
            f"The file's vectors are of feature set {header.feature_set_name} ({header.feature_set[:12]}), which this "
            f"store has not (it has {known}); run its extractor here first."
        )
    feature_sets.require_stored(found)
    if (found.avg_dim, found.max_dim) != (header.avg_dim, header.max_dim):
        raise MixedFeatureSets(f"The file's vectors have other dimensions than feature set {found.name}.")
    return found


def _places(session: Session, part: Part) -> list[Place | None]:
    """Where this store has each row; None: nowhere."""
    found: dict[tuple[bytes, int], Place] = {}
    wanted = sorted({entry.sha256 for entry in part.entries})
    for start in range(0, len(wanted), ROWS_AT_ONCE):
        rows = session.execute(
            text(
                "SELECT image.sha256, r.ordinal, r.id, image.id AS image_id, image.file_name FROM image "
                "JOIN region r ON r.image_id = image.id WHERE image.sha256 = ANY (:digests)"
            ),
            {"digests": wanted[start : start + ROWS_AT_ONCE]},
        )
        found |= {(bytes(row.sha256), row.ordinal): Place(row.id, row.image_id, row.file_name) for row in rows}
    return [found.get((entry.sha256, entry.ordinal)) for entry in part.entries]


def _fill(
    session: Session, feature_set: FeatureSet, regions: NDArray[np.int64], part: Part, kept: NDArray[np.int64]
) -> int:
    """Store the vectors that are missing, and compare the others; how many were stored."""
    missing: list[int] = []
    for start in range(0, len(regions), ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        stored = vectors.copy_out(session, feature_set, regions[rows].tolist())
        here = np.isin(regions[rows], stored.region_ids)
        missing += (start + np.flatnonzero(~here)).tolist()
        order = np.searchsorted(stored.region_ids, regions[rows][here])
        of_file = kept[rows][here]
        differing = ~(_same(part.avg[of_file], stored.avg[order]) & _same(part.max[of_file], stored.max[order]))
        if differing.any():
            example = part.entries[int(of_file[differing][0])].sha256.hex()
            raise Conflict(
                f"{int(differing.sum()):,} stored vectors are not the file's, such as those of {example}: another "
                "engine or processor extracted them. Import into a store without vectors of these images."
            )
    for start in range(0, len(missing), ROWS_AT_ONCE):
        some = np.array(missing[start : start + ROWS_AT_ONCE], np.int64)
        rows_in = vectors.Rows(regions[some], part.avg[kept[some]], part.max[kept[some]])
        vectors.copy_in(session, feature_set, rows_in, engine="dataset file")
    return len(missing)


def _same(one: NDArray[np.float32], other: NDArray[np.float32]) -> Any:
    """Which rows (n,) are equal bit for bit."""
    return (np.ascontiguousarray(one).view(np.uint32) == np.ascontiguousarray(other).view(np.uint32)).all(axis=1)
