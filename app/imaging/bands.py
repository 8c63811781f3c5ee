"""Lines of a frame that hold no scan: borders of one value around it, stuck detector elements across it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.float32]
Sides = tuple[int, int, int, int]

UNIFORM = 8 / 255
"""Spread (5th to 95th percentile) of a line that has one value; a JPEG's ringing stays below."""
MOST_OF_A_SIDE = 0.45
JUMP_SHARE = 0.6
# How far the scan's edge must differ from the border beside it. The open beam beside a container's thin wall, and air
# beside a body, differ by less, and belong to the scan; where a film's own edge lies there is little loss in cutting.
JUMPS = {"container": 0.4, "chest": 0.12}
INSIDE = 0.05


def borders(plane: Grey, profile: str) -> tuple[Sides, dict[str, Any]]:
    """Lines to leave out at the top, bottom, left and right of `plane`, float32 (h, w), and what was found.

    A border is a run of lines of one and the same value that ends in an abrupt step along most of its length. Sides
    with the same value as one that ends so are taken to belong to the same frame. Two frames, one in the other, are
    found one after the other.
    """
    top, bottom, left, right = 0, 0, 0, 0
    values = list[float]()
    for _ in range(2):
        inner = plane[top : plane.shape[0] - bottom, left : plane.shape[1] - right]
        cut, value = _frame(inner, JUMPS[profile])
        if not any(cut):
            break
        values.append(round(value, 3))
        top, bottom, left, right = top + cut[0], bottom + cut[1], left + cut[2], right + cut[3]
    sides = (top, bottom, left, right)
    return sides, {"found": "border", "values": values} if any(sides) else {"found": "none"}


def _frame(plane: Grey, jump: float) -> tuple[Sides, float]:
    if min(plane.shape) < 32:
        return (0, 0, 0, 0), 0.0
    views = (plane, plane[::-1], plane.T, plane.T[::-1])
    counts = [_uniform(view) for view in views]
    values = [float(np.median(view[0])) for view in views]
    low, high = np.percentile(plane, (1, 99))
    needed = jump * max(float(high - low), 1e-6)
    ends = [
        bool(count) and _ends_abruptly(view, count, value, ends_of(counts, side), needed)
        for side, (view, count, value) in enumerate(zip(views, counts, values, strict=True))
    ]
    if not any(ends):
        return (0, 0, 0, 0), 0.0
    value = values[ends.index(True)]
    cut = [
        # One line more: the scan's edge is blurred into the border.
        count + 1 if count and abs(own - value) <= UNIFORM else 0
        for count, own in zip(counts, values, strict=True)
    ]
    return (cut[0], cut[1], cut[2], cut[3]), value


def ends_of(counts: list[int], side: int) -> tuple[int, int]:
    """The border's lines at both ends of a side: left and right of the top and bottom, and the reverse."""
    return (counts[2], counts[3]) if side < 2 else (counts[0], counts[1])


def _uniform(view: Grey) -> int:
    """Lines of one value, the same for all, from the first on; 0 where they go on beyond the middle."""
    most = int(len(view) * MOST_OF_A_SIDE)
    lines = view[:most]
    low, high = np.percentile(lines, (5, 95), axis=1)
    same = (high - low <= UNIFORM) & (np.abs(np.median(lines, axis=1) - np.median(lines[0])) <= UNIFORM)
    return 0 if same.all() else int(np.argmin(same))


def _ends_abruptly(view: Grey, count: int, value: float, ends: tuple[int, int], needed: float) -> bool:
    depth = max(4, round(len(view) * INSIDE))
    beside = view[count + 1 : count + 1 + depth, ends[0] : view.shape[1] - ends[1]]
    if beside.size == 0:
        return False
    return bool((np.abs(np.median(beside, axis=0) - value) >= needed).mean() >= JUMP_SHARE)


@dataclass(frozen=True)
class Lines:
    """Runs [start, stop) of stuck rows and columns."""

    rows: tuple[tuple[int, int], ...]
    columns: tuple[tuple[int, int], ...]

    @property
    def any(self) -> bool:
        return bool(self.rows or self.columns)


STUCK = 6 / 255
ALIVE = 0.08
BESIDE = 4


def stuck_lines(plane: Grey) -> Lines:
    """Rows and columns of one value between lines that are not: elements that read the same whatever comes.

    At most 3 lines (or 0.6 % of the side) together: a wider gap cannot be bridged. float32 (h, w).
    """
    height, width = plane.shape
    return Lines(_stuck(plane[:, :: max(1, width // 256)]), _stuck(plane.T[:, :: max(1, height // 256)]))


def _stuck(view: Grey) -> tuple[tuple[int, int], ...]:
    count = len(view)
    if count < 4 * BESIDE:
        return ()
    spread = view.std(axis=1)
    still = np.flatnonzero(spread < STUCK)
    if not len(still):
        return ()
    runs = np.split(still, np.flatnonzero(np.diff(still) > 1) + 1)
    widest = max(3, round(count * 0.006))
    found = list[tuple[int, int]]()
    for run in runs:
        start, stop = int(run[0]), int(run[-1]) + 1
        if start < BESIDE or stop > count - BESIDE or stop - start > widest:
            continue
        beside = np.r_[spread[start - BESIDE : start - 1], spread[stop + 1 : stop + BESIDE]]
        if beside.min() >= ALIVE:
            found.append((start, stop))
    return tuple(found)


def bridged(plane: Grey, lines: Lines) -> Grey:
    """A copy in which stuck lines, and one beside them on either side, go straight from neighbour to neighbour."""
    repaired = plane.copy()
    for view, runs in ((repaired, lines.rows), (repaired.T, lines.columns)):
        for start, stop in runs:
            before, after = start - 2, stop + 1
            share = np.linspace(0, 1, after - before + 1, dtype=np.float32)[1:-1, None]
            view[before + 1 : after] = view[before] * (1 - share) + view[after] * share
    return repaired
