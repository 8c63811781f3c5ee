from collections.abc import Callable

import numpy as np
import pytest

from app.simulator.beam import Beam
from app.simulator.bodies import Bars, Part, Prism, add
from app.simulator.detector import clean_exposure, detect
from app.simulator.matter import STEEL, Material, Matter, mass_attenuation, organic
from app.simulator.scene import swayed
from app.simulator.shapes import box, comb, crosswise, prism, tube, upright
from app.simulator.thickness import Thickness


@pytest.fixture
def beam() -> Beam:
    """2.5 cm pixels, the source level with height 0, the near wall 5 m away."""
    return Beam(
        width=80, height=80, x_left_m=0, x_pitch_m=0.025, z_top_m=1, z_pitch_m=0.025, source_height_m=0, near_m=5
    )


def traced(beam: Beam, *parts: Part) -> Thickness:
    thickness = Thickness((beam.height, beam.width))
    for part in parts:
        add(thickness, beam, part)
    return thickness


def depth_of(beam: Beam, *parts: Part) -> np.ndarray:
    return traced(beam, *parts).depth()


LEVEL = 40
"""The row whose ray leaves the source almost level."""


def test_optical_depth_is_thickness_times_attenuation(beam: Beam) -> None:
    depth = depth_of(beam, Part(box(beam, (0.5, 1.5), (5, 5.1), (-0.5, 0.5)), STEEL))
    assert depth[LEVEL, 40] == pytest.approx(0.1 * 7.87 * 0.03621 * 100, rel=1e-3)
    assert depth[LEVEL, 5] == 0


def test_doubling_the_thickness_squares_the_transmission(beam: Beam) -> None:
    def passed(thickness: float) -> np.ndarray:
        body = prism(beam, (0.5, 1.5), (5, 5 + thickness), (-9, 9))
        return traced(beam, Part(body, organic(0.8))).passed(((3.0, 1.0),))

    once, twice = passed(0.2), passed(0.4)
    assert once.min() < 0.7
    np.testing.assert_allclose(twice, once**2, rtol=1e-4)


@pytest.mark.parametrize(
    ("matter", "energy_mev", "expected"),
    [
        (Matter.ORGANIC, 3.0, 0.0397),
        (Matter.IRON, 1.0, 0.0600),
        (Matter.LEAD, 0.15, 2.014),
        (Matter.ALUMINIUM, 6.0, 0.02655),
        (Matter.ORGANIC, 0.662, 0.0857),  # caesium-137, between the table's 0.6 and 0.8 MeV
    ],
)
def test_mass_attenuation_is_the_tables(matter: Matter, energy_mev: float, expected: float) -> None:
    assert mass_attenuation(matter, energy_mev) == pytest.approx(expected, rel=3e-3)


def test_a_slab_attenuates_as_beer_and_lambert_say(beam: Beam) -> None:
    """Ten centimetres of steel behind thirty of water, by hand, at one energy and at two."""
    slabs = (
        Part(box(beam, (0.5, 1.5), (5, 5.1), (-0.5, 0.5)), STEEL),
        Part(box(beam, (0.5, 1.5), (6, 6.3), (-0.5, 0.5)), organic(1.0)),
    )
    passed = traced(beam, *slabs)
    at_1 = np.exp(-(10 * 7.87 * 0.05995 + 30 * 0.07072))
    at_3 = np.exp(-(10 * 7.87 * 0.03621 + 30 * 0.03969))
    assert passed.passed(((1.0, 1.0),))[LEVEL, 40] == pytest.approx(at_1, rel=1e-3)
    assert passed.passed(((1.0, 0.3), (3.0, 0.7)))[LEVEL, 40] == pytest.approx(0.3 * at_1 + 0.7 * at_3, rel=1e-3)


def test_open_beam_passes_whole(beam: Beam) -> None:
    assert (traced(beam).passed(((1.0, 0.25), (3.0, 0.75))) == 1).all()


