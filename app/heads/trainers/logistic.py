"""Logistic regression with an L2, L1 or elastic-net penalty, multinomial for more than two classes."""

from collections.abc import Iterator

import numpy as np

from app.heads.algorithms import Params
from app.heads.arrays import Float32, Float64
from app.heads.trainers.base import Rows, Run
from app.heads.trainers.linear import LinearFit, LinearModels
from app.heads.trainers.losses import log_loss


class LogisticFit(LinearFit):
    """Log-odds; of two classes the first is the yardstick, 0 throughout."""


class LogisticTrainer:
    """Minimises scikit-learn's `C * sum(weight * loss) + penalty`; intercepts are free."""

    log_odds = True

    def __init__(self) -> None:
        self._models = LinearModels(log_loss)

    def search(self, rows: Rows, held: Float32, candidates: list[Params], run: Run) -> Iterator[Float64]:
        for margins in self._models.held_scores(rows, held, candidates, run):
            yield margins if margins.shape[1] > 1 else np.column_stack([np.zeros(len(margins)), margins])

    def fit(self, rows: Rows, params: Params, run: Run) -> LogisticFit:
        coefficients, offsets = self._models.fit(rows, [params], run)
        if rows.classes > 2:
            return LogisticFit(coefficients[0], offsets[0])
        return LogisticFit(np.pad(coefficients[0], ((1, 0), (0, 0))), np.pad(offsets[0], (1, 0)))
