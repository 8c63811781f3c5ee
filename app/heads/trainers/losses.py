"""Losses of linear models, for many candidates at once: margins in, slopes out."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from app.heads.arrays import Float32, Ints
from app.heads.trainers.base import Rows


class Loss(Protocol):
    """A convex loss of margins, summed over rows whose weights sum to 1.

    `outputs` is how many margins a row has in a model, `curvature` a bound on the loss's second derivative, and
    `relative` says whether what all margins of a row share leaves the loss as it is.
    """

    @property
    def outputs(self) -> int: ...

    @property
    def curvature(self) -> float: ...

    @property
    def relative(self) -> bool: ...

    def slopes(self, margins: Float32) -> Float32:
        """Return the weighted derivative at `margins`, both (candidates, outputs, rows); may use them up."""
        ...


@dataclass(frozen=True)
class LogLoss:
    """log(1 + exp(-sign * margin)), `sign` +-1 and `weight`, each (rows,): two classes, one margin."""

    sign: Float32
    weight: Float32
    outputs: int = 1
    curvature: float = 0.25
    relative: bool = False

    def slopes(self, margins: Float32) -> Float32:
        # By tanh the sigmoid cannot overflow, and NumPy's float32 tanh is twice as fast as its exp.
        margins *= 0.5 * self.sign
        np.tanh(margins, out=margins)
        margins -= 1.0
        margins *= 0.5 * self.sign * self.weight
        return margins


@dataclass(frozen=True)
class SoftmaxLoss:
    """-log softmax at the row's class: `target` 0 or 1 (classes, rows), `weight` (rows,).

    Its Hessian is bounded by half the identity (Boehning, Ann. Inst. Statist. Math. 44, 1992).
    """

    target: Float32
    weight: Float32
    curvature: float = 0.5
    relative: bool = True

    @property
    def outputs(self) -> int:
        return len(self.target)

    def slopes(self, margins: Float32) -> Float32:
        margins -= margins.max(axis=1, keepdims=True)
        np.exp(margins, out=margins)
        margins /= margins.sum(axis=1, keepdims=True)
        margins -= self.target
        margins *= self.weight
        return margins


@dataclass(frozen=True)
class SquaredHinge:
    """max(0, 1 - sign * margin)^2: `sign` +-1 (outputs, rows), `weight` (rows,); each output against the rest."""

    sign: Float32
    weight: Float32
    curvature: float = 2.0
    relative: bool = False

    @property
    def outputs(self) -> int:
        return len(self.sign)

    def slopes(self, margins: Float32) -> Float32:
        margins *= self.sign
        margins -= 1.0
        np.minimum(margins, 0.0, out=margins)
        margins *= 2.0 * self.sign * self.weight
        return margins


def log_loss(rows: Rows) -> Loss:
    """Return scikit-learn's multinomial loss: one margin for two classes, a margin a class for more."""
    weight = shares(rows)
    if rows.classes == 2:
        return LogLoss(signs(rows.y, 1), weight)
    return SoftmaxLoss(np.stack([rows.y == label for label in range(rows.classes)]).astype(np.float32), weight)


def squared_hinge(rows: Rows) -> Loss:
    """Return the squared hinge of one machine for two classes, of one a class for more."""
    labels = [1] if rows.classes == 2 else range(rows.classes)
    return SquaredHinge(np.stack([signs(rows.y, label) for label in labels]), shares(rows))


def shares(rows: Rows) -> Float32:
    """Return weights that sum to 1."""
    return np.asarray(rows.weight / rows.weight.sum(), dtype=np.float32)


def signs(y: Ints, label: int) -> Float32:
    return np.where(y == label, np.float32(1), np.float32(-1))
