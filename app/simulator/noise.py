"""Seeded irregularity: smooth curves and small grids."""

from functools import cache

import numpy as np

from app.simulator.beam import Floats

NORMALS = 2**20


def normals(rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    """Standard normal noise for a picture, float32 `shape`: a stretch of one table, from a random place on.

    Drawing afresh took a tenth of a scan's time (2026-11-30); no two neighbours in a picture are related by this.
    """
    size = int(np.prod(shape))
    if size > NORMALS:
        return rng.standard_normal(shape, np.float32)
    start = int(rng.integers(NORMALS - size + 1))
    return _table()[start : start + size].reshape(shape)


@cache
def _table() -> Floats:
    return np.random.default_rng(1).standard_normal(NORMALS, np.float32)


def curve(rng: np.random.Generator, count: int, knots: int) -> Floats:
    """A smooth random curve of about unit spread, float32 (count,)."""
    values = rng.standard_normal(max(2, knots))
    at = np.linspace(0, len(values) - 1, count)
    whole = np.minimum(at.astype(int), len(values) - 2)
    part = at - whole
    eased = part * part * (3 - 2 * part)
    return np.asarray(values[whole] * (1 - eased) + values[whole + 1] * eased, np.float32)


def lumps(rng: np.random.Generator, rows: int, columns: int, contrast: float) -> Floats:
    """A density grid around 1, never negative, float32 (rows, columns)."""
    grid = 1 + contrast * rng.standard_normal((max(1, rows), max(1, columns)), np.float32)
    return np.asarray(np.clip(grid, 0.05, None), np.float32)


def tiles(rng: np.random.Generator, rows: int, columns: int, contrast: float, joint: float) -> Floats:
    """A grid of goods: each cell of its own density, lighter (joint < 1) or darker at the joints.

    float32 (5 rows, 5 columns).
    """
    cells = lumps(rng, rows, columns, contrast)
    grid = np.repeat(np.repeat(cells, 5, axis=0), 5, axis=1)
    grid[::5] *= joint
    grid[:, ::5] *= joint
    return grid
