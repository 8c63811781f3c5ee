"""What linear models share: a fit that is one matrix product, and a search in which all candidates descend together."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from app.heads.algorithms import Params
from app.heads.arrays import Float32, Float64
from app.heads.convert import Graph
from app.heads.trainers.base import Rows, Run
from app.heads.trainers.descent import Stop, descend
from app.heads.trainers.ground import Ground, Spectra, rotated
from app.heads.trainers.losses import Loss, shares
from app.heads.trainers.proximal import Penalty, descend_sparse

# Largest entry of the mean loss's gradient, as scikit-learn counts it: its own default is 1e-4.
SEARCH_TOLERANCE = 5e-5
FIT_TOLERANCE = 1e-6
TOGETHER = 64  # models that descend together: more gain little, and each holds its margins


@dataclass(frozen=True)
class LinearFit:
    """`x @ coefficients.T + offsets`: (classes, d) and (classes,)."""

    coefficients: Float32
    offsets: Float32

    def scores(self, x: Float32) -> Float64:
        return np.asarray(x @ self.coefficients.T + self.offsets, dtype=np.float64)

    def emit(self, graph: Graph, x: str) -> str:
        return graph.node("Gemm", x, graph.constant(self.coefficients.T), graph.constant(self.offsets))


@dataclass(frozen=True)
class Strength:
    """A penalty in units of the mean loss: `lasso * |b|_1 + ridge / 2 * |b|^2`."""

    lasso: float
    ridge: float


class LinearModels:
    """Fits many linear models of one loss on the same rows. Keeps the folds' spectra; threads share it."""

    def __init__(self, loss: Callable[[Rows], Loss]) -> None:
        self._loss = loss
        self._spectra = Spectra()

    def held_scores(self, rows: Rows, held: Float32, candidates: Sequence[Params], run: Run) -> Iterator[Float64]:
        """Yield each candidate's margins of the `held` rows, (rows, outputs), in order."""
        together = max(1, TOGETHER // (1 if rows.classes == 2 else rows.classes))
        for start in range(0, len(candidates), together):
            part = candidates[start : start + together]
            coefficients, offsets = self.fit(rows, part, run, tolerance=SEARCH_TOLERANCE)
            found = held @ coefficients.reshape(-1, held.shape[1]).T
            found = found.reshape(len(held), len(part), -1) + offsets
            for number in range(len(part)):
                yield found[:, number].astype(np.float64)

    def fit(
        self, rows: Rows, candidates: Sequence[Params], run: Run, *, tolerance: float = FIT_TOLERANCE
    ) -> tuple[Float32, Float32]:
        """Return coefficients (candidates, outputs, d) and offsets (candidates, outputs)."""
        loss = self._loss(rows)
        coefficients = np.empty((len(candidates), loss.outputs, rows.x.shape[1]), dtype=np.float32)
        offsets = np.empty(coefficients.shape[:2], dtype=np.float32)
        strengths = [strength(one, float(rows.weight.sum())) for one in candidates]
        most = np.array([int(one["max_iter"]) for one in candidates])
        for sparse, solve in ((False, self._smooth), (True, self._sparse)):
            mine = np.flatnonzero([(one.lasso > 0) is sparse for one in strengths])
            if len(mine):
                stop = Stop(tolerance, most[mine], run.checkpoint)
                coefficients[mine], offsets[mine] = solve(rows, loss, [strengths[i] for i in mine], stop)
        return coefficients, offsets

    def _smooth(self, rows: Rows, loss: Loss, strengths: Sequence[Strength], stop: Stop) -> tuple[Float32, Float32]:
        ridge = np.array([one.ridge for one in strengths], dtype=np.float32)
        if len(rows.x) >= rows.x.shape[1]:
            ground = Ground(rows.x, self._spectra.of(rows.x, shares(rows)))
            return ground.coefficients(descend(ground, loss, ridge, stop))
        narrow, rotation = rotated(rows.x)
        ground = Ground(narrow, self._spectra.of(narrow, shares(rows)))
        coefficients, offsets = ground.coefficients(descend(ground, loss, ridge, stop))
        return coefficients @ rotation.T, offsets

    def _sparse(self, rows: Rows, loss: Loss, strengths: Sequence[Strength], stop: Stop) -> tuple[Float32, Float32]:
        ground = Ground(rows.x, self._spectra.of(rows.x, shares(rows)))
        lasso, ridge = (
            np.array(values, dtype=np.float32)[:, None, None]
            for values in zip(*((one.lasso, one.ridge) for one in strengths), strict=True)
        )
        return ground.coefficients(descend_sparse(ground, loss, Penalty(lasso, ridge), stop))


def strength(params: Params, total: float) -> Strength:
    """Return scikit-learn's penalty of `C`, and of `penalty` and `l1_ratio` where there are, per unit of weight."""
    whole = 1.0 / (float(params["C"]) * total)
    match params.get("penalty", "l2"):
        case "l1":
            return Strength(whole, 0.0)
        case "elastic-net":
            ratio = float(params["l1_ratio"])
            return Strength(whole * ratio, whole * (1 - ratio))
        case _:
            return Strength(0.0, whole)
