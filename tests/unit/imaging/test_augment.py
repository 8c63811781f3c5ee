"""Copies of a scan: the same in every process, within their ranges, and never a mirror image unasked."""

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from app.errors import InvalidInput
from app.imaging import Limits, Preprocessing, load_copies, prepare
from app.imaging.augment import (
    AUGMENTATIONS,
    MOST_COPIES,
    WORKING_SIDE,
    Augmentation,
    augment,
    augmented,
    changed,
    codes,
    working_plane,
)

KEY = hashlib.sha256(b"a scan").digest()
STILL = {"shift": 0.0, "scale": 1.0, "rotation": 0.0, "gain": (1.0, 1.0), "gamma": 1.0, "noise": 0.0}


def only(**ranges: object) -> Augmentation:
    """A recipe that changes nothing but what is given."""
    return Augmentation("only", 1, 0, **{**STILL, **ranges})  # type: ignore[arg-type]


def spot(height: int = 120, width: int = 160, at: tuple[int, int] = (30, 40)) -> np.ndarray:
    """A bright square left of and above the centre, on grey; its place in rows and columns."""
    plane = np.full((height, width), 0.2, np.float32)
    plane[at[0] - 6 : at[0] + 6, at[1] - 6 : at[1] + 6] = 0.9
    return plane


def place(plane: np.ndarray) -> tuple[float, float]:
    """Where the bright square is: rows and columns of its centre."""
    weight = np.clip(plane - 0.4, 0, None)
    rows, columns = np.indices(plane.shape)
    return float((weight * rows).sum() / weight.sum()), float((weight * columns).sum() / weight.sum())


# Identity

PINNED = """
import hashlib, numpy as np
from app.imaging.augment import augment
grey = np.linspace(0, 1, 64 * 80, dtype=np.float32).reshape(64, 80)
for recipe in ("soft", "strong"):
    for mirrored in (False, True):
        copy = augment(grey, recipe, mirrored, 7, bytes(range(32)))
        print(hashlib.sha256(copy.tobytes()).hexdigest())
"""


def test_every_process_makes_the_same_pixels() -> None:
    def run(seed: str) -> str:
        return subprocess.run(
            [sys.executable, "-c", PINNED], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": seed},
            cwd=Path(__file__).resolve().parents[3],
        ).stdout  # fmt: skip

    first, second = run("1"), run("2")
    assert first == second
    assert len(set(first.split())) == 4


def test_pixels_are_those_of_the_first_release() -> None:
    """Codes are stored for good: who changes what a copy looks like must give its recipe a new version and codes."""
    grey = np.linspace(0, 1, 64 * 80, dtype=np.float32).reshape(64, 80)
    for name, how in AUGMENTATIONS.items():
        made = augmented(grey, how.base + 7, bytes(range(32)))[10:50:20, 20:60:20]
        np.testing.assert_allclose(10_000 * made.ravel(), PIXELS[name], atol=1)


# Of a ramp, in ten-thousandths.
PIXELS = {
    "soft": [1602, 1794, 4768, 5006],
    "soft-mirrored": [1547, 1590, 4563, 4603],
    "strong": [1027, 917, 3637, 3548],
    "strong-mirrored": [973, 1039, 3112, 2872],
}


def test_another_scan_number_or_recipe_makes_other_pixels() -> None:
    grey = np.random.default_rng(0).random((64, 80), np.float32)
    other = hashlib.sha256(b"another scan").digest()
    copies = [augment(grey, r, m, c, k) for r in ("soft", "strong") for m in (False, True) for c in (1, 2)
              for k in (KEY, other)]  # fmt: skip
    assert len({copy.tobytes() for copy in copies}) == 16


def test_a_new_version_draws_anew() -> None:
    grey = np.random.default_rng(0).random((64, 80), np.float32)
    first, second = (Augmentation("r", v, 0, **{**STILL, "noise": 0.01}) for v in (1, 2))  # type: ignore[arg-type]
    assert not np.array_equal(changed(grey, first, 1, KEY), changed(grey, second, 1, KEY))


def test_codes_are_those_of_the_documentation_and_never_meet() -> None:
    assert codes("soft", False, 49) == range(1, 50)
    assert codes("soft", True, 49) == range(51, 100)
    assert codes("strong", False, 49) == range(101, 150)
    assert codes("strong", True, 49) == range(151, 200)
    assert codes("strong", True, 3) == range(151, 154)
    every = [code for how in AUGMENTATIONS.values() for code in how.codes(MOST_COPIES)]
    assert len(set(every)) == 4 * 49
    assert min(every) == 1
    assert max(every) < 2**15


