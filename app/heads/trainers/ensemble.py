"""Join several heads into one: the mean of their probabilities, or a regression on their log-odds."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from sklearn.linear_model import LogisticRegression

from app.heads.arrays import Float64, Ints
from app.heads.convert import Graph
from app.heads.recipe import Combination

LEAST_PROBABILITY = 1e-6  # one certain member must not silence the others
PENALTY = 1.0  # scikit-learn's C of the stacking regression


def log_probabilities(probabilities: Float64) -> Float64:
    """Return the logarithms (same shape) that members are joined on, from `LEAST_PROBABILITY` up."""
    return np.asarray(np.log(np.maximum(probabilities, LEAST_PROBABILITY), dtype=np.float64))


def emit_log_probabilities(graph: Graph, probabilities: str) -> str:
    return graph.node("Log", graph.node("Max", probabilities, graph.constant(LEAST_PROBABILITY)))


class Joint(Protocol):
    """What members' log-probabilities become."""

    def __call__(self, members: Float64) -> Float64:
        """Return scores float64 (n, classes) of log-probabilities `members` (m, n, classes)."""
        ...

    def emit(self, graph: Graph, members: list[str]) -> str: ...


class Average:
    """The logarithm of the members' mean probability."""

    def __call__(self, members: Float64) -> Float64:
        return log_probabilities(np.exp(members).mean(axis=0))

    def emit(self, graph: Graph, members: list[str]) -> str:
        mean = graph.node("Mean", *[graph.node("Exp", name) for name in members])
        return emit_log_probabilities(graph, mean)


@dataclass(frozen=True)
class Stacking:
    """A linear map, `weights` float64 (m * classes, classes) and `offset` (classes,), of all members' answers."""

    weights: Float64
    offset: Float64

    def __call__(self, members: Float64) -> Float64:
        return np.asarray(np.concatenate(list(members), axis=1) @ self.weights + self.offset)

    def emit(self, graph: Graph, members: list[str]) -> str:
        x = graph.node("Concat", *members, axis=1)
        return graph.node("Gemm", x, graph.constant(self.weights), graph.constant(self.offset))


def fit_joint(
    kind: Combination, members: Float64, y: Ints, fold_of: Ints, *, weight: Float64 | None = None
) -> tuple[Joint, Float64]:
    """Return how members are joined, and out-of-fold scores (n, classes) of the joint, which are log-odds.

    `members` (m, n, classes) are log-probabilities out of fold, `fold_of` (n,) the fold of each row, `weight` (n,)
    its weight. Stacking (Wolpert, Stacked Generalization, 1992) is an L2 logistic regression on the members'
    log-odds, so no row may score itself: each fold's scores come from a regression on the other folds.
    """
    members = np.maximum(members, np.log(LEAST_PROBABILITY))
    if kind is Combination.AVERAGE:
        return Average(), Average()(members)
    weight = np.ones(len(y)) if weight is None else weight
    scores = np.empty(members.shape[1:])
    for fold in np.unique(fold_of):
        held = fold_of == fold
        scores[held] = _stack(members[:, ~held], y[~held], weight[~held])(members[:, held])
    return _stack(members, y, weight), scores


def _stack(members: Float64, y: Ints, weight: Float64) -> Stacking:
    count, _, classes = members.shape
    # Log-odds against the mean class; the subtraction is linear and goes into the weights.
    odds = members - members.mean(axis=2, keepdims=True)
    fit = LogisticRegression(C=PENALTY, max_iter=1000).fit(np.concatenate(list(odds), axis=1), y, weight)
    weights, offset = fit.coef_.T, fit.intercept_
    if classes == 2:
        weights, offset = np.pad(weights, ((0, 0), (1, 0))), np.pad(offset, (1, 0))
    blocks = weights.reshape(count, classes, classes)
    centred = blocks - blocks.mean(axis=1, keepdims=True)
    return Stacking(centred.reshape(count * classes, classes), offset)
