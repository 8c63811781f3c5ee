"""The rows on which a head contradicts their class most: its worst errors, or the label's."""

from typing import Any

import numpy as np

from app.heads.arrays import Float32, Float64, Ints
from app.heads.evidence import Evidence

OF_EACH_CLASS = 8


def worst(evidence: Evidence, decided: Ints, *, of_each_class: int = OF_EACH_CLASS) -> list[dict[str, Any]]:
    """Return the wrongly decided rows of each class to which it gave the least probability, the worst first.

    `decided` (n,) are class indexes; rows left to review are no errors.
    """
    own = evidence.probabilities[np.arange(len(evidence)), evidence.y].astype(np.float64)
    wrong = (decided != evidence.y) & (decided >= 0)
    found = []
    for label in range(len(evidence.classes)):
        rows = np.flatnonzero(wrong & (evidence.y == label))
        found += rows[np.argsort(own[rows], kind="stable")][:of_each_class].tolist()
    return [_described(evidence, int(decided[row]), row) for row in sorted(found, key=lambda row: own[row])]


def _described(evidence: Evidence, decided: int, row: int) -> dict[str, Any]:
    probabilities = [round(float(value), 6) for value in evidence.probabilities[row]]
    return {
        "image_id": evidence.image_ids[row],
        "region_id": int(evidence.region_ids[row]),
        "row": row,
        "given": evidence.classes[int(evidence.y[row])],
        "decided": evidence.classes[decided],
        "probabilities": dict(zip(evidence.classes, probabilities, strict=True)),
        "fold": int(evidence.fold_of[row]),
    }


def nearest(features: Float32, groups: Ints, rows: Ints, *, limit: int = 3) -> tuple[Ints, Float64]:
    """Return for each of `rows` (m,) the `limit` most alike rows of other groups, and their cosines: two (m, limit).

    `features` float32 (n, d), `groups` (n,). Fewer than `limit` rows of other groups leave -1.
    """
    length = np.linalg.norm(features, axis=1)
    length[length == 0] = 1.0
    cosine = (features[rows] @ features.T) / np.outer(length[rows], length)
    cosine[groups[rows][:, None] == groups[None, :]] = -np.inf
    best = np.argsort(-cosine, axis=1, kind="stable")[:, :limit]
    found = np.take_along_axis(cosine, best, axis=1).astype(np.float64)
    return np.where(np.isfinite(found), best, -1), found
