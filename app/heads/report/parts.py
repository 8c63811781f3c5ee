"""The parts of a report that labelled answers alone can give: curves, sweep, histogram, reliability, slices, errors."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from app.heads.arrays import Bools, Floats, Ints
from app.heads.calibration import expected_calibration_error, reliability
from app.heads.evidence import Evidence
from app.heads.figures import REVIEW, decided_indexes, figures
from app.heads.metrics import brier
from app.heads.report.curves import curves, sweep
from app.heads.report.mistakes import worst
from app.heads.report.slices import Rows, slices

HISTOGRAM_BINS = 40


def parts(
    evidence: Evidence,
    *,
    positive: str,
    threshold: float,
    review_from: float | None = None,
    groups: Ints | None = None,
    by: Mapping[str, Any] | None = None,
    honest: Floats | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Return `figures` and everything that a page shows beside them.

    `groups` (n,) are subjects, `by` the values of slices. `honest` (n, classes), where given, are the probabilities
    whose link has not seen the row: reliability, Brier score and calibration error are theirs.
    """
    index = evidence.classes.index(positive)
    is_positive, scores = evidence.y == index, evidence.probabilities[:, index].astype(np.float64)
    decided = decided_indexes(
        evidence.probabilities, positive_index=index, threshold=threshold, review_from=review_from
    )
    found = figures(
        evidence.y, evidence.probabilities, classes=evidence.classes, positive=positive,
        threshold=threshold, review_from=review_from, groups=groups, seed=seed,
    )  # fmt: skip
    promised = scores if honest is None else np.asarray(honest)[:, index].astype(np.float64)
    found["brier"] = brier(is_positive, promised)
    chosen = np.where(decided == REVIEW, REVIEW, decided == index)
    return {
        "figures": found,
        "curves": curves(is_positive, scores),
        "sweep": sweep(is_positive, scores, threshold=threshold, review_from=review_from),
        "histogram": histogram(evidence, scores),
        "reliability": calibration(is_positive, promised),
        "slices": slices(by or {}, Rows(is_positive, scores, chosen, groups)),
        "worst": worst(evidence, decided),
    }


def histogram(evidence: Evidence, scores: Floats) -> dict[str, Any]:
    """Return how many rows of each class have which probability of the positive class."""
    edges = np.linspace(0.0, 1.0, HISTOGRAM_BINS + 1)
    counts = {
        name: np.histogram(scores[evidence.y == label], edges)[0].tolist()
        for label, name in enumerate(evidence.classes)
    }
    return {"edges": [round(float(edge), 4) for edge in edges], "counts": counts}


def calibration(positive: Bools, promised: Floats) -> dict[str, Any]:
    """Return the points of a reliability diagram, Brier score and expected calibration error."""
    return {
        "bins": [one.to_json() for one in reliability(positive, promised)],
        "brier": brier(positive, promised),
        "expected_calibration_error": expected_calibration_error(positive, promised),
    }
