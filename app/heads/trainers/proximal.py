"""Sparse linear models (L1, elastic net) of many penalties on the same rows, descending together.

Each step replaces the loss by a parabola around the present point whose curvature bounds the Hessian (the one of
`descent`, times a share that adapts) and minimises that plus the L1 term. The parabola knows the rows by their
covariance alone, so its minimum costs a fraction of a pass over them: alternating directions (Boyd et al., Foundations
and Trends in Machine Learning 3, 2011) in the eigenbasis. Steps gain momentum (Beck and Teboulle, SIAM J. Imaging Sci.
2, 2009), given up where it points uphill (O'Donoghue and Candes, Found. Comput. Math. 15, 2015).
"""

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from app.heads.arrays import Bools, Float32
from app.heads.trainers.descent import Stop
from app.heads.trainers.ground import Ground
from app.heads.trainers.losses import Loss

ALTERNATIONS = 40  # at most, for one parabola
RELAXATION = 1.6
CLOSE = 0.1  # a parabola is solved to this share of the last step's residual
LEAST_SHARE = 0.01


@dataclass(frozen=True)
class Penalty:
    """`lasso * |b|_1 + ridge / 2 * |b|^2`, both float32 (m, 1, 1)."""

    lasso: Float32
    ridge: Float32


@dataclass
class _Batch:
    """The candidates under way; each array has them along its first axis. Points are models (m, k, d + 1)."""

    numbers: Any
    lasso: Float32
    ridge: Float32
    point: Float32  # sparse
    margins: Float32  # of `point`
    ahead: Float32  # where momentum leads, and the gradient is taken
    ahead_margins: Float32
    momentum: Float32  # (m, 1, 1), as all that follow but `dual`
    share: Float32  # of the bound on the curvature that the parabola uses
    settled: Bools  # the share was once too small, and does not shrink again
    coupling: Float32
    dual: Float32  # (m, k, d)
    residual: Float32

    def kept(self, live: Bools) -> "_Batch":
        return replace(self, **{one.name: getattr(self, one.name)[live] for one in fields(self)})


@dataclass(frozen=True)
class _Proposal:
    """Where a parabola is least, and how far its optimum is from being one of the loss (m, 1, 1)."""

    point: Float32
    margins: Float32
    residual: Float32
    needed: Float32  # the share of the bound that the loss turned out to need
    solved: Bools


def descend_sparse(ground: Ground, loss: Loss, penalty: Penalty, stop: Stop) -> Float32:
    """Return models (m, outputs, d + 1) that minimise loss + penalty; coefficients that it rules out are exactly 0."""
    batch = _start(ground, loss, penalty)
    models = np.zeros_like(batch.point)
    for step in range(1, int(stop.most.max()) + 1):
        proposal = _propose(ground, loss, batch, stop.tolerance)
        refused = (proposal.needed > 1.0001 * batch.share) & (batch.share < 1)
        batch = _moved(batch, proposal, refused)
        converged = (proposal.residual <= stop.tolerance) & proposal.solved & ~refused
        done = converged[:, 0, 0] | (stop.most[batch.numbers] <= step)
        models[batch.numbers[done]] = batch.point[done]
        if done.all():
            break
        if done.any():
            batch = batch.kept(~done)
        stop.checkpoint()
    return models


def _start(ground: Ground, loss: Loss, penalty: Penalty) -> _Batch:
    many, (rows, width) = len(penalty.lasso), ground.x.shape
    point = np.zeros((many, loss.outputs, width + 1), dtype=np.float32)
    margins = np.zeros((many, loss.outputs, rows), dtype=np.float32)
    one = np.ones((many, 1, 1), dtype=np.float32)
    values = loss.curvature * ground.spectrum.values
    coupling = 0.1 * np.sqrt(values[-1] * values.mean()) * one
    return _Batch(
        np.arange(many),
        penalty.lasso,
        penalty.ridge,
        point,
        margins,
        point,
        margins,
        one,
        one,
        np.zeros_like(one, dtype=bool),
        coupling,
        point[..., :-1],
        np.inf * one,
    )


