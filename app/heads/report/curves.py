"""Curves over every threshold, thinned for a report: ROC, precision and recall, and the sweep."""

from typing import Any

import numpy as np

from app.heads.arrays import Bools, Float64, Floats, Ints
from app.heads.metrics import roc_auc
from app.heads.thresholds import operating_points

MOST_POINTS = 200
SWEEP_POINTS = 100


def curves(positive: Bools, scores: Floats) -> dict[str, Any] | None:
    """Return both curves of `scores` (n,), None where one side has no rows."""
    if positive.all() or not positive.any():
        return None
    return {"roc": roc(positive, scores), "precision_recall": precision_recall(positive, scores)}


def roc(positive: Bools, scores: Floats) -> dict[str, Any]:
    """Return at most `MOST_POINTS` points from (0, 0) to (1, 1), with the area under all of them."""
    cuts, recall, alarms = operating_points(positive, scores)
    x, y = np.r_[0.0, alarms], np.r_[0.0, recall]
    kept = thinned(x, y)
    return {
        "false_positive_rate": rounded(x[kept]),
        "recall": rounded(y[kept]),
        "threshold": [None if at == 0 else float(f"{cuts[at - 1]:.6g}") for at in kept.tolist()],
        "area": roc_auc(positive, scores),
    }


def precision_recall(positive: Bools, scores: Floats) -> dict[str, Any]:
    """Return at most `MOST_POINTS` points by rising recall, and the average precision of all of them.

    Average precision is the step-wise sum, without interpolation (Davis and Goadrich, ICML 2006).
    """
    _, recall, alarms = operating_points(positive, scores)
    hits, false = recall * positive.sum(), alarms * (~positive).sum()
    precision = hits / (hits + false)
    kept = thinned(recall, precision)
    return {
        "recall": rounded(recall[kept]),
        "precision": rounded(precision[kept]),
        "average_precision": float(np.sum(np.diff(np.r_[0.0, recall]) * precision)),
        "prevalence": float(positive.mean()),
    }


def sweep(
    positive: Bools, scores: Floats, *, threshold: float, review_from: float | None = None
) -> list[dict[str, Any]]:
    """Return what about a hundred thresholds would do to rows with `scores` (n,), the head's own two among them.

    Every threshold is judged without a band: at or above it a row is positive, below it is not. `review_share` is
    the share of rows between `review_from` and the threshold. A rate without rows to count is None.
    """
    own = [threshold] if review_from is None else [threshold, review_from]
    cuts = np.unique(np.r_[_cuts(np.asarray(scores, dtype=np.float64)), own])
    sides = [np.sort(np.asarray(scores, dtype=np.float64)[side]) for side in (positive, ~positive)]
    hits, alarms = (len(side) - np.searchsorted(side, cuts, side="left") for side in sides)
    both = np.sort(np.asarray(scores, dtype=np.float64))
    flagged = hits + alarms
    reviewed = np.zeros(len(cuts))
    if review_from is not None:
        below = np.searchsorted(both, cuts, side="left") - np.searchsorted(both, review_from, side="left")
        reviewed = np.maximum(below, 0) / len(both)
    rates = _ratio(hits, len(sides[0])), _ratio(alarms, len(sides[1])), _ratio(hits, flagged)
    return [
        {
            "threshold": float(cuts[i]) if cuts[i] in own else float(f"{cuts[i]:.6g}"),
            "recall": _plain(rates[0][i]),
            "false_alarm_rate": _plain(rates[1][i]),
            "precision": _plain(rates[2][i]),
            "balanced_accuracy": _plain((rates[0][i] + 1 - rates[1][i]) / 2),
            "positive_share": _plain(flagged[i] / len(both)),
            "review_share": _plain(reviewed[i]),
        }
        for i in range(len(cuts))
    ]


def thinned(x: Float64, y: Float64, most: int = MOST_POINTS) -> Ints:
    """Return the indexes of at most `most` points, spread evenly along the line through all (n,), its ends kept."""
    if len(x) <= most:
        return np.arange(len(x))
    along = np.r_[0.0, np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y)))]
    wanted = np.linspace(0.0, along[-1], most)
    return np.unique(np.r_[np.searchsorted(along, wanted[:-1]), len(x) - 1]).astype(np.int64)


def rounded(values: Floats) -> list[float]:
    return [round(float(value), 6) for value in values]


def _cuts(scores: Float64) -> Float64:
    """Half of them even over the probabilities, half where the rows are."""
    ranked = np.quantile(scores, np.linspace(0.0, 1.0, SWEEP_POINTS // 2))
    return np.concatenate([np.linspace(0.0, 1.0, SWEEP_POINTS // 2), ranked])


def _ratio(part: Ints, whole: Any) -> Float64:
    given = np.broadcast_to(np.asarray(whole, dtype=np.float64), part.shape)
    return np.asarray(np.divide(part, given, out=np.full(len(part), np.nan), where=given > 0))


def _plain(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 6)
