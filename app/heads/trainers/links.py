"""The last step of a head: scores -> probabilities, fitted (if at all) on out-of-fold scores."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from sklearn.linear_model import LogisticRegression

from app.heads.arrays import Bools, Float64, Ints
from app.heads.convert import Graph, Step

# The slope of a fit that found no order, or the reverse of it: calibration must not turn a ranking round.
LEAST_SLOPE = 1e-3


class Link(Step, Protocol):
    def __call__(self, scores: Float64) -> Float64:
        """Return probabilities float64 (n, classes)."""
        ...


def fit_link(scores: Float64, y: Ints, *, log_odds: bool) -> Link:
    """Return the step behind out-of-fold `scores` (n, classes)."""
    return Softmax() if log_odds else Platt.fit(scores, y)


@dataclass(frozen=True)
class Softmax:
    """For trainers whose scores are log-odds already."""

    def __call__(self, scores: Float64) -> Float64:
        raised = np.exp(scores - scores.max(axis=1, keepdims=True))
        return np.asarray(raised / raised.sum(axis=1, keepdims=True))

    def emit(self, graph: Graph, x: str) -> str:
        return graph.node("Softmax", x, axis=1)


@dataclass(frozen=True)
class Platt:
    """A sigmoid on each class's decision score, normalised over the classes. `slope`, `offset` float64 (classes,).

    Platt, Probabilistic Outputs for Support Vector Machines (1999), with his smoothed targets. Two classes share
    one sigmoid: their scores are mirror images, and a softmax over two halves of the log-odds is that sigmoid.
    """

    slope: Float64
    offset: Float64

    @classmethod
    def fit(cls, scores: Float64, y: Ints) -> "Platt":
        """Fit on out-of-fold `scores` (n, classes)."""
        if scores.shape[1] == 2:
            slope, offset = _sigmoid(scores[:, 1], y == 1)
            return cls(np.array([slope / 2, slope / 2]), np.array([-offset / 2, offset / 2]))
        fitted = [_sigmoid(column, y == label) for label, column in enumerate(scores.T)]
        slopes, offsets = zip(*fitted, strict=True)
        return cls(np.array(slopes), np.array(offsets))

    def __call__(self, scores: Float64) -> Float64:
        odds = scores * self.slope + self.offset
        if scores.shape[1] == 2:
            return Softmax()(odds)
        raised = 1.0 / (1.0 + np.exp(-odds))
        return np.asarray(raised / raised.sum(axis=1, keepdims=True))

    def emit(self, graph: Graph, x: str) -> str:
        scaled = graph.node("Mul", x, graph.constant(self.slope))
        odds = graph.node("Add", scaled, graph.constant(self.offset))
        if len(self.slope) == 2:
            return Softmax().emit(graph, odds)
        raised = graph.node("Sigmoid", odds)
        axis = graph.constant([1], np.int64)
        return graph.node("Div", raised, graph.node("ReduceSum", raised, axis, keepdims=1))


def _sigmoid(scores: Float64, positive: Bools) -> tuple[float, float]:
    """Return slope and offset of P(positive) = 1 / (1 + exp(-(slope * score + offset)))."""
    hits = int(positive.sum())
    misses = len(positive) - hits
    target = np.where(positive, (hits + 1) / (hits + 2), 1 / (misses + 2))
    # A soft target is a row that counts as positive by that much and as negative by the rest.
    weights = np.concatenate([target, 1 - target])
    labels = np.repeat([1, 0], len(scores))
    fit = LogisticRegression(C=np.inf, max_iter=1000).fit(np.tile(scores, 2)[:, None], labels, weights)
    if fit.coef_[0, 0] > LEAST_SLOPE:
        return float(fit.coef_[0, 0]), float(fit.intercept_[0])
    return LEAST_SLOPE, float(np.log(hits / misses) - LEAST_SLOPE * scores.mean())