@pytest.mark.parametrize("draw", [box, prism])
def test_a_slanted_ray_travels_longer_by_its_secant(beam: Beam, draw: Callable[..., Bars | Prism]) -> None:
    depth = depth_of(beam, Part(draw(beam, (0, 2), (5, 5.1), (-9, 9)), STEEL))
    rise = 1 / beam.rays(0, 1).inverse[0]
    assert depth[0, 40] / depth[LEVEL, 40] == pytest.approx(np.sqrt(1 + rise**2), rel=1e-3)


@pytest.mark.parametrize("near", [5, 8, 11])
def test_a_body_knows_the_rows_it_touches(beam: Beam, near: float) -> None:
    body = prism(beam, (0, 2), (near, near + 1), (0.2, 0.9))
    touched = np.flatnonzero(depth_of(beam, Part(body, STEEL))[:, 40])
    rows = body.rows(beam)
    assert rows[0] <= touched.min() <= rows[0] + 1
    assert rows[1] - 2 <= touched.max() < rows[1]


def test_the_far_wall_is_seen_smaller_than_the_near_wall(beam: Beam) -> None:
    def rows_of(near: float) -> int:
        sheet = box(beam, (0, 2), (near, near + 0.01), (-0.8, 0.8))
        return int((depth_of(beam, Part(sheet, STEEL))[:, 40] > 0).sum())

    assert rows_of(5) == pytest.approx(64, abs=2)
    assert rows_of(10) == pytest.approx(32, abs=2)


def test_cylinders_show_their_chord(beam: Beam) -> None:
    for body in (upright(beam, (1, 6), 0.5, (-2, 2)), crosswise(beam, (1, 0), 0.5, (5, 6))):
        across = (depth_of(beam, Part(body, STEEL))[LEVEL] > 0).sum() * beam.x_pitch_m
        assert across == pytest.approx(1.0, abs=0.06)
    standing = depth_of(beam, Part(upright(beam, (1, 6), 0.5, (-2, 2)), STEEL))[LEVEL]
    expected = 2 * np.sqrt(0.25 - (beam.column_centres_m[30] - 1) ** 2) * STEEL.attenuation_per_m()
    assert standing[30] == pytest.approx(expected, rel=1e-2)


def test_a_hollow_body_is_its_outside_less_its_inside(beam: Beam) -> None:
    depth = depth_of(beam, *tube(beam, (1, 6), (0.4, 0.5), (-2, 2), STEEL))
    assert depth[LEVEL, 40] == pytest.approx(0.2 * STEEL.attenuation_per_m(), rel=1e-2)


def test_a_bar_narrower_than_a_column_averages_intensity(beam: Beam) -> None:
    dense = Material(100, Matter.IRON)
    half = depth_of(beam, Part(comb(beam, np.array([1.0]), 0.0125, (5, 6), (-2, 2)), dense))[LEVEL]
    assert half.max() == pytest.approx(np.log(2), rel=1e-2)


def test_bars_cover_exactly_their_width(beam: Beam) -> None:
    cover = beam.coverage(np.array([0.31, 1.003]), 0.04, slice(0, 80))
    assert cover.sum() * beam.x_pitch_m == pytest.approx(0.08, rel=1e-5)


def test_sway_moves_columns_and_keeps_their_values(beam: Beam) -> None:
    depth = depth_of(beam, Part(box(beam, (0, 2), (5, 5.1), (-0.2, 0.2)), STEEL))
    still, moved = (swayed(np.exp(-depth), np.full(beam.width, shift, np.float32)) for shift in (0, 3))
    np.testing.assert_allclose(moved[3:], still[:-3], rtol=1e-6)


def test_a_clean_detector_shows_transmission_as_grey(beam: Beam) -> None:
    passed = np.linspace(0, 1, 80 * 80, dtype=np.float32).reshape(80, 80)
    grey = detect(np.random.default_rng(0), passed, clean_exposure())
    assert grey.dtype == np.uint8
    assert np.abs(grey - 255 * passed).max() < 1


def test_mass_is_volume_times_density(beam: Beam) -> None:
    cube = Part(box(beam, (0.5, 1.5), (5, 6), (-0.5, 0.5)), organic(0.7))
    assert cube.mass_kg(beam) == pytest.approx(700, rel=1e-3)
