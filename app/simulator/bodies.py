"""Bodies and the lengths of the rays inside them.

Everything is an upright body: above each column of the image stands a rectangle in (depth, height). Its
ray length is the overlap of two intervals of depth, which costs a few vector operations on the body's own
patch of the image and is exact for boxes, cylinders of either axis, heaps and sheets.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from app.simulator.beam import SUBROWS, Beam, Floats
from app.simulator.matter import Material


@dataclass(frozen=True)
class Prism:
    """A body given above each column: `near`, `far`, `bottom`, `top` in metres.

    The four are float32, (columns,) or (1,).
    """

    columns: slice
    near: Floats
    far: Floats
    bottom: Floats
    top: Floats

    @property
    def empty(self) -> bool:
        return bool(self.columns.stop <= self.columns.start)

    def rows(self, beam: Beam) -> tuple[int, int]:
        near, far = float(self.near.min()), float(self.far.max())
        return beam.rows(max(near, 0.1), far, float(self.bottom.min()), float(self.top.max()))

    def lengths(self, beam: Beam, rows: tuple[int, int]) -> Floats:
        """Metres inside, float32 (rows, columns)."""
        slope = beam.slopes(*rows)[:, None]
        secant = np.sqrt(1 + slope * slope)
        return np.asarray(_overlap(self, slope, beam.source_height_m) * secant, np.float32)

    def volume_m3(self, beam: Beam) -> float:
        area = np.maximum(self.far - self.near, 0) * np.maximum(self.top - self.bottom, 0)
        return float(np.broadcast_to(area, (self.columns.stop - self.columns.start,)).sum() * beam.x_pitch_m)


@dataclass(frozen=True)
class Bars:
    """Equal upright boxes (or one): their section, and the share of each column they cover.

    `cover` is float32 (columns,).
    """

    columns: slice
    cover: Floats
    near: float
    far: float
    bottom: float
    top: float

    @property
    def empty(self) -> bool:
        return bool(self.columns.stop <= self.columns.start)

    def rows(self, beam: Beam) -> tuple[int, int]:
        return beam.rows(self.near, self.far, self.bottom, self.top)

    def lengths(self, beam: Beam, rows: tuple[int, int]) -> Floats:
        """Metres inside, averaged over the row's height, float32 (rows, 1); `cover` is left to the caller."""
        slope = beam.slopes(*rows, fine=True)
        inside = _overlap(self, slope, beam.source_height_m) * np.sqrt(1 + slope * slope)
        return np.asarray(inside.reshape(-1, SUBROWS).mean(1)[:, None], np.float32)

    def volume_m3(self, beam: Beam) -> float:
        return float(self.cover.sum()) * beam.x_pitch_m * (self.far - self.near) * (self.top - self.bottom)


def _overlap(body: Prism | Bars, slope: Floats, source_height_m: float) -> Floats:
    """Depth that a ray spends between the body's heights and between its depths."""
    inverse = 1 / slope
    a = (body.bottom - source_height_m) * inverse
    b = (body.top - source_height_m) * inverse
    leave = np.minimum(np.maximum(a, b), body.far)
    enter = np.maximum(np.minimum(a, b), body.near)
    return np.asarray(np.maximum(leave - enter, 0), np.float32)


@dataclass(frozen=True)
class Part:
    """A body of one material; `texture`, float32 (any, any), scales its density over its patch."""

    body: Prism | Bars
    material: Material
    texture: Floats | None = None

    def mass_kg(self, beam: Beam) -> float:
        return 0.0 if self.body.empty else self.body.volume_m3(beam) * self.material.density_g_cm3 * 1000


def add(depth: Floats, beam: Beam, part: Part) -> tuple[int, int]:
    """Add one part's optical depth to `depth`, float32 (height, width), in place; the rows it touched."""
    body = part.body
    rows = (0, 0) if body.empty else body.rows(beam)
    if rows[1] <= rows[0]:
        return (0, 0)
    added = body.lengths(beam, rows) * np.float32(part.material.attenuation_per_m)
    if isinstance(body, Bars):
        added = _partly_covered(added, body.cover)
    if part.texture is not None:
        added *= stretch(part.texture, added.shape)
    depth[rows[0] : rows[1], body.columns] += added
    return rows


def _partly_covered(added: Floats, cover: Floats) -> Floats:
    """Optical depth of columns that bars cover in part: intensities average, optical depths do not."""
    if cover.min() >= 1.0:
        return np.broadcast_to(added, (added.shape[0], cover.shape[0]))
    return np.asarray(-np.log1p(cover * np.expm1(-np.minimum(added, 12.0)) * 0.99999), np.float32)


def stretch(texture: Floats, shape: tuple[int, ...]) -> Floats:
    """Bilinear enlargement of a small grid, float32 of `shape`."""
    enlarged = Image.fromarray(texture).resize((shape[1], shape[0]), Image.Resampling.BILINEAR)
    return np.asarray(enlarged, np.float32)
