"""A frame at every size that a screen may ask for: halved again and again, cut into tiles, each tile a PNG.

Level 0 is the frame itself; a pixel of level n is the mean of 2^n x 2^n of its pixels (of those that are there, at
the right and the lower border). Tiles lose nothing: 8 bits a sample, or 16 where the file carries more, or the
colours that the file has.
"""

import struct
import zlib
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from app.imaging.bounds import Limits
from app.imaging.frames import Frame, decode_frames
from app.imaging.planes import bands

VERSION = 1
"""Raise it when the same scan gives other tiles."""

TILE = 1024
SMALLEST = 512
"""Levels are made until the longer side is no more than this."""

_GREY, _RGB = 0, 2  # PNG's colour types
_UP = 2  # PNG's filter of a row by the one above: scans are smooth, and a browser undoes it in a millisecond


@dataclass(frozen=True, slots=True)
class Level:
    """width and height in pixels; columns and rows of tiles; a pixel is `scale` x `scale` pixels of the frame."""

    level: int
    width: int
    height: int
    columns: int
    rows: int
    scale: int


@dataclass(frozen=True, slots=True)
class Shape:
    """A frame's size and samples: `bits` carry information in the file, a sample of a tile has `depth`, 8 or 16."""

    width: int
    height: int
    bits: int
    depth: int
    colour: bool

    @classmethod
    def of(cls, frame: Frame) -> "Shape":
        height, width = frame.grey.shape
        colour = frame.colour is not None
        deep = frame.bits > 8 and not colour
        return cls(width, height, frame.bits if deep else min(frame.bits, 8), 16 if deep else 8, colour)

    @property
    def levels(self) -> list[Level]:
        made, width, height = list[Level](), self.width, self.height
        while True:
            index = len(made)
            made.append(Level(index, width, height, -(-width // TILE), -(-height // TILE), 2**index))
            if max(width, height) <= SMALLEST:
                return made
            width, height = -(-width // 2), -(-height // 2)


@dataclass(frozen=True, slots=True)
class Tile:
    level: int
    row: int
    column: int
    content: bytes


def decoded(path: Path, limits: Limits, frame: int) -> "closing[Generator[Frame, None, None]]":
    """The frames of one index, to be closed by whoever iterates: while one is held, so is its room."""
    return closing(decode_frames(path, limits, indexes=[frame]))


def tiles(frame: Frame) -> Iterator[Tile]:
    """The tiles of every level of a frame, from level 0, row by row."""
    shape = Shape.of(frame)
    plane: NDArray[Any] = frame.grey if frame.colour is None else frame.colour
    for level in shape.levels:
        if level.level:
            plane = _halved(plane)
        for row in range(level.rows):
            for column in range(level.columns):
                part = plane[row * TILE : (row + 1) * TILE, column * TILE : (column + 1) * TILE]
                yield Tile(level.level, row, column, png(_samples(part, shape.depth)))


def _halved(plane: NDArray[Any]) -> NDArray[Any]:
    """Boxes of two by two as their mean, band by band: Pillow copies what it reduces."""
    height, width = plane.shape[:2]
    small = np.empty((-(-height // 2), -(-width // 2), *plane.shape[2:]), plane.dtype)
    for top, bottom in bands(height, width, 2):
        small[top // 2 : -(-bottom // 2)] = np.asarray(Image.fromarray(plane[top:bottom]).reduce(2))
    return small


def _samples(part: NDArray[Any], depth: int) -> NDArray[Any]:
    """uint8 or uint16 of a part in [0, 1]; colours are samples already."""
    if part.dtype == np.uint8:
        return part
    return np.rint(part * np.float32(2**depth - 1)).astype(np.uint8 if depth == 8 else np.uint16)


def png(samples: NDArray[Any]) -> bytes:
    """A PNG of uint8 or uint16 (h, w), or uint8 (h, w, 3): every row by the one above, runs and Huffman codes only.

    Pillow chooses each row's filter by trial, which takes 2.5 times as long for files of the same size
    (2026-11-21, container scans).
    """
    height, width = samples.shape[:2]
    depth = 8 * samples.itemsize
    big = np.ascontiguousarray(samples.astype(samples.dtype.newbyteorder(">"), copy=False))
    rows = big.view(np.uint8).reshape(height, -1)
    filtered = np.empty((height, rows.shape[1] + 1), np.uint8)
    filtered[:, 0] = _UP
    filtered[0, 1:] = rows[0]
    np.subtract(rows[1:], rows[:-1], out=filtered[1:, 1:])
    packer = zlib.compressobj(1, zlib.DEFLATED, 15, 9, zlib.Z_RLE)
    packed = packer.compress(filtered.data) + packer.flush()
    head = struct.pack(">IIBBBBB", width, height, depth, _RGB if samples.ndim == 3 else _GREY, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + _chunk(b"IDAT", packed) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(content, zlib.crc32(kind))
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)
