"""Every page of the desk by axe-core (WCAG 2.2 AA), in both themes, on a desk's screen and on a tablet.

The pages are those of the router: a new one is covered, or fails here, by itself.
"""

import re
from collections.abc import Iterator
from string import Formatter

import pytest
from axe_playwright_python.sync_playwright import Axe
from fastapi import FastAPI
from playwright.sync_api import Browser, Page, Response, expect

from app import embedded
from app.features.spec import FeatureSetSpec
from app.web import pages
from tests.browser.conftest import Desk
from tests.browser.peopled import TASK, Peopled, peopled
from tests.conftest import serving


def _paths() -> list[str]:
    app = FastAPI()
    app.include_router(pages.router)
    return [path for path, methods in app.openapi()["paths"].items() if "get" in methods]


# Pages that show more when they are asked something.
ASKED = [
    "/?{worklist}",
    "/compare?left={image_id}&right={other}",
    "/heads/{task}/compare?version={version}&version={first}",
    "/images/{image_id}?task={task}",
    "/images?limit=2&task={task}",
    "/search?image={image_id}",
    "/no-such-page",
]
OPTIONS = {
    "resultTypes": ["violations"],
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    "rules": {"target-size": {"enabled": True}},
}
DARK_DESK, LIGHT_TABLET = ("dark", 1280, 800), ("light", 820, 1180)
MOST_BYTES = 300_000
WEIGHT = """() => [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")]
  .filter((one) => !new URL(one.name).pathname.startsWith("/v1/images/"))
  .reduce((sum, one) => sum + one.encodedBodySize, 0)"""


@pytest.fixture(scope="module")
def full(
    server: embedded.EmbeddedServer, template: str, spec: FeatureSetSpec, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Peopled]:
    with peopled(server, template, spec, tmp_path_factory.mktemp("peopled")) as full:
        yield full


@pytest.fixture(scope="module")
def busy(full: Peopled, browser: Browser) -> Iterator[Desk]:
    """The desk on a store with something in every room."""
    with serving(full.store) as address:
        desk = Desk(full.store, address, browser)
        yield desk
        desk.close()


@pytest.fixture(scope="module")
def visited(busy: Desk) -> Page:
    return busy.visit("/settings")


def filled(path: str, full: Peopled) -> str:
    """A path with its places filled; fails for a place that this test does not know."""
    known = {
        "task": TASK, "image_id": full.images[0], "other": full.images[1], "version": full.version,
        "first": full.first_version, "worklist": "pile=positive&order=findings",
    }  # fmt: skip
    return path.format(**{name: known[name] for _, name, _, _ in Formatter().parse(path) if name})


def opened(page: Page, address: str) -> Response | None:
    """The page as it is when all of it has come; None for a fragment of one."""
    if not page.request.get(address).text().lstrip().lower().startswith("<!doctype html>"):
        return None
    page.set_viewport_size({"width": 1280, "height": 800})
    answer = page.goto(address, wait_until="load")
    page.wait_for_load_state("networkidle")
    return answer


def problems(page: Page, theme: str, width: int, height: int) -> list[str]:
    """What axe finds, and what is wider than the screen."""
    page.set_viewport_size({"width": width, "height": height})
    page.evaluate("(theme) => { document.documentElement.dataset.theme = theme; }", theme)
    found = [
        f"{theme} {width}: {one['impact']} {one['id']}: {node['target']} {node['failureSummary']}"
        for one in Axe().run(page, options=OPTIONS).response["violations"]
        for node in one["nodes"][:3]
    ]
    wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return found + [f"{theme} {width}: {wide} px wider than the screen"] * (wide > 0)


def plainness(page: Page) -> list[str]:
    """A title, one heading above the others, and nothing that the language or a value left open."""
    found = [] if page.locator("h1").count() == 1 else [f"{page.locator('h1').count()} h1"]
    text = page.locator("main").inner_text() + page.title()
    return found + re.findall(r"undefined|NaN|\[object|%\(|\bNone\b(?! [a-z])", text)


@pytest.mark.parametrize("path", [*_paths(), *ASKED])
def test_a_page_can_be_used_by_everybody(busy: Desk, visited: Page, full: Peopled, path: str) -> None:
    answer = opened(visited, filled(path, full))
    if answer is None:
        return  # a fragment: seen in its page
    found = [*problems(visited, *DARK_DESK), *problems(visited, *LIGHT_TABLET), *plainness(visited)]
    # Of a page that is not there, and of the scan that is none.
    excused = (f"status of {answer.status}", f"/v1/images/{full.broken}/")
    said = [text for text in busy.complaints if not any(excuse in text for excuse in excused)]
    busy.complaints.clear()
    assert (found, said) == ([], [])
    assert visited.evaluate(WEIGHT) < MOST_BYTES


def test_a_scan_that_cannot_be_read_has_a_plain_sign_in_its_place(visited: Page, full: Peopled) -> None:
    visited.goto("/images?state=failed")
    expect(visited.locator("img.thumbnail.missing")).to_have_count(1)
    visited.goto("/images?state=ready")
    expect(visited.locator("img.thumbnail")).not_to_have_count(0)
    expect(visited.locator("img.thumbnail.missing")).to_have_count(0)
