"""The fan beam: where matter at (along, depth, height) lands on the image.

The truck drives past a source near the ground, so columns are parallel slices along the container, and within
a slice rays fan out upwards: the far wall is seen smaller and lower than the near wall, which gives scans of
this kind their roof band (rays that leave through the roof) and their floor band. Rail to rail, the real scans
at hand fit a source 6 to 7 m from the near wall and 1.4 m below the floor. Metres; height 0 is the container's
underside, depth counts from the source, `x` runs along the container from its left end.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
SUBROWS = 3


@dataclass(frozen=True)
class Beam:
    """One scan's geometry; `near_m` is the distance from the source to the container's near wall."""

    width: int
    height: int
    x_left_m: float
    x_pitch_m: float
    z_top_m: float
    z_pitch_m: float
    source_height_m: float
    near_m: float

    @cached_property
    def column_centres_m(self) -> Floats:
        """Position of every column, float32 (width,)."""
        return (self.x_left_m + (np.arange(self.width) + 0.5) * self.x_pitch_m).astype(np.float32)

    def slopes(self, start: int, stop: int, *, fine: bool = False) -> Floats:
        """Rise per metre of depth of the rays of rows [start, stop), float32 (rows,).

        `fine` gives SUBROWS rays a row, float32 (rows * SUBROWS,).
        """
        return self._fine_slopes[start * SUBROWS : stop * SUBROWS] if fine else self._slopes[start:stop]

    @cached_property
    def _slopes(self) -> Floats:
        return self._slopes_at(np.arange(self.height) + 0.5)

    @cached_property
    def _fine_slopes(self) -> Floats:
        return self._slopes_at((np.arange(self.height * SUBROWS) + 0.5) / SUBROWS)

    def _slopes_at(self, rows: NDArray[np.floating]) -> Floats:
        slopes = (self.z_top_m - rows * self.z_pitch_m - self.source_height_m) / self.near_m
        return np.where(np.abs(slopes) < 1e-4, 1e-4, slopes).astype(np.float32)

    def row(self, z_m: float, depth_m: float) -> float:
        """The (fractional) row that a point at that height and depth lands on."""
        on_near_wall = self.source_height_m + (z_m - self.source_height_m) * self.near_m / depth_m
        return (self.z_top_m - on_near_wall) / self.z_pitch_m

    def rows(self, near_m: float, far_m: float, bottom_m: float, top_m: float) -> tuple[int, int]:
        """The rows [start, stop) a body can touch, clipped to the image."""
        start = min(self.row(top_m, near_m), self.row(top_m, far_m))
        stop = max(self.row(bottom_m, near_m), self.row(bottom_m, far_m))
        return max(0, int(np.floor(start))), min(self.height, int(np.ceil(stop)))

    def columns(self, x0_m: float, x1_m: float) -> slice:
        """The columns a body touches, clipped to the image; may be empty."""
        start = int(np.floor((x0_m - self.x_left_m) / self.x_pitch_m))
        stop = int(np.ceil((x1_m - self.x_left_m) / self.x_pitch_m))
        start = min(max(start, 0), self.width)
        return slice(start, min(max(stop, start), self.width))

    def coverage(self, starts_m: NDArray[np.floating], width_m: float, columns: slice) -> Floats:
        """The share of each of `columns` that bars starting at `starts_m` cover, float32 (columns,)."""
        first = (np.asarray(starts_m, np.float64) - self.x_left_m) / self.x_pitch_m - columns.start
        last, count = first + width_m / self.x_pitch_m, columns.stop - columns.start
        if len(first) == 1:
            left = np.arange(count)
            covered = np.minimum(left + 1, last[0]) - np.maximum(left, first[0])
            return np.asarray(np.clip(covered, 0, 1), np.float32)
        # Each edge adds to (or takes from) all columns after it, and in part to its own: sum those steps up.
        edges = np.clip(np.concatenate([first, last]), 0, count)
        signs, whole = np.repeat([1.0, -1.0], len(first)), edges.astype(int)
        part = edges - whole
        steps = np.bincount(whole, signs * (1 - part), count + 2)
        steps[1:] += np.bincount(whole, signs * part, count + 1)
        return np.asarray(np.clip(np.cumsum(steps[:count]), 0, 1), np.float32)