def test_a_code_stands_for_its_recipe_and_number() -> None:
    grey = np.random.default_rng(0).random((64, 80), np.float32)
    for code, recipe, mirrored, copy in ((1, "soft", False, 1), (99, "soft", True, 49), (104, "strong", False, 4)):
        assert np.array_equal(augmented(grey, code, KEY), augment(grey, recipe, mirrored, copy, KEY))


@pytest.mark.parametrize("code", [-1, 0, 50, 100, 150, 200, 30_000])
def test_a_code_of_no_recipe_is_refused(code: int) -> None:
    with pytest.raises(InvalidInput, match="no present recipe"):
        augmented(spot(), code, KEY)


@pytest.mark.parametrize(("recipe", "copy"), [("softer", 1), ("soft-mirrored", 1), ("", 1), ("soft", 0), ("soft", 50)])
def test_what_is_no_recipe_and_no_number_is_refused(recipe: str, copy: int) -> None:
    with pytest.raises(InvalidInput, match=r"say soft or strong|1 to 49"):
        augment(spot(), recipe, False, copy, KEY)


@pytest.mark.parametrize(
    "wrong",
    [{"shift": 0.3}, {"scale": 0.9}, {"rotation": 90}, {"gain": (0.4, 1)}, {"gain": (1, 1.3)}, {"gamma": 0.5},
     {"noise": -0.1}, {"noise": float("nan")}],
    ids=str,
)  # fmt: skip
def test_a_recipe_out_of_its_ranges_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(InvalidInput, match=next(iter(wrong))):
        only(**wrong)


# Pixels


@settings(max_examples=60, deadline=None)
@given(
    st.integers(16, 90), st.integers(16, 90), st.sampled_from(["soft", "strong"]), st.booleans(),
    st.integers(1, 49), st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_a_copy_is_a_plane_of_the_same_shape_within_0_and_1(
    height: int, width: int, recipe: str, mirrored: bool, copy: int, seed: int
) -> None:
    grey = np.random.default_rng(seed).integers(0, 2, (height, width)).astype(np.float32)
    before = grey.copy()
    made = augment(grey, recipe, mirrored, copy, hashlib.sha256(bytes([copy])).digest())
    assert (made.shape, made.dtype, made.flags.c_contiguous) == (grey.shape, np.float32, True)
    assert 0 <= made.min() <= made.max() <= 1
    assert np.array_equal(grey, before)


def test_a_recipe_that_changes_nothing_changes_nothing() -> None:
    grey = np.random.default_rng(0).random((50, 70), np.float32)
    np.testing.assert_allclose(changed(grey, only(), 1, KEY), grey, atol=1e-6)


def test_a_large_scan_is_reduced_first_and_keeps_its_shape() -> None:
    plane = working_plane(np.random.default_rng(0).random((900, 3000), np.float32))
    assert plane.shape == (WORKING_SIDE, round(3000 * WORKING_SIDE / 900))
    assert working_plane(plane) is plane
    assert abs(plane.mean() - 0.5) < 0.01
    assert augment(np.ones((900, 3000), np.float32), "soft", False, 1, KEY).shape == plane.shape


def test_a_copy_is_made_of_the_decoded_scan_before_it_is_resized(tmp_path: Path) -> None:
    pixels = (spot(300, 500, (90, 120)) * 255).round().astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "scan.png")
    grey, limits = pixels.astype(np.float32) / np.float32(255), Limits(1 << 20, 1 << 20, 16)
    made = load_copies(tmp_path / "scan.png", limits, Preprocessing(), sha256=KEY, codes=(1, 151))
    assert (made.shape, made.dtype) == ((2, 224, 224), np.float32)
    assert np.array_equal(made[0], prepare(augment(grey, "soft", False, 1, KEY), Preprocessing()))
    assert np.array_equal(made[1], prepare(augment(grey, "strong", True, 1, KEY), Preprocessing()))
    assert load_copies(tmp_path / "scan.png", limits, Preprocessing(), sha256=KEY, codes=()).shape == (0, 224, 224)


# Geometry

SQUARE = (30, 40)  # left of and above the centre (60, 80)


