"""RBF support vector machine (scikit-learn, libsvm), one against the rest, calibrated out of fold."""

import threading
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
from sklearn.svm import SVC

from app.heads.algorithms import Params
from app.heads.arrays import Float32, Float64, Ints
from app.heads.convert import DOUBLE, FLOAT, Graph
from app.heads.trainers.base import Rows, Run

# The kernel of so many rows takes 4.6 GB (float64) and its distances 2.3 GB; above, libsvm computes what it needs.
# With the kernel a fit on 16,640 x 2,048 rows takes 9 s of processor, without it it had not ended after 33 s (2026-11).
KERNEL_ROWS = 24_000
ALONE_ROWS = 8_000  # above this many, one fold at a time: their kernels together would not fit a small machine
BLOCK = 1024
CACHE_MB = 500


@dataclass(frozen=True)
class SvmFit:
    """Support `vectors` (s, d), their coefficients `duals` (s, classes), `offsets` (classes,); `gamma` is absolute."""

    vectors: Float32
    duals: Float64
    offsets: Float64
    gamma: float

    def scores(self, x: Float32) -> Float64:
        parts = [x[start : start + BLOCK] for start in range(0, len(x), BLOCK)]
        kernels = (_kernel(_distances(part, self.vectors), self.gamma) for part in parts)
        return np.concatenate([kernel @ self.duals for kernel in kernels]) + self.offsets

    def emit(self, graph: Graph, x: str) -> str:
        norms = np.einsum("sd,sd->s", self.vectors, self.vectors, dtype=np.float64)
        # |x - s|^2 = |x|^2 + |s|^2 - 2 x.s, so that one matrix product serves the whole batch.
        own = graph.node("ReduceSumSquare", x, axes=[1], keepdims=1)
        product = graph.node("Gemm", x, graph.constant(-2.0 * self.vectors.T), graph.constant(norms))
        distance = graph.node("Cast", graph.node("Add", product, own), to=DOUBLE)
        # Double from here on: hundreds of terms of +-C almost cancel, and float32 left 1e-4 of the probability.
        kernel = graph.node("Exp", graph.node("Mul", distance, graph.constant(-self.gamma, np.float64)))
        top = graph.constant(self.duals, np.float64), graph.constant(self.offsets, np.float64)
        return graph.node("Cast", graph.node("Gemm", kernel, *top), to=FLOAT)


@dataclass(frozen=True)
class _Machines:
    """`support` (s,) names rows; `duals` (s, classes), `offsets` (classes,)."""

    support: Ints
    duals: Float64
    offsets: Float64


class SvmTrainer:
    log_odds = False

    def __init__(self) -> None:
        self._alone = threading.Lock()

    def search(self, rows: Rows, held: Float32, candidates: list[Params], run: Run) -> Iterator[Float64]:
        if len(rows.x) > KERNEL_ROWS:
            for params in candidates:
                yield self.fit(rows, params, run).scores(held)
            return
        # All candidates share the distances; libsvm itself computes them for each (a fit takes 1.4 s instead of
        # 0.1 s on 4,172 x 2,048 rows, measured 2026-11).
        with self._turn(rows):
            between, across = _distances(rows.x, rows.x), _distances(held, rows.x)
            for params in candidates:
                gamma = _gamma(rows, params)
                found = _fit(rows, params, _kernel(between, gamma), run)
                yield _kernel(across[:, found.support], gamma) @ found.duals + found.offsets

    def fit(self, rows: Rows, params: Params, run: Run) -> SvmFit:
        gamma = _gamma(rows, params)
        with self._turn(rows):
            whole = len(rows.x) <= KERNEL_ROWS
            found = _fit(rows, params, _kernel(_distances(rows.x, rows.x), gamma) if whole else None, run)
        return SvmFit(rows.x[found.support], found.duals, found.offsets, gamma)

    def _turn(self, rows: Rows) -> "threading.Lock | nullcontext[None]":
        return self._alone if len(rows.x) > ALONE_ROWS else nullcontext()


def _fit(rows: Rows, params: Params, kernel: Float64 | None, run: Run) -> _Machines:
    """Fit one machine for two classes, one a class for more; without a `kernel`, libsvm computes it."""
    given = {"C": float(params["C"]), "cache_size": CACHE_MB}
    models = []
    for target in _targets(rows):
        run.checkpoint()
        if kernel is None:
            models.append(SVC(gamma=_gamma(rows, params), **given).fit(rows.x, target, rows.weight))
        else:
            models.append(SVC(kernel="precomputed", **given).fit(kernel, target, rows.weight))
    support = np.unique(np.concatenate([model.support_ for model in models])).astype(np.int64)
    duals = np.zeros((len(support), len(models)))
    for column, model in enumerate(models):
        duals[np.searchsorted(support, model.support_), column] = model.dual_coef_[0]
    offsets = np.concatenate([model.intercept_ for model in models])
    if len(models) == 1:
        # Two classes mirror each other.
        duals, offsets = np.column_stack([-duals, duals]), np.concatenate([-offsets, offsets])
    return _Machines(support, duals, offsets)


def _targets(rows: Rows) -> list[Ints]:
    if rows.classes == 2:
        return [rows.y]
    return [(rows.y == label).astype(np.int64) for label in range(rows.classes)]


def _gamma(rows: Rows, params: Params) -> float:
    dimensions: int = rows.x.shape[1]
    return float(params["gamma"]) / dimensions


def _kernel(squared: Float32, gamma: float) -> Float64:
    """Return exp(-gamma * squared), block by block: no second matrix of that size on the way."""
    made = np.empty(squared.shape)
    for start in range(0, len(squared), BLOCK):
        part = slice(start, start + BLOCK)
        np.multiply(squared[part], -gamma, out=made[part])
        np.exp(made[part], out=made[part])
    return made


def _distances(a: Float32, b: Float32) -> Float32:
    """Return squared Euclidean distances float32 (len(a), len(b))."""
    squared = a @ b.T
    squared *= -2.0
    squared += np.einsum("nd,nd->n", a, a)[:, None]
    squared += np.einsum("nd,nd->n", b, b)
    return np.asarray(np.maximum(squared, 0.0, out=squared))
