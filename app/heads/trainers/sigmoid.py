"""Calibration by a sigmoid or a softmax: Platt scaling and temperature."""

from dataclasses import dataclass

import numpy as np

from app.heads.arrays import Bools, Float64, Ints
from app.heads.convert import Graph

# The slope of a fit that found no order, or the reverse of it: calibration must not turn a ranking round.
LEAST_SLOPE = 1e-3
NEWTON_STEPS = 100


@dataclass(frozen=True)
class Softmax:
    """A softmax of log-odds, stretched by `slope` and moved by `offsets` (classes,)."""

    slope: float = 1.0
    offsets: tuple[float, ...] | None = None

    @classmethod
    def temperature(cls, scores: Float64, y: Ints) -> "Softmax":
        """Fit one slope on `scores` (n, classes): Guo and others, On Calibration of Modern Neural Networks (2017)."""
        return cls(fit_temperature(scores, y))

    def __call__(self, scores: Float64) -> Float64:
        odds = scores * self.slope + (0.0 if self.offsets is None else np.array(self.offsets))
        raised = np.exp(odds - odds.max(axis=1, keepdims=True))
        return np.asarray(raised / raised.sum(axis=1, keepdims=True))

    def emit(self, graph: Graph, x: str) -> str:
        if self.slope != 1.0:
            x = graph.node("Mul", x, graph.constant([self.slope]))
        if self.offsets is not None:
            x = graph.node("Add", x, graph.constant(self.offsets))
        return graph.node("Softmax", x, axis=1)


@dataclass(frozen=True)
class Platt:
    """A sigmoid on each class's score, normalised over the classes. `slope`, `offset` float64 (classes,).

    Platt, Probabilistic Outputs for Support Vector Machines (1999), with his smoothed targets. Two classes share
    one sigmoid of the difference of their scores, which is a softmax.
    """

    slope: Float64
    offset: Float64

    @classmethod
    def fit(cls, scores: Float64, y: Ints) -> "Softmax | Platt":
        """Fit on out-of-fold `scores` (n, classes)."""
        if scores.shape[1] == 2:
            slope, offset = fit_sigmoid(scores[:, 1] - scores[:, 0], y == 1)
            return Softmax(slope, (-offset / 2, offset / 2))
        fitted = [fit_sigmoid(column, y == label) for label, column in enumerate(scores.T)]
        slopes, offsets = zip(*fitted, strict=True)
        return cls(np.array(slopes), np.array(offsets))

    def __call__(self, scores: Float64) -> Float64:
        return one_against_rest(scores * self.slope + self.offset)

    def emit(self, graph: Graph, x: str) -> str:
        scaled = graph.node("Mul", x, graph.constant(self.slope))
        return emit_one_against_rest(graph, graph.node("Add", scaled, graph.constant(self.offset)))


def one_against_rest(odds: Float64) -> Float64:
    """Return a sigmoid of each class's log-odds (n, classes), normalised over the classes."""
    return Softmax()(-np.logaddexp(0.0, -odds))


def emit_one_against_rest(graph: Graph, odds: str) -> str:
    """Write the same by way of logarithms: a sigmoid in float32 ends at 1e-8, and some rows have no greater one."""
    log_sigmoid = graph.node("Neg", graph.node("Softplus", graph.node("Neg", odds)))
    return graph.node("Softmax", log_sigmoid, axis=1)


def normalised(graph: Graph, x: str) -> str:
    """Write x / sum of its row."""
    axis = graph.constant([1], np.int64)
    return graph.node("Div", x, graph.node("ReduceSum", x, axis, keepdims=1))


def smoothed_targets(positive: Bools) -> Float64:
    """Return Platt's targets float64 (n,): near 1 and 0, the nearer the more rows there are."""
    hits = int(positive.sum())
    return np.where(positive, (hits + 1) / (hits + 2), 1 / (len(positive) - hits + 2))


def fit_sigmoid(scores: Float64, positive: Bools) -> tuple[float, float]:
    """Return slope and offset of P(positive) = 1 / (1 + exp(-(slope * score + offset))) by Newton's method."""
    target, mean, spread = smoothed_targets(positive), float(scores.mean()), float(scores.std()) or 1.0
    columns = np.column_stack([(scores - mean) / spread, np.ones(len(scores))])
    fitted = np.array([0.0, np.log(target.mean() / (1 - target.mean()))])
    loss = _loss(columns @ fitted, target)
    for _ in range(NEWTON_STEPS):
        p = 1.0 / (1.0 + np.exp(-(columns @ fitted)))
        curvature = (columns * (p * (1 - p))[:, None]).T @ columns + 1e-9 * np.eye(2)
        step, scale = np.linalg.solve(curvature, columns.T @ (p - target)), 1.0
        while _loss(columns @ (fitted - scale * step), target) > loss and scale > 1e-6:
            scale /= 2
        fitted = fitted - scale * step
        before, loss = loss, _loss(columns @ fitted, target)
        if before - loss < 1e-12 * len(scores):
            break
    slope = float(fitted[0]) / spread
    if slope > LEAST_SLOPE:
        return slope, float(fitted[1]) - slope * mean
    return LEAST_SLOPE, float(np.log(target.mean() / (1 - target.mean()))) - LEAST_SLOPE * mean


def fit_temperature(scores: Float64, y: Ints) -> float:
    """Return the slope (1 / temperature) under which a softmax of `scores` (n, classes) loses least."""
    from scipy.optimize import minimize_scalar  # noqa: PLC0415

    spread = float(np.std(scores - scores.mean(axis=1, keepdims=True))) or 1.0
    rows, classes = np.arange(len(y)), scores.shape[1]
    # Smoothed as Platt's targets are: classes that part perfectly would ask for an endless slope.
    wrong = 1.0 / (len(y) + 2.0)

    def loss(log_slope: float) -> float:
        odds = scores * (np.exp(log_slope) / spread)
        log_p = odds - np.logaddexp.reduce(odds, axis=1)[:, None]
        return float(-np.mean((1 - wrong) * log_p[rows, y] + wrong / classes * log_p.sum(axis=1)))

    found = minimize_scalar(loss, bounds=(-7.0, 7.0), method="bounded", options={"xatol": 1e-6})
    return max(float(np.exp(found.x)) / spread, LEAST_SLOPE)


def _loss(odds: Float64, target: Float64) -> float:
    return float(np.sum(np.logaddexp(0.0, odds) - target * odds))
