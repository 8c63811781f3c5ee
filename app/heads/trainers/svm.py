"""RBF support vector machine (scikit-learn, libsvm), one against the rest, calibrated by Platt's sigmoid."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.svm import SVC

from app.heads.arrays import Float32, Float64, Ints
from app.heads.convert import DOUBLE, FLOAT, Graph
from app.heads.recipe import Number
from app.heads.trainers.base import Rows, Run

# Above this many rows the kernel matrix (float64) would pass 1.2 GB, and libsvm computes it piece by piece.
KERNEL_ROWS = 12_000


@dataclass(frozen=True)
class SvmFit:
    """One machine for two classes, one a class for more. `gamma` is absolute."""

    models: list[Any]
    gamma: float

    def scores(self, x: Float32) -> Float64:
        return _columns([np.asarray(model.decision_function(x)) for model in self.models])

    def emit(self, graph: Graph, x: str) -> str:
        vectors, duals, offsets = self._joined()
        norms = np.einsum("sd,sd->s", vectors, vectors, dtype=np.float64)
        # |x - s|^2 = |x|^2 + |s|^2 - 2 x.s, so that one matrix product serves the whole batch.
        own = graph.node("ReduceSumSquare", x, axes=[1], keepdims=1)
        product = graph.node("Gemm", x, graph.constant(-2.0 * vectors.T), graph.constant(norms))
        distance = graph.node("Cast", graph.node("Add", product, own), to=DOUBLE)
        # Double from here on: hundreds of terms of +-C almost cancel, and float32 left 1e-4 of the probability.
        kernel = graph.node("Exp", graph.node("Mul", distance, graph.constant(-self.gamma, np.float64)))
        top = graph.constant(duals, np.float64), graph.constant(offsets, np.float64)
        return graph.node("Cast", graph.node("Gemm", kernel, *top), to=FLOAT)

    def _joined(self) -> tuple[Float32, Float64, Float64]:
        """Return all support vectors (s, d), their coefficients (s, classes) and the offsets (classes,)."""
        counts = [len(model.support_vectors_) for model in self.models]
        duals = np.zeros((sum(counts), len(self.models)))
        start = 0
        for column, (model, count) in enumerate(zip(self.models, counts, strict=True)):
            duals[start : start + count, column] = model.dual_coef_[0]
            start += count
        offsets = np.concatenate([model.intercept_ for model in self.models])
        if len(self.models) == 1:
            duals, offsets = np.column_stack([-duals, duals]), np.concatenate([-offsets, offsets])
        vectors = np.concatenate([model.support_vectors_ for model in self.models])
        return vectors.astype(np.float32), duals, offsets


class SvmTrainer:
    log_odds = False

    def search(self, rows: Rows, held: Float32, candidates: list[dict[str, Number]], run: Run) -> Iterator[Float64]:
        if len(rows.x) > KERNEL_ROWS:
            for params in candidates:
                yield self.fit(rows, params, run).scores(held)
            return
        # All candidates share the distances; libsvm itself computes them for each (a fit takes 1.4 s instead of
        # 0.1 s on 4,172 x 2,048 rows, measured 2026-11).
        between, across = _distances(rows.x, rows.x), _distances(held, rows.x)
        for params in candidates:
            gamma = _gamma(rows, params)
            kernel, held_kernel = np.exp(-gamma * between, dtype=np.float64), np.exp(-gamma * across)
            columns = []
            for target in _targets(rows):
                run.checkpoint()
                model = SVC(C=params["C"], kernel="precomputed").fit(kernel, target, rows.weight)
                columns.append(held_kernel[:, model.support_] @ model.dual_coef_[0] + model.intercept_[0])
            yield _columns(columns)

    def fit(self, rows: Rows, params: Mapping[str, Number], run: Run) -> SvmFit:
        gamma = _gamma(rows, params)
        models = []
        for target in _targets(rows):
            run.checkpoint()
            models.append(SVC(C=params["C"], gamma=gamma, cache_size=500).fit(rows.x, target, rows.weight))
        return SvmFit(models, gamma)


def _targets(rows: Rows) -> list[Ints]:
    if rows.classes == 2:
        return [rows.y]
    return [(rows.y == label).astype(np.int64) for label in range(rows.classes)]


def _columns(decided: list[Float64]) -> Float64:
    """Return decision scores as (n, classes); two classes mirror each other."""
    return np.column_stack([-decided[0], decided[0]] if len(decided) == 1 else decided)


def _gamma(rows: Rows, params: Mapping[str, Number]) -> float:
    return float(params["gamma"] / rows.x.shape[1])


def _distances(a: Float32, b: Float32) -> Float32:
    """Return squared Euclidean distances float32 (len(a), len(b))."""
    squared = a @ b.T
    squared *= -2.0
    squared += np.einsum("nd,nd->n", a, a)[:, None]
    squared += np.einsum("nd,nd->n", b, b)
    return np.asarray(np.maximum(squared, 0.0, out=squared))
