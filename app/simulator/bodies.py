"""Bodies and the lengths of the rays inside them.

Everything is an upright body: above each column of the image stands a rectangle in (depth, height). Its
ray length is the overlap of two intervals of depth, which costs a few vector operations on the body's own
patch of the image and is exact for boxes, cylinders of either axis, heaps and sheets.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from app.simulator.beam import SUBROWS, Beam, Floats, Rays
from app.simulator.matter import REFERENCE_MEV, Material, mass_attenuation
from app.simulator.thickness import Thickness

THIN = 0.08
"""Optical depth, at half a body's height, below which averages of thickness and of intensity are taken for one."""


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
        near, far = _least(self.near), -_least(-self.far)
        return beam.rows(max(near, 0.1), far, _least(self.bottom), -_least(-self.top))

    def lengths(self, beam: Beam, rows: tuple[int, int]) -> Floats:
        """Metres inside, float32 (rows, columns)."""
        rays = beam.rays(*rows)
        inside = _overlap(self, rays.inverse[:, None], beam.source_height_m)
        inside *= rays.secant[:, None]
        return inside

    def volume_m3(self, beam: Beam) -> float:
        area = np.maximum(self.far - self.near, 0) * np.maximum(self.top - self.bottom, 0)
        copies = (self.columns.stop - self.columns.start) / len(area)
        return float(area.sum() * copies * beam.x_pitch_m)


@dataclass(frozen=True)
class Bars:
    """Equal upright boxes (or one): their section, and the share of each column they cover.

    `cover` is float32 (columns,); of a single box, `single`, only its first and last column are covered in part.
    """

    columns: slice
    cover: Floats
    near: float
    far: float
    bottom: float
    top: float
    single: bool = False

    @property
    def empty(self) -> bool:
        return bool(self.columns.stop <= self.columns.start)

    def at(self, depth_m: tuple[float, float], z_m: tuple[float, float]) -> "Bars":
        """The same bars elsewhere in depth and height: what they cover of the columns need not be found again."""
        return Bars(self.columns, self.cover, *depth_m, *z_m, single=self.single)

    def rows(self, beam: Beam) -> tuple[int, int]:
        return beam.rows(self.near, self.far, self.bottom, self.top)

    def lengths(self, beam: Beam, rows: tuple[int, int]) -> Floats:
        """Metres inside, averaged over the row's height, float32 (rows, 1); `cover` is left to the caller."""
        rays: Rays = beam.rays(*rows, fine=True)
        inside = _overlap(self, rays.inverse, beam.source_height_m) * rays.secant
        split = inside.reshape(-1, SUBROWS)
        return np.asarray((split[:, 0] + split[:, 1] + split[:, 2])[:, None] * np.float32(1 / SUBROWS), np.float32)

    def volume_m3(self, beam: Beam) -> float:
        return float(self.cover.sum()) * beam.x_pitch_m * (self.far - self.near) * (self.top - self.bottom)


def _least(values: Floats) -> float:
    """The minimum; most limits are one value, which a reduction would take ten times as long for."""
    return float(values[0]) if len(values) == 1 else float(values.min())


def _overlap(body: Prism | Bars, inverse_slope: Floats, source_height_m: float) -> Floats:
    """Depth that a ray spends between the body's heights and between its depths."""
    a = (body.bottom - source_height_m) * inverse_slope
    b = (body.top - source_height_m) * inverse_slope
    leave = np.minimum(np.maximum(a, b), body.far)
    leave -= np.maximum(np.minimum(a, b), body.near)
    return np.asarray(np.maximum(leave, 0, out=leave), np.float32)


@dataclass(frozen=True)
class Part:
    """A body of one material; `texture`, float32 (any, any), scales its density over its patch.

    Where it is not `outlined`, the box of its item does not grow by it.
    """

    body: Prism | Bars
    material: Material
    texture: Floats | None = None
    outlined: bool = True

    def mass_kg(self, beam: Beam) -> float:
        return 0.0 if self.body.empty else self.body.volume_m3(beam) * self.material.density_g_cm3 * 1000


def add(thickness: Thickness, beam: Beam, part: Part) -> tuple[int, int]:
    """Add one part's mass thickness to `thickness` in place; the rows it touched."""
    body = part.body
    rows = (0, 0) if body.empty else body.rows(beam)
    if rows[1] <= rows[0]:
        return (0, 0)
    if not part.material.density_g_cm3:
        return rows
    added = body.lengths(beam, rows) * np.float32(part.material.density_g_cm3 * 100)
    target = thickness.of(part.material.matter)[rows[0] : rows[1], body.columns]
    if isinstance(body, Bars):
        if part.texture is None:
            _add_bars(target, added, body, part.material)
            return rows
        added = _partly_covered(added, body.cover, part.material)
    if part.texture is not None:
        added *= stretch(part.texture, added.shape)
    target += added
    return rows


def _add_bars(target: Floats, added: Floats, body: Bars, material: Material) -> None:
    """A box adds to whole columns, but in part to its outermost two; most columns of a comb may be free."""
    cover, count = body.cover, len(body.cover)
    if body.single and count > 2:
        target[:, 1:-1] += added
        target[:, :: count - 1] += _partly_covered(added, cover[:: count - 1], material)
        return
    touched = np.flatnonzero(cover)
    if 3 * len(touched) < count:
        target[:, touched] += _partly_covered(added, cover[touched], material)
    else:
        target += _partly_covered(added, cover, material)


def _partly_covered(added: Floats, cover: Floats, material: Material) -> Floats:
    """Mass thickness of columns that bars cover in part: intensities average, thicknesses do not.

    They average at the reference energy; thin bars are a little too dark or too light at others.
    """
    if len(cover) == 1 and cover[0] >= 1.0:
        return added
    per = np.float32(mass_attenuation(material.matter, REFERENCE_MEV))
    if abs(float(added[len(added) // 2, 0])) * per < THIN:
        return added * cover
    lost = np.expm1(np.maximum(added * -per, np.float32(-12.0))) * np.float32(0.99999)
    return np.asarray(np.log1p(lost * cover) * (-1 / per), np.float32)


def stretch(texture: Floats, shape: tuple[int, ...]) -> Floats:
    """Bilinear enlargement of a small grid, float32 of `shape`."""
    enlarged = Image.fromarray(texture).resize((shape[1], shape[0]), Image.Resampling.BILINEAR)
    return np.asarray(enlarged, np.float32)
