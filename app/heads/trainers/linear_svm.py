"""Linear support vector machine (squared hinge, L2), one against the rest."""

from collections.abc import Iterator

import numpy as np

from app.heads.algorithms import Params
from app.heads.arrays import Float32, Float64
from app.heads.trainers.base import Rows, Run
from app.heads.trainers.linear import LinearFit, LinearModels
from app.heads.trainers.losses import squared_hinge


class LinearSvmTrainer:
    """Minimises `C * sum(weight * max(0, 1 - margin)^2) + |b|^2 / 2`.

    The intercept is free; liblinear, and with it scikit-learn's `LinearSVC`, shrinks it as if it were a feature.
    """

    log_odds = False

    def __init__(self) -> None:
        self._models = LinearModels(squared_hinge)

    def search(self, rows: Rows, held: Float32, candidates: list[Params], run: Run) -> Iterator[Float64]:
        for margins in self._models.held_scores(rows, held, candidates, run):
            yield margins if margins.shape[1] > 1 else np.column_stack([-margins, margins])

    def fit(self, rows: Rows, params: Params, run: Run) -> LinearFit:
        coefficients, offsets = (one[0] for one in self._models.fit(rows, [params], run))
        if rows.classes > 2:
            return LinearFit(coefficients, offsets)
        return LinearFit(np.concatenate([-coefficients, coefficients]), np.concatenate([-offsets, offsets]))
