"""Figures of a classifier, in NumPy alone; equal to scikit-learn's (tests prove it, ties included)."""

from typing import Any

import numpy as np
import numpy.typing as npt

from app.errors import InvalidInput
from app.heads.arrays import Bools, Float64, Floats, Ints


def confusion_matrix(actual: Ints, predicted: Ints, classes: int) -> Ints:
    """Return counts (classes, classes): rows are the actual class, columns the predicted one."""
    counts = np.bincount(actual * classes + predicted, minlength=classes * classes)
    return counts.reshape(classes, classes).astype(np.int64)


def _ratio(part: npt.NDArray[Any], whole: npt.NDArray[Any]) -> Float64:
    """Return part / whole, and 0 where there is nothing to divide by."""
    return np.asarray(np.divide(part, whole, out=np.zeros(len(whole)), where=whole > 0))


def balanced_accuracy(confusion: Ints) -> float:
    """Return the mean recall of the classes that have rows."""
    support = confusion.sum(axis=1)
    return float(_ratio(np.diag(confusion), support)[support > 0].mean())


def roc_auc(positive: Bools, scores: Floats) -> float:
    """Return the probability that a positive row outranks a negative one, ties counting half.

    Mann and Whitney, Ann. Math. Statist. 18 (1947). Raises `InvalidInput` where one side has no rows.
    """
    weights = np.ones((1, len(positive)))
    auc = float(weighted_auc(positive, scores, weights)[0])
    if np.isnan(auc):
        raise InvalidInput("The area under the ROC curve needs rows of both sides; label some of the other class")
    return auc


def weighted_auc(positive: Bools, scores: Floats, weights: Float64) -> Float64:
    """Return the AUC under each row of `weights` (replicates, n); NaN where one side weighs nothing."""
    order = np.argsort(scores, kind="stable")
    ranked = np.asarray(scores)[order]
    starts = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]])  # one step a distinct score
    sorted_weights, is_positive = weights[:, order], np.asarray(positive)[order]
    positives = np.add.reduceat(sorted_weights * is_positive, starts, axis=1)
    negatives = np.add.reduceat(sorted_weights * ~is_positive, starts, axis=1)
    passed = np.cumsum(negatives, axis=1) - negatives / 2
    pairs = positives.sum(axis=1) * negatives.sum(axis=1)
    won = np.einsum("rs,rs->r", positives, passed)
    return np.asarray(np.divide(won, pairs, out=np.full(len(weights), np.nan), where=pairs > 0))


def auc_interval(
    positive: Bools,
    scores: Floats,
    *,
    groups: Ints | None = None,
    level: float = 0.95,
    replicates: int = 1000,
    seed: int = 0,
) -> tuple[float, float]:
    """Return the percentile bootstrap interval of the AUC.

    Whole groups (subjects) are drawn when given: films of one patient are no independent evidence. Efron and
    Tibshirani, An Introduction to the Bootstrap (1993); Field and Welsh, J. R. Statist. Soc. B 69 (2007).
    Raises `InvalidInput` if no replicate holds both sides.
    """
    codes = np.arange(len(positive)) if groups is None else np.unique(groups, return_inverse=True)[1]
    total = int(codes.max()) + 1
    rng = np.random.default_rng(seed)
    chunk = max(1, 2_000_000 // len(positive))  # bounds the weights to 16 MB
    aucs: list[Float64] = []
    for start in range(0, replicates, chunk):
        size = min(chunk, replicates - start)
        drawn = rng.integers(0, total, size=(size, total)) + np.arange(size)[:, None] * total
        times = np.bincount(drawn.ravel(), minlength=size * total).reshape(size, total)
        aucs.append(weighted_auc(positive, scores, times[:, codes].astype(np.float64)))
    found = np.concatenate(aucs)
    found = found[~np.isnan(found)]
    if not len(found):
        raise InvalidInput("No bootstrap replicate holds rows of both sides; label more subjects")
    low, high = np.quantile(found, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def brier(positive: Bools, probabilities: Floats) -> float:
    """Return the mean squared error of the positive class's probability (Brier, Mon. Weather Rev. 78, 1950)."""
    return float(np.mean((np.asarray(probabilities, dtype=np.float64) - positive) ** 2))
