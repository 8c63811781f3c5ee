"""Which of the two pooled vectors a head reads."""

from enum import StrEnum

import numpy as np

from app.heads.arrays import Float32, Ints


class Pooling(StrEnum):
    AVG = "avg"
    MAX = "max"
    BOTH = "both"  # avg, then max

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the vectors that are read, in the order in which they are joined."""
        return ("avg", "max") if self is Pooling.BOTH else (self.value,)

    def combine(self, avg: Float32, max_: Float32) -> Float32:
        """Return the features that a head reads: float32 (n, avg), (n, max) or (n, avg + max)."""
        if self is Pooling.BOTH:
            return np.concatenate([avg, max_], axis=1)
        return avg if self is Pooling.AVG else max_

    def take(self, avg: Float32, max_: Float32, index: Ints) -> Float32:
        """Return the features of the rows that `index` names, copied once."""
        if self is Pooling.BOTH:
            return np.concatenate([avg[index], max_[index]], axis=1)
        return (avg if self is Pooling.AVG else max_)[index]
