"""Nearest training rows: one integer matrix product and a top-k, the same neighbours in every process.

Distances between real vectors come out a little different in every BLAS, and where two rows are almost equally far,
another one becomes the k-th neighbour and the answer jumps. So rows are kept as small whole numbers, whose products
are exact everywhere; the artifact holds a byte a value.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from app.errors import HeadRefused
from app.heads.arrays import Float32, Float64, Ints
from app.heads.convert import DOUBLE, FLOAT, MOST_BYTES, UINT8, Graph
from app.heads.trainers.base import Rows

REACH = 4.0  # standard deviations; features beyond count as that far
MOST_LEVELS = 63  # u8 x s8 products of two terms fit int16, as processors without VNNI need
ZERO = 64  # unsigned bytes count from here
SLACK = 16  # rows further than asked for, among which the equally near are put in order
CHUNK_ROWS = 256


@dataclass(frozen=True)
class Reference:
    """Training rows as whole numbers: `x` float32 (rows, d) within +-`levels`, `votes` float64 (rows, classes)."""

    x: Float32
    votes: Float64
    levels: int
    cosine: bool

    @classmethod
    def of(cls, rows: Rows, metric: str) -> "Reference":
        """Raises `HeadRefused` where the rows could not be stored in an artifact."""
        if rows.x.size > MOST_BYTES:
            most = MOST_BYTES // rows.x.shape[1]
            raise HeadRefused(
                f"k-nearest-neighbours keeps all {len(rows.x)} training rows, and {rows.x.shape[1]} features allow "
                f"{most}; train on fewer rows, on one pooling, or another algorithm"
            )
        # Sums of d products and 2 * product - |s|^2 stay below 2^24, where float32 still counts one by one.
        levels = min(MOST_LEVELS, math.isqrt(2**22 // rows.x.shape[1]))
        votes = np.eye(rows.classes)[rows.y] * rows.weight[:, None]
        return cls(_whole(rows.x, levels), votes, levels, metric == "cosine")

    @cached_property
    def factor(self) -> Float32:
        """float32 (rows,): for cosine 1 / |s|, else |s|^2."""
        squared = np.einsum("sd,sd->s", self.x, self.x, dtype=np.float64)
        factor = 1.0 / np.sqrt(np.maximum(squared, 1.0)) if self.cosine else squared
        return np.asarray(factor, dtype=np.float32)

    def nearest(self, x: Float32, count: int) -> tuple[Float64, Ints]:
        """Return distances float64 (n, count), ascending, and row numbers (n, count) of the rows nearest to each."""
        parts = [self._nearest(x[start : start + CHUNK_ROWS], count) for start in range(0, len(x), CHUNK_ROWS)]
        distances, index = zip(*parts, strict=True)
        return np.concatenate(distances), np.concatenate(index)

    def _nearest(self, x: Float32, count: int) -> tuple[Float64, Ints]:
        whole = _whole(x, self.levels)
        near = whole @ self.x.T
        near = near * self.factor if self.cosine else 2.0 * near - self.factor
        value, index = _top(near, count)
        squared = np.einsum("nd,nd->n", whole, whole, dtype=np.float64)[:, None]
        if self.cosine:
            return np.maximum(1.0 - value / np.sqrt(np.maximum(squared, 1.0)), 0.0), index
        return np.sqrt(np.maximum(squared - value, 0.0)), index

    def emit(self, graph: Graph, x: str, count: int) -> tuple[str, str]:
        """Write `nearest`; return the names of distances (double) and row numbers."""
        whole = self._emit_whole(graph, x)
        byte = graph.node("Cast", graph.node("Add", whole, graph.constant(ZERO)), to=UINT8)
        stored, zero = graph.constant(self.x.T, np.int8), graph.constant(ZERO, np.uint8)
        near = graph.node("Cast", graph.node("MatMulInteger", byte, stored, zero), to=FLOAT)
        if self.cosine:
            near = graph.node("Mul", near, graph.constant(self.factor))
        else:
            near = graph.node("Sub", graph.node("Mul", near, graph.constant(2.0)), graph.constant(self.factor))
        value, index = graph.pair("TopK", near, graph.constant([count], np.int64), axis=1)
        squared = graph.node("ReduceSumSquare", whole, axes=[1], keepdims=1)
        value, squared = (graph.node("Cast", name, to=DOUBLE) for name in (value, squared))
        return self._emit_distance(graph, value, squared), index

    def _emit_whole(self, graph: Graph, x: str) -> str:
        bounded = graph.node("Clip", x, graph.constant(-REACH), graph.constant(REACH))
        return graph.node("Round", graph.node("Mul", bounded, graph.constant(self.levels / REACH)))

    def _emit_distance(self, graph: Graph, value: str, squared: str) -> str:
        zero, one = (graph.constant(number, np.float64) for number in (0.0, 1.0))
        if self.cosine:
            length = graph.node("Sqrt", graph.node("Max", squared, one))
            return graph.node("Max", graph.node("Sub", one, graph.node("Div", value, length)), zero)
        return graph.node("Sqrt", graph.node("Max", graph.node("Sub", squared, value), zero))


def _whole(x: Float32, levels: int) -> Float32:
    bounded = np.clip(x, np.float32(-REACH), np.float32(REACH))
    bounded *= np.float32(levels / REACH)
    return np.asarray(np.rint(bounded, out=bounded))


def _top(near: Float32, count: int) -> tuple[Float32, Ints]:
    """Return the `count` greatest values a row, and where; of equal ones the first, as ONNX's TopK does."""
    rows = near.shape[1]
    wide = min(rows, count + SLACK)
    some = np.sort(np.argpartition(near, rows - wide, axis=1)[:, rows - wide :], axis=1)
    values = np.take_along_axis(near, some, axis=1)
    order = np.argsort(-values, axis=1, kind="stable")[:, :count]
    return np.take_along_axis(values, order, axis=1), np.take_along_axis(some, order, axis=1)
