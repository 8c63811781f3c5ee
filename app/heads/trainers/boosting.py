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
from app.heads.trainers.bins import Bins
from app.heads.trainers.stages import by_stages
from app.heads.trainers.trees import Tree, emit_sum

# scikit-learn 1.9 finds weighted quantiles in Python: 68 s on 5,000 x 2,048, where the trees take 9 s (measured
# 2026-11). Bins found here, once for all candidates of a fold, it takes as they are.
BINS = 64


@dataclass(frozen=True)
class BoostingFit:
    """Log-odds: one sum of trees for two classes, one a class for more. `model` reads bins."""

    bins: Bins
    model: Any

    def scores(self, x: Float32) -> Float64:
        return _columns(self.model.decision_function(self.bins(x)))

    def emit(self, graph: Graph, x: str) -> str:
        # scikit-learn offers its trees under private names alone; parity shows if they ever change their meaning.
        rounds, base = self.model._predictors, self.model._baseline_prediction.ravel()
        # Two classes: the first one's log-odds are always zero, and no tree speaks for it.
        shift = 1 if len(base) == 1 else 0
        trees = [_tree(one.nodes, self.bins, target + shift) for ones in rounds for target, one in enumerate(ones)]
        return emit_sum(graph, x, trees, np.pad(base, (shift, 0)))


class BoostingTrainer:
    log_odds = True

    def search(self, rows: Rows, held: Float32, candidates: list[Params], run: Run) -> Iterator[Float64]:
        run.checkpoint()
        bins = Bins.fit(rows.x, BINS)
        binned, held = bins(rows.x), bins(held)

        def scores_at(params: Params, stages: list[int]) -> dict[int, Float64]:
            staged = _fit(binned, rows, params, run).staged_decision_function(held)
            return {number: _columns(decided) for number, decided in enumerate(staged, start=1) if number in stages}

        yield from by_stages(candidates, "iterations", scores_at)

    def fit(self, rows: Rows, params: Params, run: Run) -> BoostingFit:
        bins = Bins.fit(rows.x, BINS)
        return BoostingFit(bins, _fit(bins(rows.x), rows, params, run))


def _fit(binned: Float32, rows: Rows, params: Params, run: Run) -> Any:
    run.checkpoint()
    model = HistGradientBoostingClassifier(
        max_iter=int(params["iterations"]),
        learning_rate=float(params["learning_rate"]),
        max_leaf_nodes=int(params["max_leaves"]),
        l2_regularization=float(params["l2"]),
        max_features=float(params["max_features"]),
        max_bins=BINS,
        early_stopping=False,
        random_state=run.seed,
    )
    # A fold has one core: beside another fold, two threads took 16 s where one took 5 s (5,000 x 2,048, 2026-11).
    with threadpool_limits(limits=1, user_api="openmp"):
        return model.fit(binned, rows.y, rows.weight)


def _columns(decided: Float64) -> Float64:
    return np.column_stack([np.zeros(len(decided)), decided]) if decided.ndim == 1 else np.array(decided)


def _tree(nodes: Any, bins: Bins, target: int) -> Tree:
    return Tree(
        feature=nodes["feature_idx"],
        threshold=bins.thresholds(nodes["feature_idx"], nodes["num_threshold"]).astype(np.float64),
        left=nodes["left"].astype(np.int64),
        right=nodes["right"].astype(np.int64),
        leaf=nodes["is_leaf"].astype(bool),
        value=nodes["value"][:, None],
        targets=np.array([target]),
    )
