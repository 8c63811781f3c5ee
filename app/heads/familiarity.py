"""How far a vector lies from everything that a head was trained on: a head knows nothing of what it never saw."""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
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
# Rows that are all but copies of each other would refuse the next scan of the same machine. By the network v1 real
# containers lie up to 0.013 from simulated ones, the nearest film 0.033 (by v0 0.043 and 0.095, where the limit is
# far above this anyway); at 0.05 heads for containers judged 53 and 60 of 100 photographs, now 33 and 40.
LEAST_LIMIT = 0.02
# The distance of opposite vectors. Where training rows differ that much among themselves, nothing is a stranger.
FARTHEST = 2.0
# With fewer rows, what is usual is not known, and nothing is refused.
FEWEST_ROWS = 50
MOST_ROWS = 4096  # of which references are chosen: 0.5 s (one thread, 1,024 dimensions)
_GROUP = 32  # references looked at together; most rows are near enough to one of the first, and need no others
# Multiplications of a product that OpenBLAS does without calling its other threads. Those of a busy machine wait for
# each other: 1.0 us a row by products of this size, 272 by one product of 256 rows (two cores, load 30, 2026-11).
_ONE_THREAD = 2**18


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
        across = [1 - _greatest(units[~side], _grouped(_farthest_first(units[side]))) for side in (first, ~first)]
        usual = float(np.percentile(np.concatenate(across), 99))
        # As it will be read back from the artifact, so that a trained head and its copy answer the same.
        references = _farthest_first(units).astype(np.float16).astype(np.float32)
        return cls(references, min(max(ALLOWANCE * usual, LEAST_LIMIT), FARTHEST), usual)

    def distances(self, avg: Float32) -> Float32:
        """The cosine distance of each row (n, dimensions) to the nearest reference: float32 (n,), 0 to 2."""
        return 1 - _greatest(_units(avg), self._groups)

    def strangers(self, avg: Float32) -> tuple[Ints, Float32]:
        """Which rows (n, dimensions) lie beyond the limit, and how far each of those does.

        Most rows are near one of the first references already: 1.0 us a row against 9 for all 256.
        """
        near = _greatest(avg, self._groups[:1])
        lengths = np.sqrt(np.einsum("ij,ij->i", avg, avg))
        # A vector of zeros has no direction, and is near nothing.
        doubtful = np.flatnonzero((near < (1 - self.limit) * lengths) | (lengths == 0))
        distances = self.distances(avg[doubtful])
        beyond = distances > self.limit
        return doubtful[beyond], distances[beyond]

    @cached_property
    def _groups(self) -> list[Float32]:
        return _grouped(self.references)

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
        if (
            references.ndim != 2
            or not len(references)
            or not np.isfinite(references).all()
            or not 0 < limit <= FARTHEST
        ):
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


def _grouped(references: Float32) -> list[Float32]:
    """The references by the group, each (dimensions, up to `_GROUP`)."""
    starts = range(0, len(references), _GROUP)
    return [np.ascontiguousarray(references[start : start + _GROUP].T) for start in starts]


def _greatest(rows: Float32, groups: Sequence[Float32]) -> Float32:
    """Each row's (n, dimensions) greatest product with a reference: float32 (n,)."""
    count, dimensions = rows.shape
    block = max(1, _ONE_THREAD // (_GROUP * dimensions))
    missing = -count % block
    whole = np.concatenate([rows, np.zeros((missing, dimensions), np.float32)]) if missing else rows
    blocks = whole.reshape(-1, block, dimensions)
    best = np.full(len(whole), -np.inf, np.float32)
    for group in groups:
        np.maximum(best, (blocks @ group).max(axis=2).reshape(-1), out=best)
    return best[:count]
