"""Probable label errors, from what heads say of rows that they had not learned from. NumPy alone.

Confident learning: Northcutt, Jiang and Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels",
Journal of Artificial Intelligence Research 70 (2021).
"""

from dataclasses import dataclass, replace

import numpy as np

from app.errors import InvalidInput
from app.heads.arrays import Bools, Float64, Ints
from app.heads.evidence import Evidence


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """The rows of an evidence by how probably their given class is wrong.

    `order` (n,) holds row indexes, the most suspect first; all other columns (n,) are by row. `suggested` is the
    class that the evidence is for: the given one where nothing speaks against it. `self_confidence` is the
    probability of the given class, `margin` that less the highest other one. `likely` marks the rows that the
    confident joint counts as errors. `thresholds` (classes,) are the mean self-confidences. `joint` (classes,
    classes) estimates how many rows of a given class (row) are truly of which (column): its sums by row are the
    counts of the given labels. `noise` (classes, classes) is P(given | true): its columns sum to 1.
    """

    order: Ints
    given: Ints
    suggested: Ints
    self_confidence: Float64
    margin: Float64
    likely: Bools
    thresholds: Float64
    joint: Float64
    noise: Float64

    @property
    def estimated_errors(self) -> float:
        """How many rows are estimated to be mislabelled; the confident joint need not name each."""
        return float(self.joint.sum() - np.trace(self.joint))


def rank(evidence: Evidence) -> Ranking:
    """Rank rows by self-confidence less the threshold of the given class, the lowest first.

    With labels flipped on purpose this found as many among the first rows as self-confidence alone where both classes
    were flipped, and more where one was (docs/labels.md). Ties keep the rows' order. Raises `InvalidInput` for
    probabilities that are none, or a class without rows.
    """
    p = evidence.probabilities.astype(np.float64)
    given, rows, classes = evidence.y, np.arange(len(evidence)), len(evidence.classes)
    _check(evidence, p)
    self_confidence = p[rows, given]
    counts = np.bincount(given, minlength=classes)
    thresholds = np.bincount(given, weights=self_confidence, minlength=classes) / counts
    others = p.copy()
    others[rows, given] = -np.inf
    confident = _confident_class(p, thresholds)
    likely = (confident >= 0) & (confident != given)
    joint = _calibrated(_count(given, confident, classes), counts)
    return Ranking(
        order=np.argsort(self_confidence - thresholds[given], kind="stable").astype(np.int64),
        given=given, suggested=np.where(likely, confident, p.argmax(axis=1)).astype(np.int64),
        self_confidence=self_confidence, margin=self_confidence - others.max(axis=1), likely=likely,
        thresholds=thresholds, joint=joint, noise=_divided(joint, joint.sum(axis=0)),
    )  # fmt: skip


def as_trained(evidence: Evidence, positive: str, prevalence: float) -> Evidence:
    """Take a stated `prevalence` of the positive class out of the probabilities: labels follow the rows' own mix.

    Saerens, Latinne and Decaestecker, Neural Computation 14 (2002), equation 2.4.
    """
    index = evidence.classes.index(positive)
    own = float(np.mean(evidence.y == index))
    weights = np.full(len(evidence.classes), (1 - own) / (1 - prevalence))
    weights[index] = own / prevalence
    weighted = evidence.probabilities.astype(np.float64) * weights
    corrected = weighted / weighted.sum(axis=1, keepdims=True)
    return replace(evidence, probabilities=corrected.astype(np.float32))


def _check(evidence: Evidence, p: Float64) -> None:
    if p.shape != (len(evidence), len(evidence.classes)) or len(evidence.classes) < 2:
        raise InvalidInput(f"Probabilities of shape {p.shape} do not fit {len(evidence)} rows; train the head again.")
    if not (np.isfinite(p).all() and (p >= 0).all() and (p <= 1 + 1e-6).all()):
        raise InvalidInput("The evidence holds values that are no probabilities; train the head again.")
    for index, name in enumerate(evidence.classes):
        if not (evidence.y == index).any():
            raise InvalidInput(f"The evidence has no row of class {name}; label errors need rows of every class.")


def _confident_class(p: Float64, thresholds: Float64) -> Ints:
    """The most probable class among those that reach their threshold (n,); -1 where none does."""
    reached = np.where(p >= thresholds - 1e-12, p, -1.0)
    return np.where(reached.max(axis=1) >= 0, reached.argmax(axis=1), -1).astype(np.int64)


def _count(given: Ints, confident: Ints, classes: int) -> Float64:
    known = confident >= 0
    pairs = np.bincount(given[known] * classes + confident[known], minlength=classes * classes)
    return pairs.reshape(classes, classes).astype(np.float64)


def _calibrated(counts: Float64, given: Ints) -> Float64:
    """Scale the confident joint's rows to the counts of the given labels (equation 3 of the paper, times n)."""
    found = counts.sum(axis=1)
    shares = np.where(found[:, None] > 0, _divided(counts.T, found).T, np.eye(len(given)))
    return np.asarray(shares * given[:, None])


def _divided(columns: Float64, by: Float64) -> Float64:
    return np.asarray(np.divide(columns, by, out=np.zeros_like(columns), where=by > 0))
