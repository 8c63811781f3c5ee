"""How far a vector lies from everything that a head was trained on: a head knows nothing of what it never saw."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from app.errors import HeadRefused
from app.heads.arrays import Float32, Ints

# Measured 2026-11 on DenseNet121 features: with 256 references the real containers lie within 1.1 of a head that was
# trained on simulated ones (in its own `usual`), with 64 within 1.3, and of 66 grey photographs 72 % were refused
# instead of 55 %. More references changed nothing.
REFERENCES = 256
# What a distance may be, in what 99 % of training rows keep to the rows of other subjects. Real containers came to
# 1.1 (trained on simulated scans), films of other hospitals to 1.2 at the median and 3.1 at the 99th percentile, films
# to a head for containers to 4.0 and more, containers to one for films to 3.7 and more.
ALLOWANCE = 2.5
# Rows that are all but copies of each other would refuse the next scan of the same machine. Real containers lie up to
# 0.043 from simulated ones, the nearest film 0.095.
LEAST_LIMIT = 0.05
# With fewer rows, what is usual is not known, and nothing is refused.
FEWEST_ROWS = 50
MOST_ROWS = 4096  # of which references are chosen: 0.5 s (one thread, 1,024 dimensions)
_FIRST = 32  # references by which most rows are known to be near enough, and need no others


@dataclass(frozen=True)
class Familiarity:
    """`references` float32 (k, dimensions), unit length, each further than the next from all before it; `limit` is
    the greatest cosine distance to the nearest of them that a row may have; `usual` the one that 99 % of training
    rows keep."""

    references: Float32
    limit: float
    usual: float

    @classmethod
    def fit(cls, avg: Float32, groups: Ints | None = None, *, seed: int = 0) -> "Familiarity | None":
        """Choose references among training rows `avg` (n, dimensions), and the limit; None for fewer than 50 rows.

        The distance to the nearest training vector: Sun et al., "Out-of-Distribution Detection with Deep Nearest
        Neighbors", ICML 2022, with their normalisation and k = 1. Instead of a random share of the rows, k-center
        references (Gonzalez 1985, farthest first), which leave no kind of scan without one. What is usual is
        measured between two halves of the rows, a subject (`groups`, (n,)) on one side only.
        """
        if len(avg) < FEWEST_ROWS:
            return None
        rows = np.linspace(0, len(avg) - 1, min(len(avg), MOST_ROWS)).astype(np.int64)
        units, subjects = _units(avg[rows]), rows if groups is None else np.asarray(groups)[rows]
        first = _half(subjects, seed)
        if first.all() or not first.any():
            return None
        across = [_nearest(units[~side], _farthest_first(units[side])) for side in (first, ~first)]
        usual = float(np.percentile(np.concatenate(across), 99))
        # As it will be read back from the artifact, so that a trained head and its copy answer the same.
        references = _farthest_first(units).astype(np.float16).astype(np.float32)
        return cls(references, max(ALLOWANCE * usual, LEAST_LIMIT), usual)

    def distances(self, avg: Float32) -> Float32:
        """The cosine distance of each row (n, dimensions) to the nearest reference: float32 (n,), 0 to 2."""
        return _nearest(_units(avg), self.references)

    def strangers(self, avg: Float32) -> tuple[Ints, Float32]:
        """Which rows (n, dimensions) lie beyond the limit, and how far each of those does.

        Most rows are near one of the first references already: 1.3 us a row against 6.7 for all 256.
        """
        near = avg @ self.references[:_FIRST].T
        lengths = np.sqrt(np.einsum("ij,ij->i", avg, avg))
        doubtful = np.flatnonzero(near.max(axis=1) < (1 - self.limit) * lengths)
        # A vector of zeros has no direction, and is near nothing.
        doubtful = np.union1d(doubtful, np.flatnonzero(lengths == 0))
        distances = self.distances(avg[doubtful])
        beyond = distances > self.limit
        return doubtful[beyond], distances[beyond]

    def to_json(self) -> str:
        content = np.ascontiguousarray(self.references, dtype="<f2").tobytes()
        described: dict[str, Any] = {
            "method": "cosine distance to the nearest reference",
            "limit": self.limit,
            "usual": self.usual,
            "shape": list(self.references.shape),
            "float16": base64.b64encode(content).decode("ascii"),
        }
        return json.dumps(described, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "Familiarity":
        """Read what `to_json` wrote; raises `HeadRefused` for anything else."""
        try:
            raw: Mapping[str, Any] = json.loads(text)
            content = base64.b64decode(raw["float16"], validate=True)
            references = np.frombuffer(content, dtype="<f2").astype(np.float32).reshape(raw["shape"])
            limit, usual = float(raw["limit"]), float(raw["usual"])
        except (ValueError, TypeError, KeyError) as error:
            raise HeadRefused(f"What the head is familiar with cannot be read ({error!r}); train it again") from error
        if references.ndim != 2 or not len(references) or not np.isfinite(references).all() or not 0 < limit <= 2:
            raise HeadRefused("What the head is familiar with is no list of vectors and a limit; train it again")
        return cls(references, limit, usual)


def _units(avg: Float32) -> Float32:
    lengths = np.sqrt(np.einsum("ij,ij->i", avg, avg))
    return np.asarray(avg / np.maximum(lengths, np.finfo(np.float32).tiny)[:, None])


def _half(subjects: Ints, seed: int) -> np.ndarray:
    """Which rows belong to one half of the subjects."""
    names, codes = np.unique(subjects, return_inverse=True)
    order = np.random.default_rng(seed).permutation(len(names))
    return np.asarray(order[codes] < len(names) // 2)


def _farthest_first(units: Float32) -> Float32:
    """Up to `REFERENCES` of the rows (n, dimensions), from the first on always the one furthest from those chosen."""
    chosen = [0]
    distances = 1 - units @ units[0]
    for _ in range(min(REFERENCES, len(units)) - 1):
        chosen.append(int(distances.argmax()))
        np.minimum(distances, 1 - units @ units[chosen[-1]], out=distances)
    return units[chosen]


def _nearest(units: Float32, references: Float32) -> Float32:
    if not len(units):
        return np.empty(0, np.float32)
    return np.asarray(1 - (units @ references.T).max(axis=1), dtype=np.float32)
