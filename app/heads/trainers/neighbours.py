"""k nearest neighbours, whose votes may count by distance."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from app.heads.algorithms import Params
from app.heads.arrays import Float32, Float64, Ints
from app.heads.convert import FLOAT, Graph
from app.heads.trainers.base import Rows, Run
from app.heads.trainers.nearest import Reference
from app.heads.trainers.votes import emit_vote_scores, vote_scores

LEAST_WEIGHT = 1e-6  # of a neighbour as far as the one behind the k-th
LEAST_DISTANCE = 1e-12


@dataclass(frozen=True)
class NeighboursFit:
    """Votes of the `k` nearest rows, scaled to shares.

    With `by_distance` a neighbour's vote falls from 1 at no distance to almost 0 at that of the one behind the k-th
    (Hechenbichler and Schliep, Weighted k-nearest-neighbor techniques, 2004, triangular kernel).
    """

    reference: Reference
    k: int
    by_distance: bool

    def scores(self, x: Float32) -> Float64:
        return self.scores_of(*self.reference.nearest(x, self.k + 1))

    def scores_of(self, distance: Float64, index: Ints) -> Float64:
        """Return scores of neighbours found: `distance`, `index` (n, k + 1 or more), the nearest first."""
        votes = self.reference.votes[index[:, : self.k]]
        if self.by_distance:
            furthest = np.maximum(distance[:, [self.k]], LEAST_DISTANCE)
            votes = votes * (1.0 + LEAST_WEIGHT - distance[:, : self.k] / furthest)[:, :, None]
        cast = votes.sum(axis=1)
        return vote_scores(cast / cast.sum(axis=1, keepdims=True), self.k)

    def emit(self, graph: Graph, x: str) -> str:
        distance, index = self.reference.emit(graph, x, self.k + 1)
        votes = graph.constant(self.reference.votes, np.float64)
        votes = graph.node("Gather", votes, _columns(graph, index, 0, self.k))
        if self.by_distance:
            votes = graph.node("Mul", votes, self._emit_weight(graph, distance))
        axis = graph.constant([1], np.int64)
        cast = graph.node("ReduceSum", votes, axis, keepdims=0)
        share = graph.node("Div", cast, graph.node("ReduceSum", cast, axis, keepdims=1))
        scores = emit_vote_scores(graph, share, self.k, self.reference.votes.shape[1], np.float64)
        return graph.node("Cast", scores, to=FLOAT)

    def _emit_weight(self, graph: Graph, distance: str) -> str:
        least = graph.constant(LEAST_DISTANCE, np.float64)
        furthest = graph.node("Max", _columns(graph, distance, self.k, self.k + 1), least)
        nearness = graph.node("Div", _columns(graph, distance, 0, self.k), furthest)
        weight = graph.node("Sub", graph.constant(1.0 + LEAST_WEIGHT, np.float64), nearness)
        return graph.node("Unsqueeze", weight, graph.constant([2], np.int64))


class NeighboursTrainer:
    log_odds = False

    def search(self, rows: Rows, held: Float32, candidates: list[Params], run: Run) -> Iterator[Float64]:
        found: dict[str, tuple[Reference, Float64, Ints]] = {}
        for params in candidates:
            metric = str(params["metric"])
            if metric not in found:
                run.checkpoint()
                reference = Reference.of(rows, metric)
                most = max(_k(rows, one) for one in candidates if one["metric"] == metric)
                found[metric] = reference, *reference.nearest(held, most + 1)
            reference, distance, index = found[metric]
            yield _fit(reference, rows, params).scores_of(distance, index)

    def fit(self, rows: Rows, params: Params, run: Run) -> NeighboursFit:
        run.checkpoint()
        return _fit(Reference.of(rows, str(params["metric"])), rows, params)


def _fit(reference: Reference, rows: Rows, params: Params) -> NeighboursFit:
    return NeighboursFit(reference, _k(rows, params), params["weights"] == "distance")


def _k(rows: Rows, params: Params) -> int:
    """Return how many neighbours vote; one row must remain behind them."""
    return min(int(params["k"]), len(rows.x) - 1)


def _columns(graph: Graph, x: str, first: int, end: int) -> str:
    starts, ends, axis = (graph.constant([number], np.int64) for number in (first, end, 1))
    return graph.node("Slice", x, starts, ends, axis)
