"""Two heads on the same rows: who is right where the other is wrong. Light; SciPy within functions."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from app.errors import InvalidInput
from app.heads.arrays import Bools, Float64, Ints
from app.heads.evidence import Evidence
from app.heads.figures import LEVEL, REVIEW, decided_indexes
from app.heads.metrics import weighted_auc

REPLICATES = 1000


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A head's answers, and how it decides by them; `name` is what a report calls it."""

    name: str
    evidence: Evidence
    positive: str
    threshold: float
    review_from: float | None = None


def mcnemar(first_only: int, second_only: int) -> float:
    """Return the two-sided exact p-value of two heads that differ on these numbers of rows.

    `first_only` rows only the first head has right, `second_only` only the second: under the null hypothesis that
    both err alike, a fair coin decides each. McNemar, Psychometrika 12 (1947), with the binomial instead of its
    approximation.
    """
    from scipy.special import bdtr  # noqa: PLC0415  # 20 MB that a process which never compares need not hold

    differing = first_only + second_only
    return min(1.0, 2.0 * float(bdtr(min(first_only, second_only), differing, 0.5)))


def compare(first: Judged, second: Judged, *, rows: str, seed: int = 0) -> dict[str, Any]:
    """Return how `first` does against `second` on the regions that both have answers for; `rows` says which they are.

    Where the two were given other classes for a region, those of `first` count. Rows that either leaves to review are
    kept out of the McNemar test and counted. Raises `InvalidInput` for heads of other classes or without a row in
    common.
    """
    ours, theirs = _shared(first.evidence, second.evidence)
    y = first.evidence.y[ours]
    answers = [first.evidence.probabilities[ours], _reordered(second.evidence, first.evidence.classes)[theirs]]
    index = first.evidence.classes.index(first.positive)
    decided = [_decided(one, found, index) for one, found in zip((first, second), answers, strict=True)]
    positive, scores = y == index, np.stack([found[:, index].astype(np.float64) for found in answers])
    given = np.array(second.evidence.classes)[second.evidence.y[theirs]]
    return {
        "heads": [first.name, second.name],
        "rows_of": rows,
        "rows": len(y),
        "only_in": [len(first.evidence) - len(y), len(second.evidence) - len(y)],
        "relabelled": int((given != np.array(first.evidence.classes)[y]).sum()),
        **_contradictions(y, decided),
        **_aucs(positive, scores, seed),
        "recall": [_share(one == index, positive) for one in decided],
        "false_alarm_rate": [_share(one == index, ~positive) for one in decided],
        "review_share": [float((one == REVIEW).mean()) for one in decided],
    }


def _shared(first: Evidence, second: Evidence) -> tuple[Ints, Ints]:
    if set(first.classes) != set(second.classes):
        raise InvalidInput(f"Heads of {', '.join(first.classes)} and {', '.join(second.classes)} cannot be compared")
    _, ours, theirs = np.intersect1d(first.region_ids, second.region_ids, return_indices=True)
    if not len(ours):
        raise InvalidInput("The two heads have no row in common; train both on the same scans")
    return ours, theirs


def _reordered(evidence: Evidence, classes: tuple[str, ...]) -> np.ndarray:
    return evidence.probabilities[:, [evidence.classes.index(name) for name in classes]]


def _decided(judged: Judged, probabilities: np.ndarray, index: int) -> Ints:
    return decided_indexes(
        probabilities, positive_index=index, threshold=judged.threshold, review_from=judged.review_from
    )


def _contradictions(y: Ints, decided: list[Ints]) -> dict[str, Any]:
    clear = (decided[0] != REVIEW) & (decided[1] != REVIEW)
    first, second = (one[clear] == y[clear] for one in decided)
    first_only, second_only = int((first & ~second).sum()), int((second & ~first).sum())
    return {
        "decided_by_both": int(clear.sum()),
        "both_right": int((first & second).sum()),
        "only_first_right": first_only,
        "only_second_right": second_only,
        "both_wrong": int((~first & ~second).sum()),
        "mcnemar_p": mcnemar(first_only, second_only),
    }


def _aucs(positive: Bools, scores: Float64, seed: int) -> dict[str, Any]:
    """Both areas, and the interval of their difference: rows drawn anew, for both heads alike."""
    if positive.all() or not positive.any():
        return {"auc": None, "auc_difference": None}
    areas = [float(weighted_auc(positive, one, np.ones((1, len(positive))))[0]) for one in scores]
    rng, found = np.random.default_rng(seed), []
    chunk = max(1, 2_000_000 // len(positive))
    for start in range(0, REPLICATES, chunk):
        size = min(chunk, REPLICATES - start)
        times = rng.multinomial(len(positive), np.full(len(positive), 1 / len(positive)), size=size).astype(np.float64)
        found.append(weighted_auc(positive, scores[0], times) - weighted_auc(positive, scores[1], times))
    low, high = np.nanquantile(np.concatenate(found), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    difference = {"value": areas[0] - areas[1], "low": float(low), "high": float(high), "level": LEVEL}
    return {"auc": areas, "auc_difference": difference}


def _share(chosen: Bools, rows: Bools) -> float | None:
    return float(chosen[rows].mean()) if rows.any() else None
