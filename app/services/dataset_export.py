"""Datasets out of the store: into files that other programs and other stores read."""

from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import IO

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from app import vectors
from app.datasets import npz, parquet
from app.datasets.content import Entry
from app.datasets.exchange import Header, Part
from app.errors import Conflict, Unavailable
from app.models import Dataset, DatasetRow, FeatureSet, Split
from app.services.dataset_rows import lost

ROWS_AT_ONCE = 4096
Progress = Callable[[int, int], None]


class Format(StrEnum):
    PARQUET = "parquet"
    NPZ = "npz"


def export(
    session: Session, dataset: Dataset, form: Format, file: IO[bytes], *, on_progress: Progress = lambda _, __: None
) -> None:
    """Write a dataset with its vectors, some rows at a time, in the order of SHA-256. Raise Conflict when rows were
    deleted since: the file could not be what the digest says."""
    feature_set = session.get_one(FeatureSet, dataset.feature_set_id)
    missing = lost(session, dataset.id, feature_set, list(Split))
    total = dataset.rows
    if missing:
        raise Conflict(f"{missing:,} of {total:,} rows of dataset {dataset.full_name} were deleted; freeze it again.")
    header = Header(
        name=dataset.name, version=dataset.version, task=dataset.task, classes=tuple(dataset.classes),
        positive=dataset.positive, feature_set=feature_set.digest, feature_set_name=feature_set.name,
        avg_dim=feature_set.avg_dim, max_dim=feature_set.max_dim, digest=dataset.digest, rows=total,
        selection=dataset.selection, split=dataset.split, findings=dataset.findings, author=dataset.author,
        created_at=dataset.created_at.isoformat(),
    )  # fmt: skip
    write = {Format.PARQUET: parquet.write, Format.NPZ: npz.write}[form]
    write(file, header, _parts(session, dataset, feature_set, total, on_progress))


def _parts(
    session: Session, dataset: Dataset, feature_set: FeatureSet, total: int, on_progress: Progress
) -> Iterator[Part]:
    done = 0
    query = (
        select(DatasetRow).where(DatasetRow.dataset_id == dataset.id).order_by(DatasetRow.sha256, DatasetRow.ordinal)
    )
    for rows in session.scalars(query).partitions(ROWS_AT_ONCE):
        regions = [row.region_id for row in rows]
        stored = vectors.copy_out(session, feature_set, regions)
        if len(stored) != len(rows):
            raise Unavailable("Images were deleted while the dataset was written; try again.")
        order = np.searchsorted(stored.region_ids, regions)
        yield Part(
            image_ids=[str(row.image_id) for row in rows],
            entries=[Entry(bytes(r.sha256), r.ordinal, r.class_name, r.subject, r.split) for r in rows],
            avg=stored.avg[order], max=stored.max[order],
        )  # fmt: skip
        done += len(rows)
        on_progress(done, total)
