"""Rates of each class, each with an exact interval that knows how many subjects stand behind it."""

from collections.abc import Sequence
from typing import Any

from app.heads.arrays import Bools, Ints
from app.heads.intervals import clopper_pearson, effective_n

METHOD = (
    "Clopper-Pearson, at the number of independent rows that the subjects' rows are worth if they are all alike; "
    "F1 by way of TP / (TP + FP + FN)"
)
Interval = dict[str, float]


def class_rates(
    y: Ints, decided: Ints, names: Sequence[str], *, groups: Ints | None, level: float
) -> dict[str, dict[str, Any]]:
    """Return precision, recall, F1, false positive and false negative rate of each class, each with its interval.

    `y`, `decided` and `groups` (n,) are the rows that were decided. A rate that no row can be counted for is 0, and
    its interval None. F1 = 2J / (1 + J) rises with J = TP / (TP + FP + FN): the interval of J carries over.
    """
    return {name: _of_class(y == i, decided == i, groups, level) for i, name in enumerate(names)}


def rate(hits: Bools, rows: Bools, groups: Ints | None, *, level: float) -> tuple[float | None, Interval | None]:
    """Return the share of `rows` that are `hits`, both (n,), and its exact interval; two Nones where no row counts.

    Clopper and Pearson, Biometrika 26 (1934), at the effective number of rows (see `effective_n`).
    """
    counted = int(rows.sum())
    if counted == 0:
        return None, None
    share = float((hits & rows).sum() / counted)
    worth = effective_n(None if groups is None else groups[rows], counted)
    low, high = clopper_pearson(share * worth, worth, level)
    return share, {"low": round(low, 6), "high": round(high, 6)}


def _of_class(actual: Bools, chosen: Bools, groups: Ints | None, level: float) -> dict[str, Any]:
    counted = {
        "precision": (actual, chosen),
        "recall": (chosen, actual),
        "false_positive_rate": (chosen, ~actual),
        "false_negative_rate": (~chosen, actual),
        "overlap": (actual & chosen, actual | chosen),
    }
    found = {name: rate(hits, rows, groups, level=level) for name, (hits, rows) in counted.items()}
    overlap, bounds = found.pop("overlap")
    found["f1"] = _f1(overlap or 0.0), bounds and {side: round(_f1(value), 6) for side, value in bounds.items()}
    return {
        **{name: value or 0.0 for name, (value, _) in found.items()},
        "support": int(actual.sum()),
        "independent_rows": round(effective_n(None if groups is None else groups[actual], int(actual.sum())), 1),
        "intervals": {name: interval for name, (_, interval) in found.items()},
    }


def _f1(overlap: float) -> float:
    return 2 * overlap / (1 + overlap)
