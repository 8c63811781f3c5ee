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

    def slopes(self, start: int, stop: int, samples: int = 1) -> Floats:
        """Rise per metre of depth of the rays of rows [start, stop), float32 ((stop - start) * samples,)."""
        rows = start + (np.arange((stop - start) * samples) + 0.5) / samples
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

    def coverage(self, starts_m: NDArray[np.floating], width_m: float) -> Floats:
        """The share of every column that bars of `width_m` starting at `starts_m` cover, float32 (width,)."""
        first = (np.asarray(starts_m, np.float64) - self.x_left_m) / self.x_pitch_m
        edges = np.concatenate([first, first + width_m / self.x_pitch_m])
        signs = np.repeat([1.0, -1.0], len(first))
        whole = np.floor(edges).astype(int)
        slope = np.zeros(self.width + 2)
        part = edges - whole
        # The running sum of these gives the covered share: a bar edge inside a column covers it in part.
        for at, amount in ((whole, signs * (1 - part)), (whole + 1, signs * part)):
            np.add.at(slope, np.clip(at, 0, self.width + 1), amount)
        return np.clip(np.cumsum(slope)[: self.width], 0.0, 1.0).astype(np.float32)
