"""Palettes that scanners and viewers lay over grey values: from black to white, uint8 (256, 3).

Viridis, plasma, inferno, magma and cividis are in the public domain (CC0, S. van der Walt, N. Smith, E. Firing,
J. Nunez and others); turbo is A. Mikhailov's (Google, Apache 2.0). The others follow from their formulas.
"""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

Path256 = NDArray[np.uint8]
TABLES = Path(__file__).with_name("palettes.npz")


@lru_cache(maxsize=1)
def palettes() -> Mapping[str, Path256]:
    """Every palette by its name."""
    with TABLES.open("rb") as stream, NpzFile(stream, allow_pickle=False) as tables:
        stored = {name: tables[name] for name in tables.files}
    return stored | {name: np.rint(255 * np.clip(rgb, 0, 1)).astype(np.uint8) for name, rgb in _computed().items()}


def _computed() -> dict[str, NDArray[np.float64]]:
    x = np.arange(256) / 255
    tent = 1.5 - np.abs(4 * x[:, None] - np.array([3, 2, 1]))  # red, green and blue peak one after the other
    thirds = np.stack([0.0416 + x / 0.381, (x - 0.365) / 0.381, (x - 0.746) / 0.254], 1)
    halves = np.stack([2 * x, 2 * x - 0.5, 2 * x - 1], 1)
    return {
        "jet": tent,
        "jet-asymmetric": _ramps(JET),
        "hot": thirds,
        "afmhot": halves,
        "rainbow": np.stack([np.abs(2 * x - 0.5), np.sin(np.pi * x), np.cos(np.pi * x / 2)], 1),
        "hue-red-to-magenta": _hue(x * 5 / 6),
        "hue-rose-to-magenta": _ramps(HUE),
        "hue-red-to-blue": _hue(x * 2 / 3),
        "copper": x[:, None] * np.array([1.25, 0.7812, 0.4975]),
        "cool": np.stack([x, 1 - x, np.ones(256)], 1),
        "spectrum": _knots(SPECTRUM),
    }


# Black, purple, blue, cyan, green, yellow, red, grey: the spectrum of nuclear medicine's viewers.
SPECTRUM = (
    (0, 0, 0), (119, 0, 136), (136, 0, 153), (0, 0, 170), (0, 0, 221), (0, 119, 221), (0, 153, 221), (0, 170, 170),
    (0, 170, 136), (0, 153, 0), (0, 187, 0), (0, 221, 0), (0, 255, 0), (187, 255, 0), (238, 238, 0), (255, 204, 0),
    (255, 153, 0), (255, 0, 0), (221, 0, 0), (204, 0, 0), (204, 204, 204),
)  # fmt: skip


def _knots(knots: tuple[tuple[int, int, int], ...]) -> NDArray[np.float64]:
    at, x = np.linspace(0, 1, len(knots)), np.arange(256) / 255
    return np.stack([np.interp(x, at, np.array(channel) / 255) for channel in zip(*knots, strict=True)], 1)


# Each channel's corners (place, value): jet and the wheel of hues as plotting libraries draw them.
JET = (
    ((0, 0), (0.35, 0), (0.66, 1), (0.89, 1), (1, 0.5)),
    ((0, 0), (0.125, 0), (0.375, 1), (0.64, 1), (0.91, 0), (1, 0)),
    ((0, 0.5), (0.11, 1), (0.34, 1), (0.65, 0), (1, 0)),
)
HUE = (
    ((0, 1), (0.215, 1), (0.4, 0), (0.77, 0), (0.954, 1), (1, 1)),
    ((0, 0), (0.03, 0), (0.215, 1), (0.586, 1), (0.77, 0), (1, 0)),
    ((0, 0.16), (0.03, 0), (0.4, 0), (0.586, 1), (0.954, 1), (1, 0.75)),
)


def _ramps(channels: tuple[tuple[tuple[float, float], ...], ...]) -> NDArray[np.float64]:
    x = np.arange(256) / 255
    return np.stack([np.interp(x, *np.array(corners).T) for corners in channels], 1)


def _hue(turns: NDArray[np.float64]) -> NDArray[np.float64]:
    """Full colours of these hues (0 red, 1/3 green, 2/3 blue)."""
    away = np.abs((turns[:, None] - np.array([0, 1 / 3, 2 / 3]) + 0.5) % 1 - 0.5)
    return np.asarray(2 - 6 * away, np.float64)
