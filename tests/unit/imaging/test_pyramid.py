"""A frame's pyramid: levels, tiles, and that they lose nothing."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from app.imaging import pyramid
from app.imaging.frames import Frame
from app.imaging.header import Limits
from app.imaging.pyramid import TILE, Level, Shape
from tests.dicom_files import dicom, ramp

LIMITS = Limits(1 << 28, 100_000_000, 16)


def frame(grey: NDArray[Any], bits: int = 8, colour: NDArray[np.uint8] | None = None) -> Frame:
    return Frame(0, grey.astype(np.float32), colour, bits)


def assembled(made: Frame, level: int) -> NDArray[Any]:
    """A level put together from its tiles."""
    rows: dict[int, list[NDArray[Any]]] = {}
    for tile in pyramid.tiles(made):
        if tile.level == level:
            rows.setdefault(tile.row, []).append(np.asarray(Image.open(io.BytesIO(tile.content))))
    return np.concatenate([np.concatenate(row, axis=1) for row in rows.values()])


def test_levels_halve_until_they_are_small() -> None:
    levels = Shape(4000, 1500, 8, 8, colour=False).levels
    assert levels == [
        Level(0, 4000, 1500, 4, 2, 1), Level(1, 2000, 750, 2, 1, 2), Level(2, 1000, 375, 1, 1, 4),
        Level(3, 500, 188, 1, 1, 8),
    ]  # fmt: skip


def test_a_small_frame_is_one_tile() -> None:
    assert Shape(20, 30, 8, 8, colour=False).levels == [Level(0, 20, 30, 1, 1, 1)]


@pytest.mark.parametrize("bits", [8, 12, 16])
def test_level_0_is_the_frame_at_its_depth(bits: int) -> None:
    samples = np.random.default_rng(bits).integers(0, 2**bits, (TILE + 7, TILE + 301))
    made = frame(samples / (2**bits - 1), bits)
    found = assembled(made, 0)
    assert found.shape == samples.shape
    assert Shape.of(made).depth == (8 if bits == 8 else 16)
    full = 255 if bits == 8 else 65535
    assert (np.rint(found.astype(np.float64) * (2**bits - 1) / full) == samples).all()


def test_colours_stay() -> None:
    colour = np.random.default_rng(1).integers(0, 256, (40, 1100, 3)).astype(np.uint8)
    made = frame(colour.mean(axis=2) / 255, 8, colour)
    assert Shape.of(made) == Shape(1100, 40, 8, 8, colour=True)
    assert (assembled(made, 0) == colour).all()


def test_a_smaller_level_is_the_mean_of_boxes_also_at_odd_borders() -> None:
    grey = np.random.default_rng(2).random((701, 601)).astype(np.float32)
    small = assembled(frame(grey, 16), 1) / 65535
    assert small.shape == (351, 301)
    boxes = grey[:700, :600].reshape(350, 2, 300, 2).mean((1, 3))
    assert np.abs(small[:350, :300] - boxes).max() < 1e-4
    assert np.abs(small[350, :300] - grey[700, :600].reshape(300, 2).mean(1)).max() < 1e-4


def test_a_dicom_frame_is_found_by_its_index(tmp_path: Path) -> None:
    pixels = np.stack([ramp(step=11), ramp(step=20)])
    path = tmp_path / "scan"
    path.write_bytes(dicom(pixels, BitsStored=16))
    with pyramid.decoded(path, LIMITS, 1) as frames:
        made = next(frames)
        assert Shape.of(made) == Shape(60, 40, 16, 16, colour=False)
        assert (np.abs(assembled(made, 0).astype(int) - np.rint(made.grey * 65535)) <= 1).all()
