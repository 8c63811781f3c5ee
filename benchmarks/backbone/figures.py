"""Figures of one backbone and differences of two, with what chance makes of them."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.heads.intervals import clopper_pearson
from app.heads.metrics import auc_interval, roc_auc, weighted_auc

REPLICATES, SEED = 1000, 0
Bools, Margins = NDArray[np.bool_], NDArray[np.float64]


def auc_figures(positive: Bools, margins: Margins, groups: NDArray[Any] | None = None) -> dict[str, float]:
    """AUC, its bootstrap interval over subjects, and accuracy at even odds."""
    codes = None if groups is None else np.unique(groups, return_inverse=True)[1]
    low, high = auc_interval(positive, margins, groups=codes, replicates=REPLICATES, seed=SEED)
    return {
        "auc": roc_auc(positive, margins),
        "auc_low": low,
        "auc_high": high,
        "accuracy": float(((margins >= 0) == positive).mean()),
        "errors": int(((margins >= 0) != positive).sum()),
    }


def auc_difference(positive: Bools, one: Margins, other: Margins, groups: NDArray[Any]) -> dict[str, float]:
    """AUC of `one` less that of `other`: the same subjects are drawn for both (paired bootstrap, percentiles)."""
    found = [
        weighted_auc(positive, one, weights) - weighted_auc(positive, other, weights)
        for weights in draws(np.unique(groups, return_inverse=True)[1])
    ]
    return {"difference": roc_auc(positive, one) - roc_auc(positive, other), **between(np.concatenate(found))}


def draws(codes: NDArray[np.int64]) -> Iterator[NDArray[np.float64]]:
    """How often each row was drawn when whole groups are: float64 (some replicates, n), `REPLICATES` in all."""
    total, rng = int(codes.max()) + 1, np.random.default_rng(SEED)
    chunk = max(1, 2_000_000 // len(codes))  # bounds the weights to 16 MB
    for start in range(0, REPLICATES, chunk):
        size = min(chunk, REPLICATES - start)
        drawn = rng.integers(0, total, size=(size, total)) + np.arange(size)[:, None] * total
        times = np.bincount(drawn.ravel(), minlength=size * total).reshape(size, total)
        yield times[:, codes].astype(np.float64)


def share(hits: NDArray[np.bool_]) -> dict[str, float]:
    """A share with its exact interval."""
    low, high = clopper_pearson(float(hits.sum()), len(hits))
    return {"share": float(hits.mean()), "low": low, "high": high, "count": len(hits)}


def between(found: NDArray[np.float64]) -> dict[str, float]:
    low, high = np.quantile(found[~np.isnan(found)], [0.025, 0.975])
    return {"low": float(low), "high": float(high)}
