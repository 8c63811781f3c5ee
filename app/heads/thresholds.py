"""Choose the threshold on the positive class's probability from out-of-fold scores, never from fitted ones."""

import re
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from app.errors import InvalidInput, NotTrainable
from app.heads.arrays import Bools, Float64, Floats


class PolicyKind(StrEnum):
    BEST_BALANCED_ACCURACY = "best-balanced-accuracy"
    RECALL = "recall"
    FIXED = "fixed"


@dataclass(frozen=True)
class ThresholdPolicy:
    """How a task turns a probability into a decision, in words: see `parse`."""

    kind: PolicyKind
    value: float | None = None

    def __post_init__(self) -> None:
        needs_value = self.kind is not PolicyKind.BEST_BALANCED_ACCURACY
        if needs_value != (self.value is not None):
            raise InvalidInput(f"Policy '{self.kind}' {'needs' if needs_value else 'takes no'} value")
        if self.value is not None and not 0.0 < self.value <= 1.0:
            raise InvalidInput(f"Policy '{self}': the value must be above 0 and at most 1")

    @classmethod
    def parse(cls, text: str) -> "ThresholdPolicy":
        """Read `best-balanced-accuracy`, `recall>=0.98` or `fixed=0.5`; raises `InvalidInput` for other words."""
        if text == PolicyKind.BEST_BALANCED_ACCURACY:
            return cls(PolicyKind.BEST_BALANCED_ACCURACY)
        found = re.fullmatch(r"(recall)\s*>=\s*(\d*\.?\d+)|(fixed)\s*=\s*(\d*\.?\d+)", text.strip())
        if found is None:
            raise InvalidInput(f"Unknown policy '{text}'; say best-balanced-accuracy, recall>=0.98 or fixed=0.5")
        kind, value = (part for part in found.groups() if part is not None)
        return cls(PolicyKind(kind), float(value))

    def __str__(self) -> str:
        sign = {PolicyKind.RECALL: ">=", PolicyKind.FIXED: "="}.get(self.kind, "")
        return f"{self.kind.value}{sign}{self.value:g}" if sign else self.kind.value


# Youden's J weighs a missed positive like a false alarm: the only rule that needs no opinion from the user and no
# class mix. Whoever must not miss anything says so: `recall>=0.99`.
DEFAULT_POLICY = ThresholdPolicy(PolicyKind.BEST_BALANCED_ACCURACY)


def choose_threshold(policy: ThresholdPolicy, positive: Bools, scores: Floats) -> float:
    """Return the threshold (a probability; at or above it means positive) for out-of-fold `scores` (n,).

    Best balanced accuracy maximises Youden's J (Youden, Cancer 3, 1950), the greater recall where two thresholds
    tie. Recall takes the highest threshold that still reaches it. Both lie half-way to the next score below, so
    that a rounding of the last digit flips nothing. Raises `NotTrainable` if one side has no rows.
    """
    if policy.kind is PolicyKind.FIXED:
        assert policy.value is not None
        return policy.value
    cuts, recall, alarms = operating_points(positive, scores)
    if policy.kind is PolicyKind.RECALL:
        assert policy.value is not None
        return float(cuts[np.argmax(recall >= policy.value - 1e-12)])
    youden = recall - alarms
    return float(cuts[np.flatnonzero(youden >= youden.max() - 1e-12)[-1]])


def operating_points(positive: Bools, scores: Floats) -> tuple[Float64, Float64, Float64]:
    """Return every useful threshold, falling, with its recall and false-alarm rate: three of (distinct scores,)."""
    positive = np.asarray(positive, dtype=bool)
    if positive.all() or not positive.any():
        raise NotTrainable("A threshold needs scores of both sides; label some rows of the other class")
    order = np.argsort(-np.asarray(scores, dtype=np.float64), kind="stable")
    ranked, hits = np.asarray(scores, dtype=np.float64)[order], positive[order]
    last = np.flatnonzero(np.r_[ranked[1:] != ranked[:-1], True])  # the end of each run of equal scores
    distinct = ranked[last]
    cuts = np.r_[(distinct[:-1] + distinct[1:]) / 2, distinct[-1]]
    return cuts, np.cumsum(hits)[last] / hits.sum(), np.cumsum(~hits)[last] / (~hits).sum()
