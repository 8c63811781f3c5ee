"""What the scanner profiles promise, and what each makes of a scan."""

from dataclasses import replace

import numpy as np
import pytest

from app.errors import InvalidInput
from app.simulator import (
    HELD_OUT_SCANNERS,
    RANDOM,
    SCANNERS,
    TRAINING_SCANNERS,
    Case,
    Palette,
    Scan,
    Tone,
    port_day,
    simulate,
    simulate_views,
)
from app.simulator.detector import clean_exposure, detect, draw_exposure
from app.simulator.display import show
from app.simulator.order import Order, draw_scanner
from app.simulator.profile import ScannerProfile
from app.simulator.randomised import random_scanner
from app.simulator.scene import build

RNG = np.random.default_rng
PROFILES = list(SCANNERS.values())


def scan_by(name: str, seed: int = 4) -> Scan:
    return simulate(RNG(seed), scanner=name, case=None, loaded=True)


def test_ten_scanners_and_more_of_which_three_are_held_out() -> None:
    assert len(SCANNERS) >= 10
    assert len(HELD_OUT_SCANNERS) == 3
    assert set(HELD_OUT_SCANNERS) | set(TRAINING_SCANNERS) == set(SCANNERS)
    assert not set(HELD_OUT_SCANNERS) & set(TRAINING_SCANNERS)


@pytest.mark.parametrize("profile", PROFILES, ids=lambda one: one.name)
def test_shares_of_a_profile_add_up(profile: ScannerProfile) -> None:
    adds_up(profile)


def adds_up(profile: ScannerProfile) -> None:
    assert sum(share for _, share in profile.spectrum) == pytest.approx(1)
    assert sum(profile.blur) == pytest.approx(1)
    assert all(0.15 <= energy <= 8 for energy, _ in profile.spectrum)
    assert profile.cut + profile.wide <= 1


def test_a_held_out_scanner_is_never_drawn_unasked() -> None:
    rng = RNG(0)
    drawn = {draw_scanner(rng) for _ in range(400)}
    assert drawn == set(TRAINING_SCANNERS)
    assert not {scan.truth.scanner for scan in port_day(60, seed=3)} & set(HELD_OUT_SCANNERS)
    views = [scan for seed in range(8) for scan in simulate_views(RNG(seed), count=3)]
    assert not {scan.truth.scanner for scan in views} & set(HELD_OUT_SCANNERS)


def test_scanners_that_look_like_the_real_ones_are_drawn_most() -> None:
    rng = RNG(1)
    drawn = [draw_scanner(rng) for _ in range(400)]
    assert 0.4 < drawn.count("port") / 400 < 0.6


@pytest.mark.parametrize("profile", PROFILES, ids=lambda one: one.name)
def test_each_scanner_makes_scans_of_its_own_size_and_colours(profile: ScannerProfile) -> None:
    scan = scan_by(profile.name)
    assert scan.truth.scanner == profile.name
    assert scan.pixels.dtype == np.uint8
    assert scan.pixels.ndim == (2 if profile.palette is Palette.GREY else 3)
    low, high = profile.height_px
    assert low <= scan.pixels.shape[0] <= high * (1.1 if profile.border else 1)


@pytest.mark.parametrize("profile", PROFILES, ids=lambda one: one.name)
def test_open_beam_is_white_but_black_where_polarity_is_inverted(profile: ScannerProfile) -> None:
    grey = detect(RNG(0), np.ones((60, 80), np.float32), draw_exposure(RNG(0), profile.like(dark_columns=0.0), 60, 80))
    shown = show(grey, profile, np.ones(grey.shape, np.float32))
    assert (np.median(shown) < 80) if profile.inverted else (np.median(shown) > 150)


def test_a_random_scanner_is_another_each_time_and_the_same_from_the_same_state() -> None:
    drawn = [random_scanner(RNG(seed)) for seed in range(40)]
    assert drawn == [random_scanner(RNG(seed)) for seed in range(40)]
    assert len(set(drawn)) == 40
    assert {one.inverted for one in drawn} == {False, True}
    assert {one.palette for one in drawn} == set(Palette)
    for profile in drawn:
        adds_up(profile)


def test_each_held_out_scanner_is_beyond_every_random_one() -> None:
    caesium, far, van = (SCANNERS[name] for name in HELD_OUT_SCANNERS)
    for seed in range(300):
        profile = random_scanner(RNG(seed))
        assert profile.photons[0] > caesium.photons[1]
        assert profile.near_m[1] < far.near_m[0]
        assert profile.tone is not far.tone
        assert profile.spectrum[0][0] > van.spectrum[-1][0]


def test_a_random_scanner_is_drawn_where_it_is_asked_for_alone() -> None:
    scan = simulate(RNG(1), scanner=RANDOM)
    assert scan.truth.scanner == RANDOM
    assert scan.pixels.tobytes() == simulate(RNG(1), scanner=RANDOM).pixels.tobytes()
    assert RANDOM not in {draw_scanner(RNG(seed)) for seed in range(200)}
    among = [draw_scanner(RNG(seed), (*TRAINING_SCANNERS, RANDOM)) for seed in range(200)]
    assert 0.4 < among.count(RANDOM) / 200 < 0.6
    views = simulate_views(RNG(2), loaded=True, count=3, scanners=(RANDOM,))
    assert len({scan.pixels.tobytes() for scan in views}) == 3
    assert len({scan.truth.container_number for scan in views}) == 1


