"""Features as the numbers of bins between quantiles."""

from dataclasses import dataclass

import numpy as np

from app.heads.arrays import Float32, Float64, Ints


@dataclass(frozen=True)
class Bins:
    """`edges` float32 (d, bins - 1), ascending in each row: a value's bin is the number of edges below it."""

    edges: Float32

    @classmethod
    def fit(cls, x: Float32, count: int) -> "Bins":
        """Cut each column of `x` (n, d) into `count` bins of about as many rows."""
        ordered = np.sort(x.T, axis=1)
        at = np.unique(np.linspace(0, len(x) - 1, count + 1)[1:-1].astype(np.int64))
        return cls(np.ascontiguousarray(ordered[:, at]))

    def __call__(self, x: Float32) -> Float32:
        """Return bins float32 (n, d)."""
        found = np.empty(x.shape[::-1], dtype=np.float32)
        for bins, edges, column in zip(found, self.edges, x.T, strict=True):
            bins[:] = np.searchsorted(edges, column)
        return found.T

    def thresholds(self, feature: Ints, split: Float64) -> Float32:
        """Return where `x <= threshold` says what `bin <= split` does, for splits between the bins of `feature`."""
        return self.edges[feature, np.clip(np.floor(split).astype(np.int64), 0, self.edges.shape[1] - 1)]
