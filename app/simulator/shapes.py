"""Bodies by name: boxes, combs of bars, standing and lying cylinders, tubes."""

import numpy as np
from numpy.typing import NDArray

from app.simulator.beam import Beam, Floats
from app.simulator.bodies import Bars, Part, Prism
from app.simulator.matter import Material

Pair = tuple[float, float]
At = tuple[float | NDArray[np.floating], float]
Limits = tuple[float | NDArray[np.floating], float | NDArray[np.floating]]


def comb(beam: Beam, starts_m: NDArray[np.floating], width_m: float, depth_m: Pair, z_m: Pair) -> Bars:
    """Equal boxes that start at `starts_m` and are `width_m` wide along the container."""
    if len(starts_m) == 0:
        return Bars(slice(0, 0), np.zeros(0, np.float32), *depth_m, *z_m)
    columns = beam.columns(float(np.min(starts_m)), float(np.max(starts_m)) + width_m)
    cover = beam.coverage(starts_m, width_m, columns)
    return Bars(columns, cover, *depth_m, *z_m)


def box(beam: Beam, x_m: Pair, depth_m: Pair, z_m: Pair) -> Bars:
    columns, wide = beam.columns(*x_m), x_m[1] - x_m[0]
    return Bars(columns, beam.coverage_of_one(x_m[0], wide, columns), *depth_m, *z_m, single=True)


def prism(beam: Beam, x_m: Pair, depth_m: Limits, z_m: Limits) -> Prism:
    """A body whose limits in depth and height may vary along the columns of `beam.columns(*x_m)`."""
    limits = (np.array(limit, np.float32, ndmin=1) for limit in (*depth_m, *z_m))
    return Prism(beam.columns(*x_m), *limits)


def across(beam: Beam, x_m: Pair) -> Floats:
    """Position of the columns of [x0, x1] from -1 to 1, float32 (columns,)."""
    centres = beam.column_centres_m[beam.columns(*x_m)]
    middle, half = (x_m[0] + x_m[1]) / 2, max((x_m[1] - x_m[0]) / 2, 1e-6)
    return np.asarray(np.clip((centres - middle) / half, -1, 1), np.float32)


def upright(beam: Beam, at_m: At, radius_m: float, z_m: Pair) -> Prism:
    """A standing cylinder; `at_m` is its axis, along and in depth. Several along make one body, as of `crosswise`."""
    span, half = _chords(beam, at_m[0], radius_m)
    return prism(beam, span, (at_m[1] - half, at_m[1] + half), z_m)


def crosswise(beam: Beam, at_m: At, radius_m: float, depth_m: Pair) -> Prism:
    """A lying cylinder whose axis points at the source, a wheel or a coil; `at_m` is along and height.

    Several along make one body of equal cylinders side by side, which costs hardly more than one.
    """
    span, half = _chords(beam, at_m[0], radius_m)
    return prism(beam, span, depth_m, (at_m[1] - half, at_m[1] + half))


def _chords(beam: Beam, along_m: float | NDArray[np.floating], radius_m: float) -> tuple[Pair, Floats]:
    """The stretch of circles side by side, and half their chord above each of its columns."""
    along = np.array(along_m, np.float32, ndmin=1)
    span = (float(along.min()) - radius_m, float(along.max()) + radius_m)
    centres = beam.column_centres_m[beam.columns(*span)]
    away = np.abs(centres - along[:, None]).min(0) / np.float32(radius_m)
    return span, np.asarray(radius_m * np.sqrt(np.maximum(1 - away * away, 0)), np.float32)


def tube(beam: Beam, at_m: At, radii_m: Pair, z_m: Pair, of: Material) -> list[Part]:
    """A standing hollow cylinder; radii inside, outside."""
    return [
        Part(upright(beam, at_m, radii_m[1], z_m), of),
        Part(upright(beam, at_m, radii_m[0], z_m), of.hole()),
    ]


def ring(beam: Beam, at_m: At, radii_m: Pair, depth_m: Pair, of: Material) -> list[Part]:
    """A lying hollow cylinder seen along its axis; radii inside, outside."""
    return [
        Part(crosswise(beam, at_m, radii_m[1], depth_m), of),
        Part(crosswise(beam, at_m, radii_m[0], depth_m), of.hole()),
    ]
