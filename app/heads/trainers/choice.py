"""What a search measured, and which candidate it takes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from app.heads.algorithms import Candidate


@dataclass(frozen=True)
class Tried:
    """A candidate with its AUC on each fold's held-out rows, and the seconds that all its fits took."""

    candidate: Candidate
    fold_auc: tuple[float, ...]
    seconds: float

    @property
    def auc(self) -> float:
        return float(np.mean(self.fold_auc))

    def to_json(self) -> dict[str, Any]:
        return {
            **self.candidate.to_json(),
            "auc": self.auc,
            "fold_auc": list(self.fold_auc),
            "seconds": round(self.seconds, 3),
        }


def choose(tried: Sequence[Tried]) -> int:
    """Return the best by AUC, or the most regularised of its kind that cannot be told from it.

    The one-standard-error rule (Breiman, Friedman, Olshen and Stone, Classification and Regression Trees, 1984,
    section 3.4.3): cross-validation cannot tell candidates within one standard error apart, and the films of a new
    site favour the simpler. Only candidates that differ in penalties alone have such an order: `C`, then `gamma`.
    """
    best = int(np.argmax([one.auc for one in tried]))
    if "C" not in tried[best].candidate.params:
        return best
    folds = tried[best].fold_auc
    error = float(np.std(folds, ddof=1)) / np.sqrt(len(folds))
    kind = _kind(tried[best].candidate)
    near = [i for i, one in enumerate(tried) if one.auc >= tried[best].auc - error and _kind(one.candidate) == kind]
    return min(near, key=lambda i: _strength(tried[i].candidate))


def _kind(candidate: Candidate) -> tuple[object, ...]:
    rest = sorted((name, value) for name, value in candidate.params.items() if name not in ("C", "gamma"))
    return candidate.algorithm, candidate.pooling, tuple(rest)


def _strength(candidate: Candidate) -> tuple[float, float]:
    return float(candidate.params["C"]), float(candidate.params.get("gamma", 0))
