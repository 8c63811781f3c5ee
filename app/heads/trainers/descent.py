"""Smooth linear models of many penalties on the same rows, descending together.

One candidate's gradient is two passes over the rows that wait for memory; sixty candidates' gradients are two matrix
products that wait for arithmetic. And all their Hessians lie below one matrix plus a multiple of the identity
(Boehning and Lindsay, Ann. Inst. Statist. Math. 40, 1988): one eigenbasis preconditions them all.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from app.heads.arrays import Bools, Float32, Ints
from app.heads.trainers.ground import Ground
from app.heads.trainers.losses import Loss

MEMORY = 10  # steps that a quasi-Newton direction looks back on
ENOUGH = 0.1  # a line search ends where the slope has fallen to this share of its start
TRIALS = 8


@dataclass(frozen=True)
class Stop:
    """When a candidate is done: its gradient's largest entry is at most `tolerance`, or `most` (m,) steps are made."""

    tolerance: float
    most: Ints
    checkpoint: Callable[[], None]  # called each step; may raise


@dataclass
class _History:
    """Steps and changes of the gradient, newest last, each (m, k, d + 1): L-BFGS (Liu and Nocedal, 1989)."""

    steps: list[Float32] = field(default_factory=list)
    changes: list[Float32] = field(default_factory=list)
    inverses: list[Float32] = field(default_factory=list)

    def push(self, step: Float32, change: Float32) -> None:
        curvature = _dot(step, change)
        # A step that rounding has bent upwards teaches nothing.
        inverse = np.divide(1.0, curvature, out=np.zeros_like(curvature), where=curvature > 0)
        for kept, new in zip((self.steps, self.changes, self.inverses), (step, change, inverse), strict=True):
            kept.append(new)
            del kept[:-MEMORY]

    def keep(self, live: Bools) -> None:
        for kept in (self.steps, self.changes, self.inverses):
            kept[:] = [one[live] for one in kept]

    def direction(self, gradient: Float32, precondition: Callable[[Float32], Float32]) -> Float32:
        found, shares = gradient.copy(), []
        for step, change, inverse in self._newest_first():
            shares.append(inverse * _dot(step, found))
            found -= _times(shares[-1], change)
        found = precondition(found)
        for (step, change, inverse), share in zip(reversed(self._newest_first()), reversed(shares), strict=True):
            found += _times(share - inverse * _dot(change, found), step)
        return np.negative(found, out=found)

    def _newest_first(self) -> list[tuple[Float32, Float32, Float32]]:
        return list(zip(self.steps, self.changes, self.inverses, strict=True))[::-1]


def descend(ground: Ground, loss: Loss, ridge: Float32, stop: Stop) -> Float32:
    """Return models (m, outputs, d + 1) that minimise loss + ridge / 2 * |coefficients|^2, `ridge` (m,) above 0."""
    models = np.zeros((len(ridge), loss.outputs, ground.x.shape[1] + 1), dtype=np.float32)
    batch = _Batch.start(ground, loss, ridge)
    for step in range(int(stop.most.max())):
        done = (np.abs(batch.gradient).max(axis=(1, 2)) <= stop.tolerance) | (stop.most[batch.numbers] <= step)
        models[batch.numbers[done]] = batch.models[done]
        if done.all():
            return models
        if done.any():
            batch.keep(~done)
        batch.advance()
        stop.checkpoint()
    models[batch.numbers] = batch.models
    return models


@dataclass
class _Batch:
    """The candidates still under way: `numbers` (m,), and what belongs to each along the first axis."""

    ground: Ground
    loss: Loss
    numbers: Ints
    ridge: Float32  # (m, 1, 1)
    models: Float32
    margins: Float32
    gradient: Float32
    history: _History

    @classmethod
    def start(cls, ground: Ground, loss: Loss, ridge: Float32) -> "_Batch":
        many, (rows, width) = len(ridge), ground.x.shape
        models = np.zeros((many, loss.outputs, width + 1), dtype=np.float32)
        margins = np.zeros((many, loss.outputs, rows), dtype=np.float32)
        gradient = ground.gradient(loss.slopes(margins.copy()))
        numbers = np.arange(many)
        return cls(ground, loss, numbers, ridge[:, None, None], models, margins, gradient, _History())

    def keep(self, live: Bools) -> None:
        for name in ("numbers", "ridge", "models", "margins", "gradient"):
            setattr(self, name, getattr(self, name)[live])
        self.history.keep(live)

    def advance(self) -> None:
        """Make one step of every candidate."""
        direction = self.history.direction(self.gradient, self._precondition)
        along = self.ground.margins(direction)
        length = self._length(direction, along)
        step = _times(length, direction)
        self.models = self.models + step
        self.margins += _times(length, along)
        gradient = self.ground.gradient(self.loss.slopes(self.margins.copy()))
        gradient[..., :-1] += self.ridge * self.models[..., :-1]
        self.history.push(step, gradient - self.gradient)
        self.gradient = gradient

    def _precondition(self, gradient: Float32) -> Float32:
        """Multiply by the inverse of the bound on the Hessian."""
        bound = self.loss.curvature * self.ground.spectrum.values + self.ridge
        made = np.empty_like(gradient)
        made[..., :-1] = self.ground.spectrum.scaled(gradient[..., :-1], 1.0 / bound)
        made[..., -1] = gradient[..., -1] / self.loss.curvature
        return made

    def _length(self, direction: Float32, along: Float32) -> Float32:
        """Return how far each candidate goes: margins are linear in it, so no trial passes over the rows again."""
        own, way = self.models[..., :-1], direction[..., :-1]
        flat, rise = self.ridge[:, 0, 0] * _dot(own, way), self.ridge[:, 0, 0] * _dot(way, way)

        def slope(length: Float32) -> Float32:
            slopes = self.loss.slopes(self.margins + _times(length, along))
            return np.asarray(_dot(slopes, along) + flat + length * rise)

        return line_search(slope, _dot(self.gradient, direction))


def line_search(slope: Callable[[Float32], Float32], first: Float32) -> Float32:
    """Return lengths (m,) where convex functions with `slope(length)` are nearly least; `first` is their slope at 0.

    By slopes alone: near the end values differ by less than float32 can tell, slopes do not.
    """
    length = np.ones_like(first)
    low, low_slope = np.zeros_like(first), first
    high, high_slope = np.full_like(first, np.inf), np.zeros_like(first)
    for _ in range(TRIALS):
        found = slope(length)
        todo = np.abs(found) > ENOUGH * np.abs(first)
        if not todo.any():
            break
        under = found < 0
        low, low_slope = np.where(under, length, low), np.where(under, found, low_slope)
        high, high_slope = np.where(under, high, length), np.where(under, high_slope, found)
        open_end = np.isinf(high)
        width = np.where(open_end, 0, high) - low
        share = np.clip(low_slope / np.where(open_end, -1, low_slope - high_slope), 0.05, 0.95)
        length = np.where(todo, np.where(open_end, 3 * length, low + share * width), length)
    return length


def _dot(a: Float32, b: Float32) -> Float32:
    return np.asarray(np.einsum("mkd,mkd->m", a, b, optimize=False))


def _times(factor: Float32, array: Float32) -> Float32:
    return np.asarray(factor[:, None, None] * array)
