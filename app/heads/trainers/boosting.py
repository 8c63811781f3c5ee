"""Gradient boosting on histograms (scikit-learn, after Ke et al., LightGBM, 2017)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from app.heads.algorithms import Params
from app.heads.arrays import Float32, Float64
from app.heads.convert import Graph
from app.heads.trainers.base import Rows, Run
from app.heads.trainers.stages import by_stages
from app.heads.trainers.trees import Tree, emit_sum


@dataclass(frozen=True)
class BoostingFit:
    """Log-odds: one sum of trees for two classes, one a class for more."""

    model: Any

    def scores(self, x: Float32) -> Float64:
        return _columns(self.model.decision_function(x))

    def emit(self, graph: Graph, x: str) -> str:
        # scikit-learn offers its trees under private names alone; parity shows if they ever change their meaning.
        rounds, base = self.model._predictors, self.model._baseline_prediction.ravel()
        # Two classes: the first one's log-odds are always zero, and no tree speaks for it.
        shift = 1 if len(base) == 1 else 0
        trees = [_tree(one.nodes, target + shift) for ones in rounds for target, one in enumerate(ones)]
        return emit_sum(graph, x, trees, np.pad(base, (shift, 0)))


class BoostingTrainer:
    log_odds = True

    def search(self, rows: Rows, held: Float32, candidates: list[Params], run: Run) -> Iterator[Float64]:
        def scores_at(params: Params, stages: list[int]) -> dict[int, Float64]:
            staged = enumerate(self.fit(rows, params, run).model.staged_decision_function(held), start=1)
            return {number: _columns(decided) for number, decided in staged if number in stages}

        yield from by_stages(candidates, "iterations", scores_at)

    def fit(self, rows: Rows, params: Params, run: Run) -> BoostingFit:
        run.checkpoint()
        model = HistGradientBoostingClassifier(
            max_iter=int(params["iterations"]),
            learning_rate=float(params["learning_rate"]),
            max_leaf_nodes=int(params["max_leaves"]),
            l2_regularization=float(params["l2"]),
            max_features=float(params["max_features"]),
            early_stopping=False,
            random_state=run.seed,
        )
        # A fold has one core, and its threads would wait for those of the fold beside it.
        with threadpool_limits(limits=1, user_api="openmp"):
            return BoostingFit(model.fit(rows.x, rows.y, rows.weight))


def _columns(decided: Float64) -> Float64:
    return np.column_stack([np.zeros(len(decided)), decided]) if decided.ndim == 1 else np.array(decided)


def _tree(nodes: Any, target: int) -> Tree:
    return Tree(
        feature=nodes["feature_idx"],
        threshold=nodes["num_threshold"],
        left=nodes["left"].astype(np.int64),
        right=nodes["right"].astype(np.int64),
        leaf=nodes["is_leaf"].astype(bool),
        value=nodes["value"][:, None],
        targets=np.array([target]),
    )
