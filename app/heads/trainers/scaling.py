"""Standardise features, fitted on training rows alone and carried into the graph."""

from dataclasses import dataclass

import numpy as np

from app.heads.arrays import Float32
from app.heads.convert import Graph

# Backbones have channels that sleep through almost every film. Divided by its tiny deviation, one spark in such a
# channel outweighs all others: on 1,200 chest films rows reached a squared norm of 171,000 (median 645), and
# logistic regression an AUC of 0.9932 instead of 0.9966 on max, of 0.9947 instead of 0.9980 on both. Average pooling
# and the RBF-SVM moved by 0.0002 at most (out of fold, patients apart, measured 2026-11).
LEAST_DEVIATION = 0.01  # of the median channel's deviation
FURTHEST = 8.0  # standard deviations


@dataclass(frozen=True)
class Scaling:
    """`(x - mean) * factor` within +-8, `mean` and `factor` float32 (d,).

    A channel that never varied in training has factor 0: it said nothing then, so it must not speak later.
    """

    mean: Float32
    factor: Float32

    @classmethod
    def fit(cls, x: Float32) -> "Scaling":
        mean = x.mean(axis=0, dtype=np.float64)
        deviation = x.std(axis=0, dtype=np.float64)
        alive = deviation > 1e-6 * np.maximum(np.abs(mean), 1e-3)
        least = LEAST_DEVIATION * np.median(deviation[alive]) if alive.any() else 1.0
        bounded = np.maximum(deviation, least)
        factor = np.divide(1.0, bounded, out=np.zeros_like(deviation), where=alive)
        return cls(mean.astype(np.float32), factor.astype(np.float32))

    def __call__(self, x: Float32) -> Float32:
        scaled = x - self.mean
        scaled *= self.factor
        return np.clip(scaled, -FURTHEST, FURTHEST, out=scaled)

    def emit(self, graph: Graph, x: str) -> str:
        centred = graph.node("Sub", x, graph.constant(self.mean))
        scaled = graph.node("Mul", centred, graph.constant(self.factor))
        return graph.node("Clip", scaled, graph.constant(-FURTHEST), graph.constant(FURTHEST))
