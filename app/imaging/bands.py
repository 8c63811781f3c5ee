"""Lines of a frame that hold no scan: borders of one value around it, stuck detector elements across it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.float32]
Sides = tuple[int, int, int, int]

UNIFORM = 0.03
"""Spread (5th to 95th percentile) of a line that has one value, as a share of the plane's; a JPEG rings less."""
SEEN_OF_A_LINE = 100
MOST_OF_A_SIDE = 0.45
JUMP_SHARE = 0.6
# How far the scan's edge must differ from the border beside it. The open beam beside a container's thin wall, and air
# beside a body, differ by less, and belong to the scan; where a film's own edge lies there is little loss in cutting.
JUMPS = {"container": 0.4, "chest": 0.12}
INSIDE = 0.12
"""Depth of that edge, as a share of the side: a rail or a post along a border is thinner than half of it."""
DARKEST = 0.1


def spread_of(plane: Grey) -> float:
    """From the first to the 99th percentile of a plane, of about 5,000 of its pixels."""
    step = max(1, round((plane.size / 5000) ** 0.5))
    low, high = np.percentile(plane[::step, ::step], (1, 99))
    return max(float(high - low), 1e-6)


def borders(plane: Grey, profile: str) -> tuple[Sides, list[float]]:
    """Lines to leave out at the top, bottom, left and right of `plane`, float32 (h, w), and the borders' values.

    A border is a run of lines of one and the same value that ends in an abrupt step along most of its length. Sides
    with the same value as one that ends so are taken to belong to the same frame. Two frames, one in the other, are
    found one after the other.
    """
    sides, values = (0, 0, 0, 0), list[float]()
    for _ in range(2):
        inner = within(plane, sides)
        cut, value = _frame(inner, JUMPS[profile])
        if not any(cut):
            break
        values.append(round(value, 3))
        sides = (sides[0] + cut[0], sides[1] + cut[1], sides[2] + cut[2], sides[3] + cut[3])
    return sides, values


def within(plane: Grey, sides: Sides) -> Grey:
    """The plane without so many lines at its top, bottom, left and right."""
    top, bottom, left, right = sides
    return plane[top : plane.shape[0] - bottom, left : plane.shape[1] - right]


def dark_bands(plane: Grey) -> Sides:
    """Lines at the top, left and right where no beam fell, of a plane with a white open beam.

    Not at the bottom: there a dense load may leave nothing but black.
    """
    counts = [
        count if count and float(view[:count].max()) < DARKEST + UNIFORM else 0
        for view in (plane, plane.T, plane.T[::-1])
        for count in (uniform_lines(view, UNIFORM),)
    ]
    return counts[0], 0, counts[1], counts[2]


def _frame(plane: Grey, jump: float) -> tuple[Sides, float]:
    if min(plane.shape) < 32:
        return (0, 0, 0, 0), 0.0
    views = (plane, plane[::-1], plane.T, plane.T[::-1])
    spread = spread_of(plane)
    counts = [uniform_lines(view, UNIFORM * spread) for view in views]
    if not any(counts):
        return (0, 0, 0, 0), 0.0
    values = [float(np.median(view[0])) for view in views]
    ends = [
        bool(count) and _ends_abruptly(view, count, value, _beside(counts, side), jump * spread)
        for side, (view, count, value) in enumerate(zip(views, counts, values, strict=True))
    ]
    if not any(ends):
        return (0, 0, 0, 0), 0.0
    value = values[ends.index(True)]
    cut = [count if abs(own - value) <= UNIFORM * spread else 0 for count, own in zip(counts, values, strict=True)]
    return (cut[0], cut[1], cut[2], cut[3]), value


def _beside(counts: list[int], side: int) -> tuple[int, int]:
    """The border's lines at both ends of a side: left and right of the top and bottom, and the reverse."""
    return (counts[2], counts[3]) if side < 2 else (counts[0], counts[1])


