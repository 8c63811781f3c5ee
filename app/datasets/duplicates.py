"""Rows that are so alike that one is probably a copy of the other."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.errors import InvalidInput

Floats = NDArray[np.float32]
Codes = NDArray[np.int64]

# Cosine of `avg`, as it is: of 13.6 million pairs of chest films of different patients none reaches it, while each
# film does after another JPEG quality of 75 and more, a reduction to 512 pixels or a change of exposure. Centred
# vectors part copies from strangers no better, and depend on what else is in the dataset. See docs/datasets.md.
BOUND = 0.998
TILE_ROWS = 2048  # a tile of cosines takes 16 MiB
WORST = 20


@dataclass(frozen=True)
class Duplicates:
    """`pairs` alike rows there are; `worst` int (k, 2) of them are named with their `cosines` (k,), greatest first."""

    pairs: int
    worst: Codes
    cosines: NDArray[np.float64]


def check_bound(bound: float) -> None:
    """Raise InvalidInput for a bound that says nothing."""
    if not 0.5 <= bound <= 1:
        raise InvalidInput(f"A bound of {bound} on the cosine: give 0.5 to 1, such as {BOUND}.")


def across(avg: Floats, sides: Codes, bound: float) -> Duplicates:
    """Find the pairs of rows on different sides whose cosine reaches `bound`; `avg` float32 (n, dim), `sides` (n,).

    Memory is bounded by the tile; time is that of the products between the sides.
    """
    pairs, worst, cosines = 0, np.zeros((0, 2), np.int64), np.zeros(0, np.float64)
    rows_of = [np.flatnonzero(sides == side) for side in np.unique(sides)]
    for one, rows in enumerate(rows_of):
        for others in rows_of[one + 1 :]:
            for first, second, values in _tiles(avg, rows, others):
                found = np.argwhere(values >= _floor(bound))
                pairs += len(found)
                near = values[found[:, 0], found[:, 1]].astype(np.float64)
                named = np.stack([first[found[:, 0]], second[found[:, 1]]], axis=1)
                worst, cosines = _greatest(np.concatenate([worst, named]), np.concatenate([cosines, near]))
    return Duplicates(pairs, worst, cosines)


def joined(avg: Floats, units: Codes, bound: float) -> Codes:
    """Return unit numbers (n,) where units with rows as alike as `bound` have become one, however long the chain."""
    _, labels = np.unique(units, return_inverse=True)
    everything = np.arange(len(avg))
    for first, second, values in _tiles(avg, everything, everything, upper=True):
        alike = values >= _floor(bound)
        for row in np.flatnonzero(alike.any(axis=1)):
            found = np.unique(labels[np.r_[first[row], second[alike[row]]]])
            if len(found) > 1:
                labels[np.isin(labels, found)] = found[0]
    return np.asarray(labels, np.int64)


def _floor(bound: float) -> float:
    """Rounding in float32 must not part a row from its exact copy."""
    return bound - 1e-6


def _tiles(avg: Floats, rows: Codes, others: Codes, *, upper: bool = False) -> Iterator[tuple[Codes, Codes, Floats]]:
    for start in range(0, len(rows), TILE_ROWS):
        first = rows[start : start + TILE_ROWS]
        left = _unit(avg[first])
        for across_start in range(start if upper else 0, len(others), TILE_ROWS):
            second = others[across_start : across_start + TILE_ROWS]
            yield first, second, left @ _unit(avg[second]).T


def _unit(vectors: Floats) -> Floats:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, np.finfo(np.float32).tiny), np.float32)


def _greatest(pairs: Codes, cosines: NDArray[np.float64]) -> tuple[Codes, NDArray[np.float64]]:
    order = np.lexsort((pairs[:, 1], pairs[:, 0], -cosines))[:WORST]
    return pairs[order], cosines[order]