def test_without_mirroring_left_stays_left() -> None:
    for recipe in ("soft", "strong"):
        for copy in range(1, 50):
            row, column = place(augment(spot(), recipe, False, copy, KEY))
            assert column < 70, (recipe, copy)
            assert row < 52, (recipe, copy)


def test_mirrored_about_half_of_the_copies_are_flipped_and_none_is_upside_down() -> None:
    places = [place(augment(spot(), "strong", True, copy, KEY)) for copy in range(1, 50)]
    assert 12 < sum(column > 80 for _, column in places) < 37
    assert all(row < 52 for row, _ in places)


def test_a_shift_moves_by_its_share_and_no_more() -> None:
    moved = [place(changed(spot(), only(shift=0.1), copy, KEY)) for copy in range(1, 50)]
    rows, columns = np.array(moved).T
    assert abs(rows - 29.5).max() <= 12.1
    assert abs(columns - 39.5).max() <= 16.1
    assert rows.std() > 4
    assert columns.std() > 6


def test_a_rotation_keeps_the_centre_and_its_angle() -> None:
    angles = []
    for copy in range(1, 50):
        row, column = place(changed(spot(), only(rotation=10), copy, KEY))
        assert np.hypot(row - 59.5, column - 79.5) == pytest.approx(50, abs=0.3)
        angles.append(np.degrees(np.arctan2(59.5 - row, 79.5 - column) - np.arctan2(30, 40)))
    assert 9 < np.abs(angles).max() <= 10.1
    assert min(angles) < 0 < max(angles)


def test_a_scale_moves_from_the_centre_by_its_factor() -> None:
    factors = []
    for copy in range(1, 50):
        row, column = place(changed(spot(), only(scale=1.2), copy, KEY))
        factors.append(np.hypot(row - 59.5, column - 79.5) / 50)
        assert np.degrees(np.arctan2(59.5 - row, 79.5 - column)) == pytest.approx(36.87, abs=0.3)
    assert 1 / 1.21 < min(factors) < 0.87
    assert 1.15 < max(factors) < 1.21


def test_what_comes_in_at_a_border_is_the_beam_that_was_there_not_black() -> None:
    bright = np.full((100, 100), 0.95, np.float32)
    bright[40:60, 40:60] = 0.1  # too far inside to reach a border
    for copy in range(1, 20):
        made = changed(bright, only(shift=0.2, rotation=20, scale=1.4), copy, KEY)
        frame = np.concatenate([made[0], made[-1], made[:, 0], made[:, -1]])
        np.testing.assert_allclose(frame, 0.95, atol=1e-5)
        assert made.min() < 0.3


# Intensity


def test_a_gain_is_one_factor_for_all_pixels() -> None:
    grey = np.linspace(0.05, 0.6, 400, dtype=np.float32).reshape(20, 20)
    for copy in range(1, 30):
        ratio = changed(grey, only(gain=(0.7, 1.1)), copy, KEY) / grey
        assert 0.7 <= ratio.mean() <= 1.1
        np.testing.assert_allclose(ratio, ratio.mean(), rtol=1e-4)


def test_a_gamma_is_another_thickness_of_everything() -> None:
    """By Beer and Lambert: the logarithm of the transmission takes one factor; the open beam stays as it is."""
    grey = np.linspace(0.05, 0.9, 400, dtype=np.float32).reshape(20, 20)
    for copy in range(1, 30):
        ratio = np.log(changed(grey, only(gamma=1.3), copy, KEY)) / np.log(grey)
        assert 1 / 1.301 <= ratio.mean() <= 1.301
        np.testing.assert_allclose(ratio, ratio.mean(), rtol=1e-3)
    assert changed(np.ones((20, 20), np.float32), only(gamma=1.3), 1, KEY).min() == 1


def test_noise_is_that_of_photons() -> None:
    """Its deviation grows with the root of brightness up to the recipe's share; there is none where none arrive."""
    grey = np.zeros((300, 300), np.float32)
    grey[100:200], grey[200:] = 0.2, 0.8
    largest = 0.0
    for copy in range(1, 20):
        made = changed(grey, only(noise=0.03), copy, KEY) - grey
        dark, dim, lit = made[10:90], made[110:190], made[210:290]
        assert not dark.any()
        assert lit.std() / dim.std() == pytest.approx(2, rel=0.05)
        assert abs(lit.mean()) < 0.001
        largest = max(largest, float(lit.std() / np.sqrt(0.8)))
    assert 0.02 < largest <= 0.0305
