"""Containers in a scan of a truck: where they stand, one box each.

What is looked for is the roof: the columns whose uppermost matter lies on one level, high in the frame, over a long
stretch. A chassis is long and low, a tractor's cab high and short, the open beam has nothing on that level.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.float32]

MATTER = 0.9
"""Brightness below which a ray has passed through something: the open beam is 1, two steel sheets about 0.87."""
LEVEL = 0.07
"""Share of the height within which columns have the same roof: a tilted truck's differ so much."""
LOWEST_ROOF = 0.6
LEAST_WIDTH = 0.12
LEAST_HEIGHT = 0.3
ALIKE = 0.6
"""A second container is at least so long as the longest: 20 feet beside 20; a cab is 0.38 of them."""
DARK = 0.6
ALONG = 0.7
"""Share of a container's length along which its lowest row is dark: wheels cover less of it."""


@dataclass(frozen=True, slots=True)
class Span:
    """Rows [top, bottom) and columns [left, right) of a plane."""

    top: int
    bottom: int
    left: int
    right: int


def find_containers(plane: Grey) -> tuple[list[Span], dict[str, Any]]:
    """The containers in `plane`, float32 (h, w) in [0, 1], open beam white, from left to right; and what was found.

    No span at all where there is no long level roof, or where the box would be no container's.
    """
    height, width = plane.shape
    tops = _tops(plane)
    level = _roof_level(tops, height)
    if level is None:
        return [], {"found": "no roof"}
    runs = _runs(np.abs(tops - level) <= LEVEL * height, most_gap=max(2, round(0.02 * width)))
    longest = max(stop - start for start, stop in runs)
    if longest < LEAST_WIDTH * width:
        return [], {"found": "no roof"}
    parts = [part for run in runs if run[1] - run[0] >= ALIKE * longest for part in _apart(plane, tops, run, level)]
    spans = [_span(plane, tops, part) for part in parts]
    if not all(_plausible(span, plane.shape) for span in spans):
        return [], {"found": "no container's shape"}
    return spans, {"found": "container" if len(spans) == 1 else "containers", "count": len(spans)}


def _tops(plane: Grey) -> NDArray[np.int64]:
    """The first row of each column with matter in it and in the next ones; the height where there is none."""
    height = len(plane)
    deep = max(2, round(0.012 * height))
    matter = plane < MATTER
    lasting = matter[: height - deep].copy()
    for step in range(1, deep):
        lasting &= matter[step : height - deep + step]
    return np.where(lasting.any(0), lasting.argmax(0), height)


def _roof_level(tops: NDArray[np.int64], height: int) -> int | None:
    """The level with most matter hanging below it: columns within reach times what is left of the height."""
    counts = np.bincount(tops, minlength=height + 1)[: int(LOWEST_ROOF * height)]
    reach = max(1, round(LEVEL * height / 2))
    near = np.convolve(counts, np.ones(2 * reach + 1), mode="same")
    worth = near * (height - np.arange(len(near)))
    return int(worth.argmax()) if worth.any() else None


def _runs(on: NDArray[np.bool_], *, most_gap: int) -> list[tuple[int, int]]:
    """Runs [start, stop) of what is on; gaps of at most `most_gap` belong to them."""
    places = np.flatnonzero(on)
    if not len(places):
        return [(0, 0)]
    pieces = np.split(places, np.flatnonzero(np.diff(places) > most_gap + 1) + 1)
    return [(int(piece[0]), int(piece[-1]) + 1) for piece in pieces]


def _apart(plane: Grey, tops: NDArray[np.int64], run: tuple[int, int], level: int) -> list[tuple[int, int]]:
    """A run cut in two where the beam passes freely between two posts, somewhere about its middle."""
    start, stop = run
    length, height = stop - start, len(plane)
    band = plane[level + (height - level) // 10 : level + (height - level) // 2, start:stop]
    brightness, thinnest = band.mean(0), band.min(0)
    free = (thinnest > MATTER) & (tops[start:stop] > level + LEVEL * height)
    beside = max(3, round(0.03 * length))
    for left, right in _runs(free, most_gap=0):
        if right <= left or not 0.35 * length < (left + right) / 2 < 0.65 * length:
            continue
        posts = (brightness[max(0, left - beside) : left].min(), brightness[right : right + beside].min())
        if max(posts) < 0.75:
            return [(start, start + left), (start + right, stop)]
    return [run]


def _span(plane: Grey, tops: NDArray[np.int64], run: tuple[int, int]) -> Span:
    """From the roof down to the floor: the lowest row that is dark along most of the container."""
    start, stop = run
    height = len(plane)
    top = int(np.percentile(tops[start:stop], 10))
    dark = np.flatnonzero((plane[:, start:stop] < DARK).mean(axis=1) >= ALONG)
    low = dark[dark > top + LEAST_HEIGHT * (height - top)]
    bottom = int(low[-1]) + 1 if len(low) else height
    return Span(top, bottom, start, stop)


def _plausible(span: Span, shape: tuple[int, ...]) -> bool:
    return span.bottom - span.top >= LEAST_HEIGHT * shape[0] and span.right - span.left >= LEAST_WIDTH * shape[1]
