"""Isotonic calibration that converts exactly: a rising curve of straight pieces."""

from dataclasses import dataclass

import numpy as np

from app.heads.arrays import Bools, Float64, Ints
from app.heads.convert import DOUBLE, FLOAT, Graph
from app.heads.trainers.sigmoid import Softmax, emit_one_against_rest, fit_sigmoid, one_against_rest, smoothed_targets

# Knots closer than this share of the scores' range are joined: a steep step would turn float32's last digits of a
# score into a probability's fourth.
LEAST_STEP = 1 / 64
# A hundredth of a sigmoid keeps the order of scores within a flat step, so that policies can still tell them apart.
STRICTNESS = 0.01


@dataclass(frozen=True)
class Curve:
    """Log-odds that rise with a score: straight between knots `at` (k,), flat outside; `odds` (k,)."""

    at: Float64
    odds: Float64

    @classmethod
    def fit(cls, scores: Float64, positive: Bools) -> "Curve":
        """Fit centred isotonic regression to Platt's smoothed targets, which keep probabilities from 0 and 1.

        Oron and Flournoy, Centered Isotonic Regression, Stat. Biopharm. Res. 9 (2017): a flat step of the isotonic
        fit becomes one knot at the mean of its scores.
        """
        from sklearn.isotonic import IsotonicRegression  # noqa: PLC0415

        fitted = IsotonicRegression().fit_transform(scores, smoothed_targets(positive))
        at, value = _knots(scores, fitted)
        # The outermost steps reach as far as scores were seen.
        low, high = scores.min(), scores.max()
        at, value = np.r_[low, at, high], np.r_[value[0], value, value[-1]]
        kept = np.r_[True, np.diff(at) > 0]
        slope, offset = fit_sigmoid(scores, positive)
        odds = (1 - STRICTNESS) * np.log(value / (1 - value)) + STRICTNESS * (slope * at + offset)
        return cls(at[kept], odds[kept])

    def __call__(self, scores: Float64) -> Float64:
        return np.asarray(np.interp(scores, self.at, self.odds))

    def emit(self, graph: Graph, x: str) -> str:
        """Write a sum of ramps, in double: (rows, 1) -> (rows, 1)."""
        if len(self.at) == 1:
            return graph.node("Add", graph.node("Mul", x, graph.constant([0.0])), graph.constant(self.odds))
        score = graph.node("Cast", x, to=DOUBLE)
        widths = np.diff(self.at)
        moved = graph.node("Sub", score, graph.constant(self.at[:-1], np.float64))
        ramp = graph.node("Min", moved, graph.constant(widths, np.float64))
        ramp = graph.node("Max", ramp, graph.constant(np.zeros(1), np.float64))
        slopes = graph.constant((np.diff(self.odds) / widths)[:, None], np.float64)
        summed = graph.node("Add", graph.node("MatMul", ramp, slopes), graph.constant(self.odds[:1], np.float64))
        return graph.node("Cast", summed, to=FLOAT)


@dataclass(frozen=True)
class Isotonic:
    """A rising curve on each class's score, normalised over the classes; two classes share one curve."""

    curves: tuple[Curve, ...]

    @classmethod
    def fit(cls, scores: Float64, y: Ints) -> "Isotonic":
        """Fit on out-of-fold `scores` (n, classes)."""
        if scores.shape[1] == 2:
            return cls((Curve.fit(scores[:, 1] - scores[:, 0], y == 1),))
        return cls(tuple(Curve.fit(column, y == label) for label, column in enumerate(scores.T)))

    def __call__(self, scores: Float64) -> Float64:
        if len(self.curves) == 1:
            half = self.curves[0](scores[:, 1] - scores[:, 0]) / 2
            return Softmax()(np.column_stack([-half, half]))
        odds = np.column_stack([curve(column) for curve, column in zip(self.curves, scores.T, strict=True)])
        return one_against_rest(odds)

    def emit(self, graph: Graph, x: str) -> str:
        if len(self.curves) == 1:
            odds = self.curves[0].emit(graph, graph.node("MatMul", x, graph.constant([[-1.0], [1.0]])))
            return graph.node("Softmax", graph.node("Mul", odds, graph.constant([-0.5, 0.5])), axis=1)
        columns = []
        for label, curve in enumerate(self.curves):
            chosen = graph.constant(np.eye(len(self.curves))[:, [label]])
            columns.append(curve.emit(graph, graph.node("MatMul", x, chosen)))
        return emit_one_against_rest(graph, graph.node("Concat", *columns, axis=1))


def _knots(scores: Float64, fitted: Float64) -> tuple[Float64, Float64]:
    """Return the mean score and the mean value of each step of an isotonic fit, steps too close joined."""
    _, step, rows = np.unique(fitted, return_inverse=True, return_counts=True)
    least = (scores.max() - scores.min()) * LEAST_STEP
    means = np.column_stack([np.bincount(step, weights=column) / rows for column in (scores, fitted)])
    joined, weights = [means[0]], [float(rows[0])]
    for mean, weight in zip(means[1:], rows[1:], strict=True):
        if mean[0] - joined[-1][0] >= least:
            joined.append(mean)
            weights.append(float(weight))
        else:
            joined[-1] = (joined[-1] * weights[-1] + mean * weight) / (weights[-1] + weight)
            weights[-1] += weight
    return np.array([at for at, _ in joined]), np.array([value for _, value in joined])
