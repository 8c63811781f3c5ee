"""What the viewer paints is what the scan holds: by WebGL2 and without it, at every depth, with every adjustment."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from playwright.sync_api import Browser, Page

from app import embedded
from tests.browser.gallery import (
    GIANT,
    GREY,
    Gallery,
    at_full_size,
    change,
    colours,
    deep,
    hung,
    painted,
    part,
    ready,
    state,
    until,
)

PAINTERS = {"webgl": "&painter=webgl", "plane": "&painter=2d"}


@pytest.fixture(scope="module")
def gallery(
    server: embedded.EmbeddedServer, template: str, tmp_path_factory: pytest.TempPathFactory, browser: Browser
) -> Iterator[Gallery]:
    with hung(server, template, tmp_path_factory.mktemp("gallery"), browser) as gallery:
        yield gallery


@pytest.fixture(params=PAINTERS)
def show(gallery: Gallery, request: pytest.FixtureRequest) -> Iterator[Callable[[str], Page]]:
    """Opens a scan in a viewer of either kind."""
    yield lambda name: gallery.open(name, query=PAINTERS[request.param])
    gallery.desk.close()


def test_grey_is_painted_pixel_for_pixel_across_tiles(show: Callable[[str], Page]) -> None:
    page = show("grey.png")
    shown, left, top = at_full_size(page, 1024, 350)
    expected, found = part(GREY, left, top, shown)
    assert expected.shape[1] > 500
    assert np.abs(found.astype(int) - expected[..., None]).max() <= 1


def test_window_gamma_and_inversion_are_what_they_say(show: Callable[[str], Page]) -> None:
    page = show("grey.png")
    change(page, window=0.4, level=0.5, gamma=2, invert=True)
    shown, left, top = at_full_size(page, 400, 350)
    expected, found = part(GREY, left, top, shown)
    share = np.clip((expected / 255 - 0.3) / 0.4, 0, 1) ** 0.5
    assert np.abs(found[..., 0] - (1 - share) * 255).max() <= 4  # a table of 1,024 steps, steep where it begins


def test_sixteen_bits_are_there_to_be_windowed(show: Callable[[str], Page]) -> None:
    page = show("deep.dcm")
    assert state(page)["windowing"] == "auto"
    samples = deep()[0]
    change(page, window=512 / 65535, level=21_500 / 65535)
    shown, left, top = at_full_size(page, 300, 200)
    expected, found = part(samples, left, top, shown)
    share = np.clip((expected.astype(int) - (21_500 - 256)) / 512, 0, 1)
    assert np.abs(found[..., 0] - share * 255).max() <= 2
    assert len(np.unique(found)) > 120  # of the 128 steps of four that a row has within this window


def test_colours_are_shown_as_they_are_and_as_grey_by_a_map(show: Callable[[str], Page]) -> None:
    page = show("colours.png")
    shown, left, top = at_full_size(page, 350, 150)
    expected, found = part(colours(), left, top, shown)
    assert np.abs(found.astype(int) - expected).max() <= 1
    change(page, map="grey")
    luma = expected @ [0.299, 0.587, 0.114]
    assert np.abs(part(colours(), left, top, painted(page))[1] - luma[..., None]).max() <= 2


def test_a_small_scan_on_screen_is_the_mean_of_its_pixels(show: Callable[[str], Page]) -> None:
    page = show("grey.png")
    change(page, zoom=0.5, centre={"x": 650, "y": 350})
    ready(page)
    means = GREY.reshape(350, 2, 650, 2).mean((1, 3))
    whole = painted(page)
    corner = page.evaluate("(({stage}) => stage.view.toScan(0, 0))(document.querySelector('scan-viewer'))")
    expected, found = part(means, round(corner[0] / 2), round(corner[1] / 2), whole)
    assert np.abs(found[..., 0] - expected).mean() < 2


def test_local_contrast_is_the_same_by_both_painters(gallery: Gallery) -> None:
    pictures = []
    for query in PAINTERS.values():
        page = gallery.open("grey.png", query=query)
        plain = painted(page)
        page.keyboard.press("e")
        until(page, "document.querySelector('scan-viewer').stage.tables")
        pictures.append(painted(page).astype(int))
        assert np.abs(pictures[-1] - plain).mean() > 3
    assert np.abs(pictures[0] - pictures[1]).mean() < 1
    gallery.desk.close()


def test_a_scan_wider_than_a_texture_is_sharp_wherever_one_looks(show: Callable[[str], Page]) -> None:
    page = show("giant.png")
    for x in (400, 5_000, 9_000, 400):  # there and back: places of the texture change hands
        shown, left, top = at_full_size(page, x, 550)
        expected, found = part(GIANT, left, top, shown)
        assert np.abs(found[..., 0].astype(int) - expected).max() <= 1


def test_a_lost_graphics_context_comes_back_with_its_scan(gallery: Gallery) -> None:
    page = gallery.open("grey.png", query=PAINTERS["webgl"])
    before = painted(page)
    page.evaluate("""async () => {
      const { stage } = document.querySelector("scan-viewer");
      const extension = stage.painter.gl.getExtension("WEBGL_lose_context");
      extension.loseContext();
      await new Promise((resolve) => setTimeout(resolve, 100));
      extension.restoreContext();
    }""")
    until(page, "!document.querySelector('scan-viewer').stage.painter.lost")
    assert (painted(page) == before).all()
    gallery.desk.close()