def uniform_lines(view: Grey, tolerance: float) -> int:
    """How many of the first lines have one value, the same for all; 0 where they go on beyond 45 % of them."""
    most, step = int(len(view) * MOST_OF_A_SIDE), max(1, view.shape[1] // SEEN_OF_A_LINE)
    value = 0.0
    for count in range(most):  # most scans have no border, and end here with their first line
        low, middle, high = _ordered(view[count, ::step])
        value = middle if count == 0 else value
        if high - low > tolerance or abs(middle - value) > tolerance:
            return count
    return 0


def _ordered(line: Grey) -> tuple[float, float, float]:
    ordered, last = np.sort(line), len(line) - 1
    low, middle, high = ordered[[round(share * last) for share in (0.05, 0.5, 0.95)]].tolist()
    return low, middle, high


def _ends_abruptly(view: Grey, count: int, value: float, ends: tuple[int, int], needed: float) -> bool:
    depth = max(4, round(len(view) * INSIDE))
    beside = view[count + 1 : count + 1 + depth, ends[0] : view.shape[1] - ends[1]]
    if beside.size == 0:
        return False
    return bool((np.abs(np.median(beside, axis=0) - value) >= needed).mean() >= JUMP_SHARE)


def sharpened(plane: Grey, sides: Sides, factor: int) -> Sides:
    """Sides found on a plane reduced by `factor`, to the line: what of their last lines is uniform on this one."""
    views = (plane, plane[::-1], plane.T, plane.T[::-1])
    tolerance = UNIFORM * spread_of(plane)
    top, bottom, left, right = (
        _to_the_line(view, count * factor, factor, tolerance) for view, count in zip(views, sides, strict=True)
    )
    return top, bottom, left, right


def _to_the_line(view: Grey, count: int, factor: int, tolerance: float) -> int:
    if not count:
        return 0
    value, step = float(np.median(view[0])), max(1, view.shape[1] // SEEN_OF_A_LINE)
    for line in range(count - factor, min(count + 2 * factor, len(view))):
        # The median alone: at its ends the line crosses the other sides.
        if abs(float(np.median(view[line, ::step])) - value) > tolerance:
            return line
    return count


@dataclass(frozen=True)
class Lines:
    """Runs [start, stop) of stuck rows and columns."""

    rows: tuple[tuple[int, int], ...]
    columns: tuple[tuple[int, int], ...]

    @property
    def any(self) -> bool:
        return bool(self.rows or self.columns)


STUCK = 0.024
ALIVE = 0.08
APART = 0.1
BESIDE = 4


def stuck_lines(plane: Grey) -> Lines:
    """Rows and columns of one value between lines that are not, or have another: elements that read the same whatever
    comes. At most 3 lines (or 0.6 % of the side) together: a wider gap cannot be bridged. float32 (h, w).
    """
    height, width = plane.shape
    spread = spread_of(plane)
    rows = _stuck(plane[:, :: max(1, width // 256)], spread)
    return Lines(rows, _stuck(plane.T[:, :: max(1, height // 256)], spread))


def _stuck(view: Grey, spread: float) -> tuple[tuple[int, int], ...]:
    count = len(view)
    if count < 4 * BESIDE:
        return ()
    deviation, mean = view.std(axis=1) / spread, view.mean(axis=1) / spread
    still = np.flatnonzero(deviation < STUCK)
    if not len(still):
        return ()
    breaks = (np.diff(still) > 1) | (np.abs(np.diff(mean[still])) > APART)
    widest = max(3, round(count * 0.006))
    found = list[tuple[int, int]]()
    for run in np.split(still, np.flatnonzero(breaks) + 1):
        start, stop = int(run[0]), int(run[-1]) + 1
        if start < BESIDE or stop > count - BESIDE or stop - start > widest:
            continue
        beside = np.r_[start - BESIDE : start - 1, stop + 1 : stop + BESIDE]
        alive = deviation[beside] >= ALIVE
        if (alive | (np.abs(mean[beside] - mean[start:stop].mean()) >= APART)).all():
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
