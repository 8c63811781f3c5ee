"""Figures of parts of the rows: by source, by size, by whatever a table's rows say of themselves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from app.heads.arrays import Bools, Floats, Ints
from app.heads.figures import LEVEL, REVIEW
from app.heads.metrics import roc_auc
from app.heads.rates import Interval, rate

MOST_VALUES = 20
OTHERS = "(others)"
UNKNOWN = "(unknown)"
_COMPARABLE = ("recall", "false_alarm_rate")  # accuracy moves with a slice's mix of classes


@dataclass(frozen=True)
class Rows:
    """`positive`, `scores` and `subjects` (n,), and `chosen` (n,): 1 decided for the positive class, 0 against it.

    -1 in `chosen` is a row left to review.
    """

    positive: Bools
    scores: Floats
    chosen: Ints
    subjects: Ints | None = None

    def part(self, index: Bools) -> "Rows":
        subjects = None if self.subjects is None else self.subjects[index]
        return Rows(self.positive[index], self.scores[index], self.chosen[index], subjects)


def slices(by: Mapping[str, Sequence[Any] | np.ndarray], rows: Rows) -> dict[str, Any]:
    """Return the figures of each value of each entry of `by`: a value a row, (n,).

    `differs` names the rates whose interval leaves out the rate of all rows; of a hundred such flags on a head that
    is the same everywhere, up to five are chance.
    """
    whole = _rates(rows)
    found = {}
    for name, values in by.items():
        keys = _keys(values)
        found[name] = [_part(key, rows.part(keys == key), whole) for key in _ordered(keys)]
    return {"level": LEVEL, "overall": {name: value for name, (value, _) in whole.items()}, "by": found}


def _part(key: str, rows: Rows, whole: Mapping[str, Any]) -> dict[str, Any]:
    found = _rates(rows)
    both = rows.positive.any() and not rows.positive.all()
    return {
        "value": key,
        "rows": len(rows.positive),
        "positive_rows": int(rows.positive.sum()),
        "auc": roc_auc(rows.positive, rows.scores) if both else None,
        "review_share": round(float((rows.chosen == REVIEW).mean()), 6),
        **{name: value for name, (value, _) in found.items()},
        "intervals": {name: interval for name, (_, interval) in found.items()},
        "differs": [
            name
            for name, (_, interval) in found.items()
            if name in _COMPARABLE and interval and not interval["low"] <= whole[name][0] <= interval["high"]
        ],
    }


def _rates(rows: Rows) -> dict[str, tuple[float | None, Interval | None]]:
    """Of the decided rows."""
    clear = rows.part(rows.chosen != REVIEW)
    chosen = clear.chosen == 1
    every = np.ones(len(chosen), dtype=bool)
    return {
        "accuracy": rate(chosen == clear.positive, every, clear.subjects, level=LEVEL),
        "recall": rate(chosen, clear.positive, clear.subjects, level=LEVEL),
        "false_alarm_rate": rate(chosen, ~clear.positive, clear.subjects, level=LEVEL),
    }


def _keys(values: Sequence[Any] | np.ndarray) -> np.ndarray:
    """Texts (n,), the rarest beyond `MOST_VALUES` put together."""
    texts = np.array([UNKNOWN if value is None or value == "" else str(value) for value in values], dtype=object)
    names, counts = np.unique(texts.astype(str), return_counts=True)
    if len(names) > MOST_VALUES:
        kept = set(names[np.argsort(-counts, kind="stable")[: MOST_VALUES - 1]].tolist())
        texts = np.array([text if text in kept else OTHERS for text in texts], dtype=object)
    return texts


def _ordered(keys: np.ndarray) -> list[str]:
    names, counts = np.unique(keys.astype(str), return_counts=True)
    return [str(names[at]) for at in np.argsort(-counts, kind="stable")]