def _propose(ground: Ground, loss: Loss, batch: _Batch, tolerance: float) -> _Proposal:
    slopes = loss.slopes(batch.ahead_margins.copy())
    gradient = ground.gradient(slopes)
    gradient[..., :-1] += batch.ridge * batch.ahead[..., :-1]
    bound = loss.curvature * ground.spectrum.values + batch.ridge
    point = np.empty_like(batch.ahead)
    sparse, solved = _least(ground, batch, gradient, bound, tolerance)
    point[..., :-1] = _cheapest(sparse, batch) if loss.relative else sparse
    point[..., -1] = batch.ahead[..., -1] - gradient[..., -1] / (batch.share[:, 0] * loss.curvature)
    margins = ground.margins(point)
    step = point - batch.ahead
    bent = ground.spectrum.scaled(step[..., :-1], bound)
    residual = np.maximum(
        batch.share * _largest(bent),
        _largest(gradient[..., -1:]),
    )
    allowed = _dot(bent, step[..., :-1]) + loss.curvature * _dot(step[..., -1:], step[..., -1:])
    change = _dot(loss.slopes(margins.copy()) - slopes, margins - batch.ahead_margins)
    change += batch.ridge * _dot(step[..., :-1], step[..., :-1])
    needed = np.divide(change, allowed, out=np.zeros_like(change), where=allowed > 1e-12)
    return _Proposal(point, margins, residual, needed, solved)


def _least(ground: Ground, batch: _Batch, gradient: Float32, bound: Float32, tolerance: float) -> tuple[Float32, Bools]:
    """Return the parabola's sparse minimum (m, k, d), and whether it was reached; `batch.dual` starts the next one."""
    basis, coupling, lasso = ground.spectrum.basis, batch.coupling, batch.lasso / batch.coupling
    curved = batch.share * bound
    fixed = curved * (batch.ahead[..., :-1] @ basis) - gradient[..., :-1] @ basis
    sparse, dual = batch.point[..., :-1], batch.dual
    aim = np.maximum(CLOSE * np.minimum(batch.residual, 1.0), 0.2 * tolerance)
    inverse = 1.0 / (curved + coupling)
    for _ in range(ALTERNATIONS):
        dense = (inverse * (fixed + coupling * ((sparse - dual) @ basis))) @ basis.T
        mixed = RELAXATION * dense + (1 - RELAXATION) * sparse + dual
        before, sparse = sparse, mixed - np.clip(mixed, -lasso, lasso)
        dual = mixed - sparse
        moved, apart = _largest(sparse - before), _largest(dense - sparse)
        solved = coupling * np.maximum(moved, apart) <= aim
        if solved.all():
            break
    factor = np.where(apart > 3 * moved, 2, np.where(moved > 3 * apart, 0.5, 1)).astype(np.float32)
    batch.coupling, batch.dual = coupling * factor, dual / factor
    return sparse, solved


def _cheapest(sparse: Float32, batch: _Batch) -> Float32:
    """Return coefficients (m, k, d) with what all outputs share taken off, as far as that lowers the penalty.

    The loss does not see it, and steps towards it would be short. Minimum of a parabola and absolute values: a median
    (Li and Osher, Inverse Problems and Imaging 3, 2009).
    """
    outputs = sparse.shape[1]
    weight = batch.lasso / np.maximum(outputs * batch.ridge, 1e-12)
    turns = sparse.mean(axis=1, keepdims=True) + weight * np.arange(outputs, -outputs - 1, -2)[:, None]
    return np.asarray(sparse - np.median(np.concatenate([sparse, turns], axis=1), axis=1, keepdims=True))


def _moved(batch: _Batch, proposal: _Proposal, refused: Bools) -> _Batch:
    """Take the proposals that are not `refused`, with momentum; adapt every candidate's share."""
    uphill = _dot(batch.ahead - proposal.point, proposal.point - batch.point) > 0
    grown = (1 + np.sqrt(1 + 4 * batch.momentum**2)) / 2
    push = np.where(uphill, 0, (batch.momentum - 1) / grown).astype(np.float32)
    settled = batch.settled | refused
    shrunk = np.maximum(0.7 * batch.share, np.minimum(batch.share, 1.2 * proposal.needed))
    share = np.where(settled, batch.share, shrunk)
    share = np.where(refused, np.maximum(1.5 * batch.share, 1.1 * proposal.needed), share)
    share = np.clip(share, LEAST_SHARE, 1).astype(np.float32)
    scale: Float32 = np.asarray(share / batch.share, dtype=np.float32)
    leap = proposal.point + push * (proposal.point - batch.point)
    return replace(
        batch,
        point=np.where(refused, batch.point, proposal.point),
        margins=np.where(refused, batch.margins, proposal.margins),
        ahead=np.where(refused, batch.ahead, leap),
        ahead_margins=np.where(
            refused, batch.ahead_margins, proposal.margins + push * (proposal.margins - batch.margins)
        ),
        momentum=np.where(refused, batch.momentum, np.where(uphill, 1, grown)).astype(np.float32),
        share=share,
        settled=settled,
        coupling=batch.coupling * scale,
        dual=batch.dual / scale,
        residual=proposal.residual,
    )


def _dot(a: Float32, b: Float32) -> Float32:
    return np.asarray(np.einsum("mkd,mkd->m", a, b)[:, None, None])


def _largest(a: Float32) -> Float32:
    return np.asarray(np.abs(a).max(axis=(1, 2), keepdims=True))
