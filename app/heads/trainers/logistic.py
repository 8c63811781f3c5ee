"""L2 logistic regression (scikit-learn, L-BFGS)."""

import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from app.heads.arrays import Float32, Float64
from app.heads.convert import Graph
from app.heads.recipe import Number
from app.heads.trainers.base import Rows, Run


class LogisticFit:
    """Log-odds; with two classes scikit-learn keeps one row of coefficients, the other is zero."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def scores(self, x: Float32) -> Float64:
        decided = np.asarray(self.model.decision_function(x), dtype=np.float64)
        return np.column_stack([np.zeros(len(x)), decided]) if decided.ndim == 1 else decided

    def emit(self, graph: Graph, x: str) -> str:
        weights, offset = self.model.coef_.T, self.model.intercept_
        if weights.shape[1] == 1:
            weights, offset = np.pad(weights, ((0, 0), (1, 0))), np.pad(offset, (1, 0))
        return graph.node("Gemm", x, graph.constant(weights), graph.constant(offset))


class LogisticTrainer:
    log_odds = True

    def search(self, rows: Rows, held: Float32, candidates: list[dict[str, Number]], run: Run) -> Iterator[Float64]:
        # The grid runs from the strongest penalty on, each fit starting where the last one ended.
        model = LogisticRegression(warm_start=True, random_state=run.seed)
        for params in candidates:
            _fit(model, rows, params)
            yield LogisticFit(model).scores(held)

    def fit(self, rows: Rows, params: Mapping[str, Number], run: Run) -> LogisticFit:
        return LogisticFit(_fit(LogisticRegression(random_state=run.seed), rows, params))


def _fit(model: Any, rows: Rows, params: Mapping[str, Number]) -> Any:
    with warnings.catch_warnings():
        # A fit stopped by max_iter is a model like any other here: out-of-fold rows judge it.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.set_params(**params).fit(rows.x, rows.y, sample_weight=rows.weight)
