"""Random forest (scikit-learn)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.ensemble import RandomForestClassifier

from app.heads.algorithms import Params
from app.heads.arrays import Float32, Float64
from app.heads.convert import Graph
from app.heads.trainers.base import Rows, Run
from app.heads.trainers.stages import by_stages
from app.heads.trainers.trees import Tree, emit_sum
from app.heads.trainers.votes import emit_vote_scores, vote_scores

TREES_A_ROUND = 20  # between two looks at whether the job was cancelled


@dataclass(frozen=True)
class ForestFit:
    """Leaves hold the share of each class; the trees' mean is the share of votes."""

    model: Any

    def scores(self, x: Float32) -> Float64:
        return vote_scores(np.asarray(self.model.predict_proba(x)), len(self.model.estimators_))

    def emit(self, graph: Graph, x: str) -> str:
        count, classes = len(self.model.estimators_), len(self.model.classes_)
        trees = [_tree(one.tree_, count) for one in self.model.estimators_]
        share = emit_sum(graph, x, trees, np.zeros(classes))
        return emit_vote_scores(graph, share, count, classes, np.float32)


class ForestTrainer:
    log_odds = False

    def search(self, rows: Rows, held: Float32, candidates: list[Params], run: Run) -> Iterator[Float64]:
        def scores_at(params: Params, stages: list[int]) -> dict[int, Float64]:
            found, total = {}, np.zeros((len(held), rows.classes))
            for number, tree in enumerate(self.fit(rows, params, run).model.estimators_, start=1):
                total += tree.predict_proba(held)
                if number in stages:
                    found[number] = vote_scores(total / number, number)
            return found

        yield from by_stages(candidates, "trees", scores_at)

    def fit(self, rows: Rows, params: Params, run: Run) -> ForestFit:
        trees = int(params["trees"])
        model = RandomForestClassifier(
            max_features=float(params["max_features"]),
            min_samples_leaf=int(params["min_leaf"]),
            random_state=run.seed,
            warm_start=True,
            n_jobs=1,
        )
        for count in [*range(TREES_A_ROUND, trees, TREES_A_ROUND), trees]:
            run.checkpoint()
            model.set_params(n_estimators=count).fit(rows.x, rows.y, rows.weight)
        return ForestFit(model)


def _tree(tree: Any, count: int) -> Tree:
    return Tree(
        feature=tree.feature,
        threshold=tree.threshold,
        left=tree.children_left,
        right=tree.children_right,
        leaf=tree.children_left < 0,
        value=tree.value[:, 0, :] / count,
        targets=np.arange(tree.value.shape[2]),
    )
