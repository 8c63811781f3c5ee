"""From a scan's bytes to what the network sees: its regions, their pixels, and what was found on the way."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from app.imaging.augment import WORKING_SIDE, augmented, working_plane
from app.imaging.containers import Span
from app.imaging.frames import Frame, decode_frames
from app.imaging.header import Limits
from app.imaging.preprocessing import WHOLE_FRAMES, Preprocessing
from app.imaging.profiles import comparable
from app.imaging.quality import measure
from app.imaging.resize import prepare

__all__ = ["Box", "PreparedRegion", "load", "load_copies", "prepare", "prepare_scan"]

SIDES = ("left", "right", "top", "bottom")
ORIGINAL = 0
"""The augmentation code of the scan itself."""
# Pixels of the shorter side that a profile needs of a frame. A stuck line of a container scan shows only where every
# pixel of a JPEG is decoded, which this asks for up to 3,199; a giant plane is reduced while it is decoded.
AT_LEAST = {None: None, "container": 1600, "chest": WORKING_SIDE}


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
    made = list[PreparedRegion]()
    plain = preprocessing.profile is None  # whose vectors were made of the upper 8 bits of a colour from the start
    for frame in decode_frames(source, limits, at_least=AT_LEAST[preprocessing.profile], deep_colour=not plain):
        regions = _plain(frame) if plain else _comparable(source, limits, frame, preprocessing)
        for region in regions:
            pixels = copies(region.plane, preprocessing, sha256=sha256, codes=codes, ordinal=len(made))
            quality = measure(
                region.plane, profile=preprocessing.profile, colour=region.colour, touching=region.touching,
                steps=region.steps,
            )  # fmt: skip
            findings = {"steps": region.steps, "quality": quality.numbers, "problems": quality.problems}
            made.append(PreparedRegion(len(made), frame.index, region.box, pixels, findings))
    return made


@dataclass(frozen=True)
class _Region:
    plane: NDArray[np.float32]
    colour: NDArray[np.uint8] | None
    box: Box
    steps: list[dict[str, Any]]
    touching: tuple[str, ...] = SIDES


def _plain(frame: Frame) -> list[_Region]:
    height, width = frame.grey.shape
    return [_Region(frame.grey, frame.colour, Box(0, 0, width, height), [])]


def _comparable(source: bytes | Path, limits: Limits, frame: Frame, preprocessing: Preprocessing) -> list[_Region]:
    if frame.colour is not None and frame.scale != (1.0, 1.0):
        # Means of a palette's colours are none of its colours.
        frame = next(decode_frames(source, limits, indexes=[frame.index], at_least=AT_LEAST["container"]))
    assert preprocessing.profile is not None
    found = comparable(frame, preprocessing.profile)
    regions = []
    for span in found.spans:
        cut = found.plane[span.top : span.bottom, span.left : span.right]
        inside = (
            slice(found.top + span.top, found.top + span.bottom),
            slice(found.left + span.left, found.left + span.right),
        )
        colour = None if frame.colour is None else frame.colour[inside]
        whole = preprocessing.cut == WHOLE_FRAMES
        box = _box(frame, (slice(0, frame.grey.shape[0]), slice(0, frame.grey.shape[1])) if whole else inside)
        plane = found.tone.applied(_smaller(cut))
        regions.append(_Region(plane, colour, box, found.steps, _touching(span, found.plane.shape)))
    return regions


def _touching(span: Span, shape: tuple[int, ...]) -> tuple[str, ...]:
    """The sides at which a region ends with its frame."""
    at = (span.left == 0, span.right == shape[1], span.top == 0, span.bottom == shape[0])
    return tuple(side for side, ends in zip(SIDES, at, strict=True) if ends)


def _smaller(cut: NDArray[np.float32]) -> NDArray[np.float32]:
    """Means of boxes of pixels, as large as leave the shorter side `WORKING_SIDE`."""
    height, width = map(int, cut.shape)
    factor = min(height, width) // WORKING_SIDE
    whole = np.ascontiguousarray(cut)
    return whole if factor < 2 else np.asarray(Image.fromarray(whole).reduce(factor))


def _box(frame: Frame, inside: tuple[slice, slice]) -> Box:
    """Pixels of the file: those of the plane, where it was decoded smaller, enlarged."""
    down, across = frame.scale
    top, bottom = round(inside[0].start * down), round(inside[0].stop * down)
    left, right = round(inside[1].start * across), round(inside[1].stop * across)
    return Box(left, top, right - left, bottom - top)


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
