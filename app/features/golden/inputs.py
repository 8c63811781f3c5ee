"""Golden scans: pictures made by integer formulas, the same on every machine and library version.

They look like the work at hand (a container with cargo, a chest, a wedge, dense texture) so that every
layer answers, and go through the whole chain: encoded file, depth, colour, orientation, resize.
"""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from app.imaging import Limits, Preprocessing, load
from app.imaging.palettes import palettes

LIMITS = Limits(max_bytes=1 << 24, max_pixels=1 << 20, min_side=1)
ORIENTATION_TAG = 0x0112

Plane = NDArray[np.int64]


def golden_scans() -> list[bytes]:
    """Four PNG files: 8-bit grey, 8-bit grey on its side by EXIF, 16-bit grey, 8-bit colour."""
    return [
        _png(_container(288, 640).astype(np.uint8)),
        _png(np.rot90(_chest(430, 372)).astype(np.uint8), orientation=6),
        # 110 of 257 between two 8-bit levels, so that a detour through 8 bits shows in the pixels.
        _png((_wedge(260, 300) * 257 + 110).astype(np.uint16)),
        _png(np.stack([_texture(250, 250, seed) for seed in (3, 5, 11)], axis=-1).astype(np.uint8)),
    ]


def profile_scans() -> list[bytes]:
    """Four PNG files that a profile's steps have work with, made of the same pictures.

    A container inverted, in part of 16 bits and in a black frame; a chest inverted, on its side; a container with
    stuck lines under a red box; a container through the jet palette.
    """
    box, chest = _container(288, 640), _chest(430, 372)
    box[8:26], box[-40:-12] = 228 - box[8:26] // 8, 96 + box[-40:-12] // 2  # thin rails, as containers have them
    container = np.pad(box, ((18, 30), (40, 90)), constant_values=252)
    deep = np.pad(9000 + 90 * (255 - container), 24)
    marked = container.copy()
    marked[131], marked[:, 333] = 255, 0
    coloured = np.repeat(marked[..., None], 3, axis=-1)
    coloured[60:200, 200:203], coloured[60:200, 300:303] = (255, 0, 0), (255, 0, 0)
    coloured[60:63, 200:303], coloured[197:200, 200:303] = (255, 0, 0), (255, 0, 0)
    return [
        _png(deep.astype(np.uint16)),
        _png(np.rot90(255 - chest).astype(np.uint8), orientation=6),
        _png(coloured.astype(np.uint8)),
        _png(palettes()["jet"][container]),
    ]


def prepared_scans(preprocessing: Preprocessing) -> NDArray[np.float32]:
    """The golden scans as the network gets them: float32 (4, height, width) in [0, 1].

    `golden_scans` for plain preprocessing, `profile_scans` for one with a profile.
    """
    scans = golden_scans() if preprocessing.profile is None else profile_scans()
    return np.stack([load(scan, LIMITS, preprocessing) for scan in scans])


def _png(pixels: NDArray[np.uint8] | NDArray[np.uint16], *, orientation: int = 1) -> bytes:
    stream = io.BytesIO()
    exif = Image.Exif()
    exif[ORIENTATION_TAG] = orientation
    Image.fromarray(np.ascontiguousarray(pixels)).save(stream, "PNG", exif=exif)
    return stream.getvalue()


def _grid(height: int, width: int) -> tuple[Plane, Plane]:
    rows, columns = np.mgrid[0:height, 0:width].astype(np.int64)
    return rows, columns


def _noise(height: int, width: int, seed: int) -> Plane:
    """Integers 0 to 15 without visible order (a multiplicative hash of the position)."""
    rows, columns = _grid(height, width)
    mixed = (rows * 73856093 ^ columns * 19349663 ^ seed * 83492791) % 65537
    return mixed * mixed % 65537 >> 12


def _container(height: int, width: int) -> Plane:
    """A bright box with corrugated walls, rails, and cargo: discs, crates and a dense block."""
    rows, columns = _grid(height, width)
    plane = 236 - 10 * ((columns // 5) % 2) - columns // 40
    plane = np.where((rows < 26) | (rows > height - 40), 70 + rows % 9, plane)
    for middle, radius in ((150, 40), (260, 55), (400, 30)):
        inside = (columns - middle) ** 2 + (rows - height + 100) ** 2 < radius * radius
        plane = np.where(inside, plane * 5 // 9, plane)
    crate = (columns > 450) & (columns < 600) & (rows > 110) & (rows < height - 40)
    plane = np.where(crate, 60 + 25 * ((columns // 21 + rows // 17) % 3), plane)
    return (plane - _noise(height, width, 1) // 2).clip(0, 255)


def _chest(height: int, width: int) -> Plane:
    """Two dark fields with ribs across them, a bright middle and a round shadow."""
    rows, columns = _grid(height, width)
    plane = 150 + 60 * np.minimum(columns, width - columns) // width - rows // 10
    for middle in (width * 3 // 10, width * 7 // 10):
        across, down = (columns - middle) * 100 // 78, (rows - height // 2) * 100 // 150
        lung = across * across + down * down < 10_000
        ribs = 18 * ((rows + (columns - middle) ** 2 // 160) // 19 % 2)
        plane = np.where(lung, 48 + ribs + rows // 12, plane)
    heart = (columns - width * 11 // 20) ** 2 + (rows - height * 13 // 20) ** 2 < 58 * 58
    plane = np.where(heart, 175, plane)
    return (plane + _noise(height, width, 2)).clip(0, 255)


def _wedge(height: int, width: int) -> Plane:
    """A step wedge beside a slope, under thin wires."""
    rows, columns = _grid(height, width)
    plane = np.where(rows < height // 2, columns // 30 * 25, 250 - columns * 230 // width)
    return np.where((rows + 2 * columns) % 47 < 3, plane // 3, plane).clip(0, 255)


def _texture(height: int, width: int, seed: int) -> Plane:
    """Cells, rings and grain."""
    rows, columns = _grid(height, width)
    rings = ((rows - 90) ** 2 + (columns - 30 * seed % 200) ** 2) // 700 % 5 * 28
    cells = (rows // 13 * columns // 11 + seed) % 7 * 14
    return (rings + cells + 2 * _noise(height, width, seed)).clip(0, 255)