def test_the_truth_says_which_way_round_a_scan_is_shown() -> None:
    for name in ("port", "inverted-6mv", RANDOM):
        for seed in range(6):
            scan = simulate(RNG(seed), loaded=False, scanner=name, case=Case.ORDINARY)
            if name != RANDOM:
                assert scan.truth.inverted is SCANNERS[name].inverted
            elif scan.pixels.ndim == 2:
                assert scan.truth.inverted is bool(np.median(scan.pixels) < 110)


def test_the_palette_of_matter_tells_metal_from_organic_matter() -> None:
    grey = np.full((2, 2), 128, np.uint8)
    share = np.array([[0.0, 0.0], [1.0, 1.0]], np.float32)
    (red, _, blue), (organic_red, _, organic_blue) = show(grey, SCANNERS["dual-energy"], share)[:, 0].astype(int)
    assert blue > red + 50
    assert organic_red > organic_blue + 50


def test_false_colours_keep_black_and_white_at_their_ends() -> None:
    shown = show(np.array([[0, 128, 255]], np.uint8), SCANNERS["rainbow"], None)
    assert shown[0, 0].tolist() == [0, 0, 0]
    assert shown[0, 2].tolist() == [255, 255, 255]
    assert np.ptp(shown[0, 1].astype(int)) > 50


@pytest.mark.parametrize("tone", list(Tone))
def test_every_tone_rises_from_black_to_white(tone: Tone) -> None:
    ramp = np.repeat(np.linspace(0, 1, 200, dtype=np.float32)[None], 3, 0)
    grey = detect(RNG(0), ramp, replace(clean_exposure(), tone=tone))[1].astype(int)
    assert (np.diff(grey) >= 0).all()
    assert (grey[0], grey[-1]) == (0, 255)


def test_fewer_photons_make_more_noise_and_grain_makes_it_coarse() -> None:
    half = np.full((80, 80), 0.5, np.float32)

    def noise(photons: float, grain: int) -> np.ndarray:
        return detect(RNG(0), half, replace(clean_exposure(), photons=photons, grain=grain))

    assert noise(500, 1).std() > 5 * noise(50_000, 1).std()
    coarse = noise(500, 2).astype(int)
    assert np.array_equal(coarse[::2, ::2], coarse[1::2, 1::2])


def test_glare_lightens_what_is_dark_among_light() -> None:
    beam = np.ones((120, 200), np.float32)
    beam[50:60, 90:100] = 0.05
    plain, glaring = (detect(RNG(0), beam, replace(clean_exposure(), glare=glare)) for glare in (0.0, 0.1))
    assert glaring[55, 95] > plain[55, 95] + 10
    assert glaring[5, 5] == plain[5, 5] == 255


def test_lower_energies_darken_the_same_container() -> None:
    scene = build(RNG(3), Order(SCANNERS["port"], Case.ORDINARY, False, None, None))
    at = [float(np.median(scene.structure.passed(((energy, 1.0),)))) for energy in (0.3, 1.0, 6.0)]
    assert at == sorted(at)
    assert at[0] < at[1] < at[2]


def test_views_show_one_container_by_different_scanners() -> None:
    first, second, third = simulate_views(RNG(2), loaded=True, count=3)
    assert len({scan.truth.scanner for scan in (first, second, third)}) == 3
    assert len({scan.truth.container_number for scan in (first, second, third)}) == 1
    assert len({scan.truth.cargo_mass_kg for scan in (first, second, third)}) == 1
    assert first.pixels.shape != second.pixels.shape or (first.pixels != second.pixels).any()


def test_views_are_the_same_again_from_the_same_state() -> None:
    once, again = (simulate_views(RNG(6), count=2) for _ in range(2))
    assert [scan.pixels.tobytes() for scan in once] == [scan.pixels.tobytes() for scan in again]


def test_a_coarse_scanner_sees_a_fine_scene_on_its_own_grid_and_so_do_its_boxes() -> None:
    for seed in range(6):
        for scan in simulate_views(RNG(seed), loaded=True, count=2, scanners=("gantry-9mv", "caesium-137")):
            height, width = scan.pixels.shape[:2]
            assert height <= SCANNERS[scan.truth.scanner].height_px[1]
            for box in (scan.truth.container_box, *scan.truth.boxes):
                assert 0 <= box.x < box.x + box.w <= width
                assert 0 <= box.y < box.y + box.h <= height


@pytest.mark.parametrize("wrong", [{"count": 0}, {"scanners": ()}, {"scanners": ("port", "porto")}])
def test_impossible_views_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(InvalidInput):
        simulate_views(RNG(0), **({"count": 2} | wrong))  # type: ignore[arg-type]


def test_an_unknown_scanner_is_refused_with_the_names_of_the_known() -> None:
    with pytest.raises(InvalidInput, match=r"no scanner 'porto'.*caesium-137.*random"):
        simulate(RNG(0), scanner="porto")
    with pytest.raises(InvalidInput, match="no scanner"):
        port_day(1, 1, scanner="porto")
