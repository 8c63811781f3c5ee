"""The fan beam: where matter at (along, depth, height) lands on the image.

The truck drives past a source near the ground, so columns are parallel slices along the container, and within
a slice rays fan out upwards: the far wall is seen smaller and lower than the near wall, which gives scans of
this kind their roof band (rays that leave through the roof) and their floor band. Rail to rail, the real scans
at hand fit a source 6 to 7 m from the near wall and 1.4 m below the floor. Metres; height 0 is the container's
underside, depth counts from the source, `x` runs along the container from its left end.
"""

from dataclasses import dataclass
from functools import cached_property
from math import ceil, floor
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
SUBROWS = 3


class Rays(NamedTuple):
    """Depth travelled per metre of rise, and path per metre of depth."""

    inverse: Floats
    secant: Floats


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

    def rays(self, start: int, stop: int, *, fine: bool = False) -> Rays:
        """The rays of rows [start, stop), float32 (rows,); `fine` gives SUBROWS rays a row, (rows * SUBROWS,)."""
        whole, step = (self._fine_rays, SUBROWS) if fine else (self._rays, 1)
        return Rays(whole.inverse[start * step : stop * step], whole.secant[start * step : stop * step])

    @cached_property
    def _rays(self) -> Rays:
        return self._rays_at(np.arange(self.height) + 0.5)

    @cached_property
    def _fine_rays(self) -> Rays:
        return self._rays_at((np.arange(self.height * SUBROWS) + 0.5) / SUBROWS)

    def _rays_at(self, rows: NDArray[np.floating]) -> Rays:
        slopes = (self.z_top_m - rows * self.z_pitch_m - self.source_height_m) / self.near_m
        slopes = np.where(np.abs(slopes) < 1e-4, 1e-4, slopes)
        return Rays((1 / slopes).astype(np.float32), np.sqrt(1 + slopes**2).astype(np.float32))

    def row(self, z_m: float, depth_m: float) -> float:
        """The (fractional) row that a point at that height and depth lands on."""
        on_near_wall = self.source_height_m + (z_m - self.source_height_m) * self.near_m / depth_m
        return (self.z_top_m - on_near_wall) / self.z_pitch_m

    def rows(self, near_m: float, far_m: float, bottom_m: float, top_m: float) -> tuple[int, int]:
        """The rows [start, stop) a body can touch, clipped to the image."""
        start = min(self.row(top_m, near_m), self.row(top_m, far_m))
        stop = max(self.row(bottom_m, near_m), self.row(bottom_m, far_m))
        return max(0, floor(start)), min(self.height, ceil(stop))

    def columns(self, x0_m: float, x1_m: float) -> slice:
        """The columns a body touches, clipped to the image; may be empty."""
        start = floor((x0_m - self.x_left_m) / self.x_pitch_m)
        stop = ceil((x1_m - self.x_left_m) / self.x_pitch_m)
        start = min(max(start, 0), self.width)
        return slice(start, min(max(stop, start), self.width))

    def coverage_of_one(self, start_m: float, width_m: float, columns: slice) -> Floats:
        """`coverage` of a single bar: ones but for its first and last column."""
        count = columns.stop - columns.start
        covered = np.ones(count, np.float32)
        first = (start_m - self.x_left_m) / self.x_pitch_m - columns.start
        last = first + width_m / self.x_pitch_m
        for column in {0, count - 1} if count else ():
            covered[column] = min(max(min(column + 1, last) - max(column, first), 0.0), 1.0)
        return covered

    def coverage(self, starts_m: NDArray[np.floating], width_m: float, columns: slice) -> Floats:
        """The share of each of `columns` that bars starting at `starts_m` cover, float32 (columns,)."""
        first = (np.asarray(starts_m, np.float64) - self.x_left_m) / self.x_pitch_m - columns.start
        last, count = first + width_m / self.x_pitch_m, columns.stop - columns.start
        # Each edge adds to (or takes from) all columns after it, and in part to its own: sum those steps up.
        edges = np.minimum(np.maximum(np.concatenate([first, last]), 0), count)
        whole = edges.astype(np.intp)
        later = edges - whole
        later[len(first) :] *= -1
        now = later * -1
        now[: len(first)] += 1
        now[len(first) :] -= 1
        steps = np.bincount(np.concatenate([whole, whole + 1]), np.concatenate([now, later]), count + 2)
        covered = np.cumsum(steps[:count])
        return np.minimum(np.maximum(covered, 0, out=covered), 1, out=covered).astype(np.float32)
