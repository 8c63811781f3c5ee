"""Scans whose every pixel is known, and what a viewer paints of them."""

import base64
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Browser, Page

from app import embedded
from tests.browser.conftest import Desk
from tests.conftest import calling, new_store, serving
from tests.dicom_files import dicom
from tests.integration.calls import encode, stored
from tests.waiting import eventually

# The viewer paints when the browser is ready to show it; only in the same task can its pixels be read.
VIEWER = "document.querySelector('scan-viewer')"
READ = """([left, top, width, height]) => {
  const { stage } = document.querySelector("scan-viewer");
  stage.resize(); // a toolbar that has just grown by a row leaves less room, which the browser tells a frame later
  stage.paint();
  width ||= stage.canvas.width;
  height ||= stage.canvas.height;
  const copy = new OffscreenCanvas(width, height).getContext("2d");
  copy.drawImage(stage.canvas, -left, -top);
  const { data } = copy.getImageData(0, 0, width, height);
  let text = "";
  for (let at = 0; at < data.length; at += 8192) text += String.fromCharCode(...data.subarray(at, at + 8192));
  return [btoa(text), width, height];
}"""


def waves(width: int, height: int, phase: int = 0) -> NDArray[np.uint8]:
    """Grey that differs from place to place, smooth, with every value from 0 to 255."""
    y, x = np.mgrid[:height, :width]
    return np.asarray((np.sin((x + phase) / 37) * np.cos(y / 53) * 127.5 + 127.5).round(), np.uint8)


def deep() -> NDArray[np.uint16]:
    """Two frames of 16 bits whose values lie in a small part of the range."""
    y, x = np.mgrid[:400, :600]
    first = 20_000 + 4 * x + y
    return np.stack([first, first[::-1]]).astype(np.uint16)


def colours() -> NDArray[np.uint8]:
    return np.stack([waves(700, 300, phase) for phase in (0, 40, 80)], axis=2)


GREY, GIANT = waves(1300, 700), waves(9300, 1100)
FILES = {
    "grey.png": encode(Image.fromarray(GREY)),
    "other.png": encode(Image.fromarray(waves(900, 500, 11))),
    "deep.dcm": dicom(deep(), PixelSpacing=[0.2, 0.1], WindowCenter=32_768, WindowWidth=65_536),
    "colours.png": encode(Image.fromarray(colours())),
    "giant.png": encode(Image.fromarray(GIANT), compress_level=1),
    "corrupt.png": encode(Image.fromarray(GREY))[:9_000],
}


@dataclass(frozen=True)
class Gallery:
    desk: Desk
    ids: dict[str, str]

    def open(self, name: str, *, query: str = "", **options: Any) -> Page:
        """A page with a viewer that shows a scan; `options` as `Browser.new_context`."""
        # A key of its own for each: what one likes to see is remembered with the key.
        page = self.desk.visit(f"/compare?left={self.ids[name]}{query}", name=str(uuid4()), **options)
        until(page, f"{VIEWER}?.imageId")
        ready(page)
        return page


@contextmanager
def hung(server: embedded.EmbeddedServer, template: str, folder: Path, browser: Browser) -> Iterator[Gallery]:
    """The scans of FILES at a desk of their own, until the block ends."""
    with new_store(server, template, folder) as store:
        with calling(store) as client:
            ids = {name: stored(client, content)[0]["id"] for name, content in FILES.items()}
        with serving(store) as address:
            desk = Desk(store, address, browser)
            yield Gallery(desk, ids)
            desk.close()
            assert desk.complaints == []


def until(page: Page, expression: str) -> None:
    """Wait until something is so on the page. Playwright's own way needs `eval`, which the desk's policy refuses."""
    eventually(lambda: page.evaluate(f"Boolean({expression})"), what=expression, every=0.02)


def state(page: Page) -> dict[str, Any]:
    return dict(page.evaluate(f"{VIEWER}.state"))


def change(page: Page, **wanted: Any) -> None:
    page.evaluate(f"(wanted) => {{ {VIEWER}.state = wanted }}", wanted)


def painted(page: Page, left: int = 0, top: int = 0, width: int = 0, height: int = 0) -> NDArray[np.uint8]:
    """What the viewer paints, uint8 (height, width, 3): all of it, or a part."""
    values, width, height = page.evaluate(READ, [left, top, width, height])
    return np.frombuffer(base64.b64decode(values), np.uint8).reshape(height, width, 4)[..., :3]


def ready(page: Page) -> None:
    """Wait until what is on screen is sharp."""
    until(page, f"(({{stage}}) => stage.scan?.hasArea(stage.level, stage.view.area))({VIEWER})")


def at_full_size(page: Page, x: float, y: float) -> tuple[NDArray[np.uint8], int, int]:
    """Pixel for pixel about a place: what is painted, and which pixel of the scan is its first."""
    change(page, zoom=1, centre={"x": x, "y": y})
    ready(page)
    corner = page.evaluate(f"{VIEWER}.stage.view.toScan(0, 0)")
    return painted(page), round(corner[0]), round(corner[1])


def part(plane: NDArray[Any], left: int, top: int, like: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """The part of a plane that is painted, and the part of the painting that shows it."""
    rows = slice(max(0, top), min(len(plane), top + len(like)))
    columns = slice(max(0, left), min(plane.shape[1], left + like.shape[1]))
    shown = like[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
    return plane[rows, columns], shown


def png_of(page: Page) -> Image.Image:
    return Image.open(io.BytesIO(page.screenshot()))
