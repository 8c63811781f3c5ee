"""Thresholds on the positive class's probability, chosen among out-of-fold scores, never among fitted ones."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from app.errors import NotTrainable
from app.heads.arrays import Bools, Float64, Floats, Ints
from app.heads.policy_words import DEFAULT_POLICY, PolicyKind, ThresholdPolicy

__all__ = ["DEFAULT_POLICY", "PolicyKind", "Ranking", "ThresholdPolicy", "operating_points"]


@dataclass(frozen=True)
class Ranking:
    """Distinct scores, rising, (d,); how many positive and negative rows lie below each of d + 1 cuts.

    Cut i lies half-way between score i - 1 and score i, so that a rounding of the last digit flips nothing; cut 0 is
    the lowest score itself (nothing lies below), cut d lies above all. At or above a cut means positive.
    """

    scores: Float64
    positives_below: Ints
    negatives_below: Ints

    @classmethod
    def of(cls, positive: Bools, scores: Floats) -> "Ranking":
        """Raises `NotTrainable` if one side has no rows."""
        positive = np.asarray(positive, dtype=bool)
        if positive.all() or not positive.any():
            raise NotTrainable("A threshold needs scores of both sides; label some rows of the other class")
        distinct, rank = np.unique(np.asarray(scores, dtype=np.float64), return_inverse=True)
        hits = np.bincount(rank, weights=positive, minlength=len(distinct)).astype(np.int64)
        alarms = np.bincount(rank, minlength=len(distinct)) - hits
        return cls(distinct, np.r_[0, np.cumsum(hits)], np.r_[0, np.cumsum(alarms)])

    @property
    def positives(self) -> int:
        return int(self.positives_below[-1])

    @property
    def negatives(self) -> int:
        return int(self.negatives_below[-1])

    @property
    def top(self) -> int:
        """The highest cut that a probability can lie below: above all, unless a score is 1 already."""
        return len(self.scores) - int(self.scores[-1] >= 1.0)

    @cached_property
    def values(self) -> Float64:
        """The thresholds that the cuts stand for, rising, float64 (d + 1,)."""
        above = np.append(self.scores[1:], 1.0)
        return np.append(self.scores[:1], (self.scores + above) / 2)

    def cut_of(self, threshold: float) -> int:
        """Return the cut that decides the rows as `threshold` does."""
        return int(np.searchsorted(self.scores, threshold, side="left"))

    @cached_property
    def recall(self) -> Float64:
        """Share of positives at or above each cut, float64 (d + 1,)."""
        return np.asarray(1 - self.positives_below / self.positives)

    @cached_property
    def alarms(self) -> Float64:
        """Share of negatives at or above each cut, float64 (d + 1,)."""
        return np.asarray(1 - self.negatives_below / self.negatives)

    def highest_missing(self, misses: int) -> int:
        """Return the highest cut with at most `misses` positives below it."""
        return int(np.flatnonzero(self.positives_below[: self.top + 1] <= misses)[-1])

    def lowest_alarming(self, alarms: int) -> int:
        """Return the lowest cut with at most `alarms` negatives at or above it; raises `NotTrainable` if none has."""
        found = np.flatnonzero(self.negatives - self.negatives_below[: self.top + 1] <= alarms)
        if not len(found):
            tied = self.negatives - int(self.negatives_below[self.top])
            raise NotTrainable(
                f"{tied} negative scans have a probability of 1, as certain as the positives; "
                "look for wrong labels among them, or allow more false alarms"
            )
        return int(found[0])

    def best_balanced(self) -> int:
        """Return the cut of the greatest Youden's J (Cancer 3, 1950), the greater recall where two tie."""
        youden = self.recall - self.alarms
        return int(np.flatnonzero(youden >= youden.max() - 1e-12)[0])


def operating_points(positive: Bools, scores: Floats) -> tuple[Float64, Float64, Float64]:
    """Return every useful threshold, falling, with its recall and false-alarm rate: three of (distinct scores,)."""
    ranking = Ranking.of(positive, scores)
    cuts = np.arange(len(ranking.scores))[::-1]
    return ranking.values[cuts], ranking.recall[cuts], ranking.alarms[cuts]
