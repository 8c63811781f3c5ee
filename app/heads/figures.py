"""The figures of a head on labelled rows, as JSON-able values. Light: NumPy, and SciPy within functions."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from app.heads.arrays import Bools, Floats, Ints
from app.heads.metrics import (
    auc_interval,
    balanced_accuracy,
    brier,
    confusion_matrix,
    roc_auc,
)
from app.heads.rates import METHOD, class_rates, rate

LEVEL = 0.95
REPLICATES = 1000
REVIEW = -1


def figures(
    y: Ints,
    probabilities: Floats,
    *,
    classes: Sequence[str],
    positive: str,
    threshold: float,
    review_from: float | None = None,
    groups: Ints | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Return what `probabilities` (n, classes) say of rows whose classes are `y` (n,), indexes of `classes`.

    Accuracy, confusion and the figures of each class count the rows that are decided; `review_share` is the share
    of all rows that are not, for `review_from` <= P(positive) < `threshold`. `groups` (n,) are the rows' subjects,
    drawn whole for the AUC's interval and counted as one in the exact ones. What the rows cannot give is None.
    """
    index = list(classes).index(positive)
    y, scores = np.asarray(y), np.asarray(probabilities)[:, index]
    decided = decided_indexes(probabilities, positive_index=index, threshold=threshold, review_from=review_from)
    clear = decided != REVIEW
    subjects = None if groups is None else np.asarray(groups)[clear]
    right, interval = rate(decided[clear] == y[clear], np.ones(int(clear.sum()), dtype=bool), subjects, level=LEVEL)
    confusion = confusion_matrix(y[clear], decided[clear], len(classes))
    return {
        "rows": len(y),
        **_ranking(y == index, scores, groups, seed),
        "accuracy": right,
        "accuracy_interval": interval,
        "balanced_accuracy": balanced_accuracy(confusion) if clear.any() else None,
        "brier": brier(y == index, scores),
        "threshold": float(threshold),
        "review_from": None if review_from is None else float(review_from),
        "review_share": float(1 - clear.mean()),
        "per_class": class_rates(y[clear], decided[clear], classes, groups=subjects, level=LEVEL),
        "intervals": {"method": METHOD, "level": LEVEL},
        "confusion": {
            "rows": "actual",
            "columns": "decided",
            "classes": list(classes),
            "counts": confusion.tolist(),
            "review": np.bincount(y[~clear], minlength=len(classes)).tolist(),
        },
    }


def decided_indexes(
    probabilities: Floats, *, positive_index: int, threshold: float, review_from: float | None = None
) -> Ints:
    """Return the index of the class that each row (n, classes) is decided for, and `REVIEW` within the band."""
    values = np.array(probabilities, dtype=np.float64)
    scores = values[:, positive_index].copy()
    values[:, positive_index] = -1.0
    decided = np.where(scores >= threshold, positive_index, values.argmax(axis=1))
    if review_from is not None:
        decided[(scores >= review_from) & (scores < threshold)] = REVIEW
    return decided


def _ranking(positive: Bools, scores: Floats, groups: Ints | None, seed: int) -> dict[str, Any]:
    if positive.all() or not positive.any():
        return {"auc": None, "auc_interval": None}
    low, high = auc_interval(positive, scores, groups=groups, level=LEVEL, replicates=REPLICATES, seed=seed)
    interval = {"low": low, "high": high, "level": LEVEL, "replicates": REPLICATES}
    return {
        "auc": roc_auc(positive, scores),
        "auc_interval": interval | {"resampled": "row" if groups is None else "subject"},
    }
