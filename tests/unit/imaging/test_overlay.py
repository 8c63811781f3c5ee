"""Evidence over a scan: colour says what and how much, lightness stays the scan's."""

import io

import numpy as np
import pytest
from PIL import Image

from app.imaging.overlay import Caption, HeatBox, coloured, lightness_of, picture
from app.imaging.prepare import Box

CAPTION = Caption("loaded", "of a test")


def drawn(plane: np.ndarray, *regions: HeatBox, width: int = 140, overlay: bool = True) -> np.ndarray:
    content = picture(plane, regions, width=width, caption=CAPTION, overlay=overlay)
    return np.asarray(Image.open(io.BytesIO(content))).astype(int)


def test_without_evidence_a_scan_keeps_its_greys() -> None:
    grey = np.linspace(0, 1, 256)
    shown = coloured(lightness_of(grey), np.zeros(256))
    np.testing.assert_allclose(shown, np.repeat(255 * grey[:, None], 3, axis=1), atol=1)


@pytest.mark.parametrize("grey", [0.0, 0.3, 0.7, 1.0])
def test_evidence_for_is_warm_evidence_against_is_cold_and_more_is_deeper(grey: float) -> None:
    shown = coloured(np.full(5, lightness_of(np.array(grey))), np.array([-1.0, -0.4, 0.0, 0.4, 1.0])).astype(int)
    warmth = shown[:, 0] - shown[:, 2]
    assert (np.diff(warmth) > 0).all()
    assert warmth[0] < -30 < 30 < warmth[-1]


def test_lighter_pixels_stay_lighter_under_the_strongest_evidence() -> None:
    shown = coloured(lightness_of(np.linspace(0, 1, 20)), np.ones(20)).astype(int)
    assert (np.diff(shown.sum(axis=1)) > 0).all()


def test_each_cell_is_drawn_where_it_lies() -> None:
    heat = np.zeros((7, 7), np.float32)
    heat[1, 5] = 2.0
    shown = drawn(np.full((70, 70), 0.5, np.float32), HeatBox(Box(0, 0, 70, 70), heat))
    warmth = shown[:140, :, 0] - shown[:140, :, 2]
    row, column = np.unravel_index(warmth.argmax(), warmth.shape)
    assert (row // 20, column // 20) == (1, 5)


def test_a_region_keeps_its_evidence_to_its_own_box() -> None:
    shown = drawn(np.full((100, 200), 0.5, np.float32), HeatBox(Box(100, 0, 100, 100), np.ones((7, 7))), width=200)
    warmth = shown[:100, :, 0] - shown[:100, :, 2]
    assert not warmth[:, :100].any()
    assert (warmth[5:95, 105:195] > 30).all()


def test_the_strongest_evidence_of_all_regions_has_the_full_colour() -> None:
    weak, strong = (HeatBox(Box(x, 0, 100, 100), np.full((7, 7), v)) for x, v in ((0, 0.5), (100, 4.0)))
    shown = drawn(np.full((100, 200), 0.5, np.float32), weak, strong, width=200)
    assert shown[50, 50, 0] - shown[50, 50, 2] < (shown[50, 150, 0] - shown[50, 150, 2]) / 3


def test_a_map_by_itself_shows_nothing_of_the_scan() -> None:
    region = HeatBox(Box(0, 0, 64, 64), np.eye(7), Box(0, 0, 30, 30))
    noise = np.random.default_rng(0).random((64, 64)).astype(np.float32)
    alone = [drawn(plane, region, overlay=False) for plane in (noise, noise * 0)]
    np.testing.assert_array_equal(*alone)


@pytest.mark.parametrize("shape", [(1, 400), (400, 3), (16, 16)])
def test_odd_shapes_and_a_map_of_nothing_are_drawn(shape: tuple[int, int]) -> None:
    region = HeatBox(Box(0, 0, shape[1], shape[0]), np.zeros((7, 7)), Box(0, 0, 1, 1))
    assert drawn(np.ones(shape, np.float32), region, width=64).shape[1] == 64
