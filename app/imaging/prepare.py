"""From a scan's bytes to what the network sees: its regions, their pixels, and what was found on the way."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.imaging.augment import augmented, working_plane
from app.imaging.decode import decode_grey
from app.imaging.header import Limits
from app.imaging.preprocessing import Preprocessing
from app.imaging.resize import prepare

__all__ = ["Box", "PreparedRegion", "load", "load_copies", "prepare", "prepare_scan"]

ORIGINAL = 0
"""The augmentation code of the scan itself."""


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle of pixels of a frame as displayed (after orientation)."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True)
class PreparedRegion:
    """A part of a scan that is judged by itself.

    pixels is float32 (copies, height, width) in [0, 1], one for each code asked, in their order. findings is plain
    JSON: `steps` (what each step found and did), `quality` (numbers) and `problems` (code and message).
    """

    ordinal: int
    frame: int
    box: Box
    pixels: NDArray[np.float32]
    findings: dict[str, Any]


def prepare_scan(
    source: bytes | Path,
    limits: Limits,
    preprocessing: Preprocessing,
    *,
    sha256: bytes = b"",
    codes: Sequence[int] = (ORIGINAL,),
) -> list[PreparedRegion]:
    """Decode a scan and prepare each of its regions; at least one, in order of frame, then from left to right.

    codes are those of augmentations (`app.imaging.augment`), 0 being the scan itself; sha256 is the digest of the
    bytes, which decides the draws of the others. Raises UnusableImage.
    """
    plane = decode_grey(source, limits)
    box = Box(0, 0, plane.shape[1], plane.shape[0])
    pixels = copies(plane, preprocessing, sha256=sha256, codes=codes, ordinal=0)
    return [PreparedRegion(0, 0, box, pixels, {"steps": [], "quality": {}, "problems": []})]


def copies(
    plane: NDArray[np.float32], preprocessing: Preprocessing, *, sha256: bytes, codes: Sequence[int], ordinal: int
) -> NDArray[np.float32]:
    """The network's inputs for these codes of one region's plane: float32 (codes, height, width)."""
    made = np.empty((len(codes), preprocessing.height, preprocessing.width), np.float32)
    seed = sha256 if ordinal == 0 else hashlib.sha256(sha256 + f"/region/{ordinal}".encode()).digest()
    working = working_plane(plane) if any(code != ORIGINAL for code in codes) else plane
    for row, code in enumerate(codes):
        made[row] = prepare(plane if code == ORIGINAL else augmented(working, code, seed), preprocessing)
    return made


def load(source: bytes | Path, limits: Limits, preprocessing: Preprocessing) -> NDArray[np.float32]:
    """Decode and prepare one scan's first region: float32 (height, width) in [0, 1]. Raises UnusableImage."""
    return np.asarray(prepare_scan(source, limits, preprocessing)[0].pixels[0], np.float32)


def load_copies(
    source: bytes | Path, limits: Limits, preprocessing: Preprocessing, *, sha256: bytes, codes: Sequence[int]
) -> NDArray[np.float32]:
    """Decode a scan once and prepare these copies of its first region: float32 (n, height, width).

    Raises UnusableImage.
    """
    if not codes:
        return np.empty((0, preprocessing.height, preprocessing.width), np.float32)
    return prepare_scan(source, limits, preprocessing, sha256=sha256, codes=codes)[0].pixels
