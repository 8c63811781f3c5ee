"""From rows to splits, and what crosses them all the same."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.datasets import duplicates, splits
from app.datasets.duplicates import Duplicates
from app.datasets.splits import TEST, TRAIN, Codes, Method, SplitSpec


@dataclass(frozen=True, kw_only=True)
class Columns:
    """What decides about rows: class indexes `y`, `images` and `subjects` as numbers, `times` in seconds, all (n,).

    `given` (n,) are splits that a list states; `avg` float32 (n, dim) are the vectors that copies are found by, or
    None: then none are looked for.
    """

    y: Codes
    images: Codes
    subjects: Codes
    times: NDArray[np.float64]
    given: Codes | None = None
    avg: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class Division:
    """`splits` (n,); `leaking` subjects that are in several; alike rows in several; how many rows were moved."""

    splits: Codes
    leaking: Codes
    duplicates: Duplicates | None
    moved: int


def divide(rows: Columns, spec: SplitSpec, *, together: bool, bound: float) -> Division:
    """Return the splits of `rows` under `spec`.

    `together`: rows of one subject, and rows whose cosine reaches `bound`, are never in different splits. A split by
    chance is drawn with them as one unit; one that is stated moves them, to test before validation before train.
    """
    whole = rows.subjects
    if together and rows.avg is not None:
        whole = duplicates.joined(rows.avg, rows.subjects, bound)
    stated = _stated(rows, spec)
    if stated is None:
        drawn = rows.subjects if spec.method is Method.SUBJECT else rows.images
        chosen, moved = splits.by_units(rows.y, whole if together else drawn, spec.shares, spec.seed), 0
    else:
        chosen = splits.together(stated, whole) if together else stated
        moved = int((chosen != stated).sum())
    alike = None
    if rows.avg is not None and len(np.unique(chosen)) > 1:
        alike = duplicates.across(rows.avg, chosen, bound)
    return Division(chosen, splits.straddling(chosen, rows.subjects), alike, moved)


def _stated(rows: Columns, spec: SplitSpec) -> Codes | None:
    """The splits that follow without chance; None where units are drawn."""
    match spec.method:
        case Method.NONE:
            return np.full(len(rows.y), TRAIN, np.int64)
        case Method.GIVEN:
            return rows.given
        case Method.TIME if spec.cut is not None:
            return np.where(rows.times >= spec.cut.timestamp(), TEST, TRAIN).astype(np.int64)
        case Method.TIME:
            return splits.by_time(rows.times, spec.shares)
        case _:
            return None
