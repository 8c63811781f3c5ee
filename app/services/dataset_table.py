"""A dataset's rows with their vectors, as trainers and judges take them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import text
from sqlalchemy.orm import Session

from app import vectors
from app.errors import NotTrainable, Unavailable
from app.heads.table import TrainingTable
from app.models import Dataset, FeatureSet, Split
from app.services import augmentation as copies
from app.services.dataset_rows import lost

UNSTATED = "unstated"
KIND_TAG = "kind:"  # a tag such as kind:child says which kind of subject was scanned
_SIZES = ((512, "<512 px"), (1024, "512-1023 px"), (2048, "1024-2047 px"))


def training_table(session: Session, dataset: Dataset, *, augmentation: str | None = None) -> TrainingTable:
    """The training rows of a dataset, in ascending region order.

    Raise NotTrainable when rows were deleted, or copies by the recipe `augmentation` are missing.
    """
    feature_set = session.get_one(FeatureSet, dataset.feature_set_id)
    rows = described(session, dataset, feature_set, Split.TRAIN)
    regions = [row.region_id for row in rows]
    stored = stored_vectors(session, feature_set, regions)
    return TrainingTable(
        task=dataset.task, classes=tuple(dataset.classes), positive=dataset.positive,
        feature_set=feature_set.digest, feature_set_name=feature_set.name, avg=stored.avg, max=stored.max,
        y=class_indexes(dataset, rows), groups=np.array([row.subject for row in rows]),
        image_ids=tuple(row.image_id for row in rows), region_ids=np.array(regions, dtype=np.int64),
        slices=slices(rows), dataset=dataset.digest,
        augmented=copies.load(session, dataset, augmentation, regions) if augmentation else None,
    )  # fmt: skip


def described(session: Session, dataset: Dataset, feature_set: FeatureSet, split: Split) -> Sequence[Any]:
    """The rows of one split with what is known of their images, in ascending region order.

    Raise NotTrainable when images were deleted since: the rows would no longer be what the digest says.
    """
    missing = lost(session, dataset.id, feature_set, [split])
    if missing:
        whole = sum(dataset.counts.get(split, {}).values())
        raise NotTrainable(
            f"{missing:,} of {whole:,} rows of dataset {dataset.full_name} ({split}) were deleted; freeze it again."
        )
    return session.execute(
        text(
            """
            SELECT d.region_id, d.image_id::text AS image_id, d.class_name, d.subject,
                image.source, image.media_type, greatest(image.width, image.height) AS side, image.tags
            FROM dataset_row d JOIN image ON image.id = d.image_id
            WHERE d.dataset_id = :dataset AND d.split = :split ORDER BY d.region_id
            """
        ),
        {"dataset": dataset.id, "split": split},
    ).all()


def stored_vectors(session: Session, feature_set: FeatureSet, regions: Sequence[int]) -> vectors.Rows:
    """The vectors of regions in ascending order. Raise Unavailable when images vanished while they were read."""
    stored = vectors.copy_out(session, feature_set, regions)
    if stored.region_ids.tolist() != list(regions):
        raise Unavailable("Images were deleted while the rows were read; they will be read again.")
    return stored


def class_indexes(dataset: Dataset, rows: Sequence[Any]) -> NDArray[np.int64]:
    index = {name: number for number, name in enumerate(dataset.classes)}
    return np.array([index[row.class_name] for row in rows], dtype=np.int64)


def slices(rows: Sequence[Any]) -> dict[str, NDArray[np.str_]]:
    """By which the figures of rows are split; the kind of subject only when tags say it."""
    found = {
        "source": [row.source or UNSTATED for row in rows],
        "image size": [_size(row.side) for row in rows],
        "media type": [row.media_type for row in rows],
        "subject kind": [_kind(row.tags) for row in rows],
    }
    if set(found["subject kind"]) <= {UNSTATED}:
        del found["subject kind"]
    return {name: np.array(values, dtype=np.str_) for name, values in found.items()}


def _size(side: int) -> str:
    return next((name for bound, name in _SIZES if side < bound), ">=2048 px")


def _kind(tags: Sequence[str]) -> str:
    return next((tag.removeprefix(KIND_TAG) for tag in tags if tag.startswith(KIND_TAG)), UNSTATED)
