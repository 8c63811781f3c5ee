"""How far probabilities can be taken at their word."""

from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from app.heads.arrays import Bools, Float64, Floats, Ints
from app.heads.intervals import clopper_pearson

BINS = 10


@dataclass(frozen=True)
class Bin:
    """Rows of similar probability: what was said on average, and the share that was positive, with its interval."""

    rows: int
    said: float
    seen: float
    low: float
    high: float

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def reliability(positive: Bools, probabilities: Floats, bins: int = BINS, *, level: float = 0.95) -> list[Bin]:
    """Return the points of a reliability diagram: `bins` of equal numbers of rows, fewer where probabilities tie.

    The intervals are Clopper and Pearson's for the share of positives in a bin.
    """
    positive, probabilities = np.asarray(positive, dtype=bool), np.asarray(probabilities, dtype=np.float64)
    found = []
    for index in _equal_mass(probabilities, bins):
        hits = int(positive[index].sum())
        low, high = clopper_pearson(hits, len(index), level)
        found.append(Bin(len(index), float(probabilities[index].mean()), hits / len(index), low, high))
    return found


def expected_calibration_error(positive: Bools, probabilities: Floats, bins: int = BINS) -> float:
    """Return the mean distance of what was said from what was seen, over bins of equal numbers of rows.

    Naeini, Cooper and Hauskrecht, AAAI (2015), with bins of equal mass: Nixon and others, CVPR workshops (2019).
    """
    found = reliability(positive, probabilities, bins)
    return sum(one.rows * abs(one.said - one.seen) for one in found) / len(positive)


def log_losses(y: Ints, probabilities: Float64) -> Float64:
    """Return -log of the probability of each row's class, float64 (n,), for `probabilities` (n, classes)."""
    chosen = probabilities[np.arange(len(y)), y]
    return np.asarray(-np.log(np.clip(chosen, 1e-15, 1.0)))


def _equal_mass(probabilities: Floats, bins: int) -> list[Ints]:
    order = np.argsort(probabilities, kind="stable")
    ranked = probabilities[order]
    # Equal probabilities stay together: a bin ends behind the last of them.
    ends = np.searchsorted(ranked, ranked[np.linspace(0, len(order), bins + 1).astype(np.int64)[1:] - 1], "right")
    starts = np.unique(np.concatenate([[0], ends]))
    return [order[start:end] for start, end in pairwise(starts)]
