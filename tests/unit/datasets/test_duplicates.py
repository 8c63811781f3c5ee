"""Copies are found whatever the tiles, and units that they join become one."""

import numpy as np
import pytest

from app.datasets import duplicates
from app.errors import InvalidInput


@pytest.fixture
def avg() -> np.ndarray:
    """Sixty rows, no two alike."""
    return np.random.default_rng(0).random((60, 32), dtype=np.float32)


@pytest.mark.parametrize("tile", [1, 7, 2048])
def test_pairs_across_sides_are_those_of_all_cosines(
    avg: np.ndarray, tile: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duplicates, "TILE_ROWS", tile)
    sides = np.arange(60) % 3
    unit = avg / np.linalg.norm(avg, axis=1, keepdims=True)
    cosines = unit @ unit.T
    wanted = [(i, j) for i in range(60) for j in range(i + 1, 60) if sides[i] != sides[j] and cosines[i, j] >= 0.85]
    found = duplicates.across(avg, sides, 0.85)
    assert found.pairs == len(wanted) > duplicates.WORST
    assert len(found.worst) == duplicates.WORST
    best = max(wanted, key=lambda pair: cosines[pair])
    assert tuple(sorted(found.worst[0].tolist())) == best
    assert (np.diff(found.cosines) <= 0).all()


def test_rows_of_one_side_are_not_compared(avg: np.ndarray) -> None:
    avg[1] = avg[0]
    assert duplicates.across(avg, np.arange(60) // 2, 0.9999).pairs == 0


def test_an_exact_copy_reaches_a_bound_of_one(avg: np.ndarray) -> None:
    avg[1] = avg[0]
    assert duplicates.across(avg, np.arange(60) % 2, 1.0).pairs == 1


@pytest.mark.parametrize("tile", [3, 2048])
def test_a_chain_of_copies_becomes_one_unit(avg: np.ndarray, tile: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "TILE_ROWS", tile)
    avg[40], avg[5] = avg[20], avg[50]
    units = np.arange(60)
    units[20], units[50] = 3, 3
    joined = duplicates.joined(avg, units, 0.9999)
    assert len({joined[row] for row in (3, 20, 40, 50, 5)}) == 1
    assert len(np.unique(joined)) == 60 - 4


def test_a_row_of_zeros_is_no_copy_of_anything(avg: np.ndarray) -> None:
    avg[:2] = 0
    assert duplicates.across(avg, np.arange(60) % 2, 0.9999).pairs == 0


@pytest.mark.parametrize("bound", [0.0, 1.01, float("nan")])
def test_a_bound_that_says_nothing_is_refused(bound: float) -> None:
    with pytest.raises(InvalidInput, match="cosine"):
        duplicates.check_bound(bound)
