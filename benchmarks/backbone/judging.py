"""The one head by which backbones are compared: logistic regression on standardised features, its penalty tuned.

Features are scaled as in Penumbra's own heads, classes weigh the same, and C is the one of `GRID` under which held-out
rows of the training rows have the least mean loss. Nothing of a tested row, nor of its subject, is in scale, C or fit.
"""

import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from app.heads.trainers.folds import Fold, make_folds
from app.heads.trainers.scaling import Scaling

GRID = (1e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 1.0)
FOLDS, INNER_FOLDS, SEED = 5, 3, 0
Floats, Ints = NDArray[np.float32], NDArray[np.int64]
Margins = NDArray[np.float64]
One, Other = TypeVar("One"), TypeVar("Other")


@dataclass(frozen=True, eq=False)
class Linear:
    """A fitted head: log-odds of class 1 are `scaling(x) @ coefficients + offset`."""

    scaling: Scaling
    coefficients: Floats
    offset: float
    c: float

    def margins(self, x: Floats) -> Margins:
        return np.asarray(self.scaling(x) @ self.coefficients + self.offset, np.float64)


@dataclass(frozen=True, eq=False)
class Tuned:
    """A head on all rows, and the margins (n,) of each row by the fold's head that did not see it, under the same C."""

    head: Linear
    out_of_fold: Margins


@dataclass(frozen=True, eq=False)
class CrossValidated:
    """Margins (n,) of each row by a head tuned on the other folds alone, and the C of each fold."""

    margins: Margins
    chosen: tuple[float, ...]


def tuned(x: Floats, y: Ints, groups: NDArray[Any], *, folds: int = FOLDS, threads: int | None = None) -> Tuned:
    """Choose C by cross-validation within these rows, and fit all of them.

    As in `app.heads` the last fit's rows weigh together what a fold's do, so that a threshold found among the
    out-of-fold margins fits its margins.
    """
    parts = _folds(y, groups, folds)
    found = spread(lambda fold: _path(x, y, fold), parts, threads)
    by_c = np.full((len(GRID), len(y)), np.nan)
    for fold, margins in zip(parts, found, strict=True):
        by_c[:, fold.validation] = margins
    weight = balanced(y)
    losses = [float(np.average(np.logaddexp(0, np.where(y == 1, -one, one)), weights=weight)) for one in by_c]
    best = int(np.argmin(losses))
    share = (len(parts) - 1) / len(parts)
    return Tuned(next(_fits(x, y, (GRID[best],), share)), by_c[best])


def cross_validated(x: Floats, y: Ints, groups: NDArray[Any]) -> CrossValidated:
    """Tune a head on four fifths of the subjects, score the others; five times."""

    def scored(fold: Fold) -> tuple[Margins, float]:
        head = tuned(x[fold.train], y[fold.train], groups[fold.train], folds=INNER_FOLDS, threads=1).head
        return head.margins(x[fold.validation]), head.c

    parts = _folds(y, groups, FOLDS)
    found = spread(scored, parts)
    margins = np.full(len(y), np.nan)
    for fold, (scores, _) in zip(parts, found, strict=True):
        margins[fold.validation] = scores
    return CrossValidated(margins, tuple(c for _, c in found))


def balanced(y: Ints) -> NDArray[np.float64]:
    """Weights (n,) by which both classes weigh the same; their mean is 1."""
    return np.asarray(len(y) / (2 * np.bincount(y, minlength=2)))[y]


def spread(work: Callable[[One], Other], items: Iterable[One], threads: int | None = None) -> list[Other]:
    """`work` on each item, in a thread a core, one BLAS thread each: two that wait for each other are slower."""
    with threadpool_limits(limits=1, user_api="blas"), ThreadPoolExecutor(threads or os.cpu_count()) as pool:
        return list(pool.map(work, items))


def _folds(y: Ints, groups: NDArray[Any], folds: int) -> list[Fold]:
    return make_folds(y, np.unique(groups, return_inverse=True)[1], folds=folds, seed=SEED, names=("0", "1"))


def _path(x: Floats, y: Ints, fold: Fold) -> Margins:
    """The held rows' margins under each C: float64 (grid, held)."""
    return np.stack([head.margins(x[fold.validation]) for head in _fits(x[fold.train], y[fold.train], GRID)])


def _fits(x: Floats, y: Ints, grid: tuple[float, ...], share: float = 1.0) -> Iterator[Linear]:
    """Heads under rising C, each starting from the one before."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    scaling = Scaling.fit(x)
    scaled, weight = scaling(x), balanced(y) * share
    model = LogisticRegression(tol=1e-5, max_iter=500, warm_start=True)
    for c in grid:
        model.set_params(C=c)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(scaled, y, sample_weight=weight)
        yield Linear(scaling, model.coef_[0].astype(np.float32), float(model.intercept_[0]), c)
