import numpy as np
import pytest
from PIL import Image, ImageDraw
from scipy import ndimage

from app.imaging.quality import measure
from app.simulator import simulate

RNG = np.random.default_rng


def codes(plane, *, profile=None, colour=None, **found):
    quality = measure(np.ascontiguousarray(plane, dtype=np.float32), profile=profile, colour=colour, **found)
    assert all(np.isfinite(value) for value in quality.numbers.values())
    return [problem["code"] for problem in quality.problems]


def container(seed=0, *, loaded=True):
    """A simulated scan: float32 (h, w)."""
    return np.asarray(simulate(RNG(seed), loaded=loaded, scanner="port").pixels, np.float32) / 255


def film():
    """A drawn chest: two dark lungs beside a bright middle, soft but for a mark."""
    picture = Image.new("L", (300, 280), 90)
    draw = ImageDraw.Draw(picture)
    draw.rectangle((0, 0, 300, 280), fill=60)
    draw.ellipse((30, 20, 270, 330), fill=170)
    draw.ellipse((60, 50, 135, 240), fill=50)
    draw.ellipse((165, 50, 240, 240), fill=50)
    draw.text((12, 12), "R", fill=250)
    return ndimage.gaussian_filter(np.asarray(picture, np.float32) / 255, 1.0)


@pytest.mark.parametrize("plane", [container(1), container(2, loaded=False), film()], ids=["loaded", "empty", "film"])
def test_a_good_scan_has_no_problem(plane):
    assert codes(plane) == []


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda plane: np.round(plane * 0.02 * 255) / 255, "too-dark"),
        (np.zeros_like, "too-dark"),
        (np.ones_like, "too-bright"),
        (lambda plane: 0.5 + 0.05 * plane, "no-contrast"),
        (lambda plane: ndimage.gaussian_filter(plane, 0.02 * plane.shape[1]), "blurred"),
    ],
)
@pytest.mark.parametrize("scan", [container(1), container(2, loaded=False), film()], ids=["loaded", "empty", "film"])
def test_a_spoilt_scan_has_the_problem_that_it_was_given(scan, change, code):
    assert codes(change(scan)) == [code]


def test_a_smooth_empty_container_is_not_taken_for_blurred():
    """Hardly an edge in it but its own outline."""
    plane = np.full((240, 600), 0.85, np.float32)
    plane[:20] = 1.0
    plane[220:] = 0.2
    plane[20:220, 10:14] = plane[20:220, 586:590] = 0.3
    assert codes(plane) == []
    assert codes(ndimage.gaussian_filter(plane, 12)) == ["blurred"]


def test_noise_on_a_blurred_scan_does_not_make_it_sharp():
    plane = ndimage.gaussian_filter(container(3), 0.03 * container(3).shape[1])
    noisy = plane + 0.01 * RNG(0).normal(size=plane.shape)
    assert codes(noisy) == ["blurred"]


@pytest.mark.parametrize("half", [np.s_[:, :150], np.s_[:, 150:], np.s_[:140], np.s_[140:]])
def test_half_a_film_is_cut_off(half):
    assert codes(film(), profile="chest") == []
    assert "cut-off" in codes(film()[half], profile="chest")


def test_a_container_without_its_floor_is_cut_off():
    empty = np.full((200, 500), 0.85, np.float32)
    empty[:3] = empty[:, :6] = empty[:, -6:] = 0.3
    assert codes(empty, profile="container") == ["cut-off"]
    empty[185:] = 0.2
    assert codes(empty, profile="container") == []


def test_the_middle_of_a_container_is_cut_off_and_a_scan_without_one_end_is_not():
    middle = np.full((200, 500), 0.85, np.float32)
    middle[185:], middle[:3] = 0.2, 0.5
    assert codes(middle, profile="container", touching=("left", "right")) == ["cut-off"]
    assert codes(middle, profile="container", touching=("left", "top")) == []


def test_what_is_no_container_for_the_container_step_is_a_problem():
    steps = [{"step": "container", "version": 1, "found": "no roof", "did": "took the whole frame"}]
    assert codes(container(1), profile="container", steps=steps) == ["no-container"]


def test_a_dark_scan_whose_polarity_was_turned_is_still_called_dark():
    steps = [{"step": "polarity", "version": 1, "found": "inverted", "did": "inverted"}]
    assert codes(np.full((60, 60), 0.99), profile="container", steps=steps) == ["too-dark"]


def test_a_tiny_region_of_a_scan_is_too_small():
    assert codes(container(1)[20:60, 20:60], profile="container")[0] == "too-small"


def coloured(plane, path):
    return (path(plane[..., None]) * 255).clip(0, 255).astype(np.uint8)


def test_colours_of_a_scanner_are_no_photograph():
    plane = container(1)
    materials = np.where(plane[..., None] > 0.6, [0.2, 0.5, 1.0], [1.0, 0.5, 0.1]) * plane[..., None]
    marked = np.repeat((plane[..., None] * 255).astype(np.uint8), 3, axis=2)
    marked[10:20, 10:60] = (255, 0, 0)
    hot = coloured(plane, lambda v: np.concatenate([v / 0.38, (v - 0.37) / 0.38, (v - 0.75) / 0.25], axis=2))
    for colour in (hot, (materials * 255).astype(np.uint8), marked):
        assert codes(plane, colour=colour) == []


def test_a_colour_photograph_is_no_xray():
    datasets = pytest.importorskip("sklearn.datasets")
    for picture in datasets.load_sample_images().images:
        grey = np.asarray(Image.fromarray(picture).convert("L"), np.float32) / 255
        assert codes(grey, colour=picture) == ["not-an-x-ray"]
