"""What hands and keys do to a viewer, what it says, and how it fails."""

import re
from collections.abc import Iterator

import numpy as np
import pytest
from fastapi.testclient import TestClient
from playwright.sync_api import Browser, Page, expect

from app import embedded
from app.db import transaction
from app.models import Role, Stage
from app.services import tasks
from tests.browser.conftest import Desk
from tests.browser.gallery import VIEWER, Gallery, change, hung, painted, png_of, ready, state, until
from tests.conftest import FakeExtractor, TestStore, extracting
from tests.integration.calls import encode, picture, stored
from tests.integration.fabricated import CLASSES, POSITIVE, Rule, register


@pytest.fixture(scope="module")
def opened(
    server: embedded.EmbeddedServer, template: str, tmp_path_factory: pytest.TempPathFactory, browser: Browser
) -> Iterator[Gallery]:
    with hung(server, template, tmp_path_factory.mktemp("gallery"), browser) as gallery:
        yield gallery


@pytest.fixture
def gallery(opened: Gallery) -> Iterator[Gallery]:
    yield opened
    opened.desk.close()


def show(page: Page, image_id: str, **options: object) -> bool:
    return bool(page.evaluate(f"([id, options]) => {VIEWER}.show(id, options)", [image_id, options]))


def middle(page: Page) -> tuple[float, float]:
    box = page.locator(".viewer-stage").first.bounding_box()
    assert box is not None
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


# Looking


def test_keys_zoom_move_and_fit(gallery: Gallery) -> None:
    page = gallery.open("grey.png")
    fitted = state(page)
    assert fitted["fitted"]
    page.keyboard.press("1")
    assert state(page)["zoom"] == 1
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    moved = state(page)["centre"]
    assert moved["x"] == 650 + 80
    page.keyboard.press("+")
    assert state(page)["zoom"] == 1.25
    page.keyboard.press("-")
    page.keyboard.press("0")
    assert state(page) == fitted
    expect(page.get_by_label("Zoom", exact=True)).to_have_text(f"{round(100 * fitted['zoom'])} %")


def test_the_wheel_zooms_where_it_is_and_a_drag_moves(gallery: Gallery) -> None:
    page = gallery.open("grey.png")
    x, y = middle(page)
    page.mouse.move(x + 150, y + 40)
    at = f"{VIEWER}.view.toScan({VIEWER}.at({{clientX: {x + 150}, clientY: {y + 40}}}).x, 300)[0]".replace(
        ".view", ".stage.view"
    )
    before = page.evaluate(at)
    for _ in range(3):
        page.mouse.wheel(0, -200)
    until(page, f"{VIEWER}.state.zoom > 1")
    assert abs(page.evaluate(at) - before) <= 1
    centre = state(page)["centre"]
    page.mouse.down()
    page.mouse.move(x + 50, y + 40, steps=4)
    page.mouse.up()
    assert state(page)["centre"]["x"] == pytest.approx(centre["x"] + 100 / state(page)["zoom"], abs=1)
    page.mouse.dblclick(x, y)
    assert state(page)["fitted"]


def test_two_fingers_pinch(gallery: Gallery) -> None:
    page = gallery.open("grey.png", has_touch=True)
    x, y = middle(page)
    fingers = page.context.new_cdp_session(page)

    def touch(kind: str, *apart: int) -> None:
        points = [{"x": x + side * one, "y": y, "id": number} for one in apart for number, side in enumerate((-1, 1))]
        fingers.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    before = state(page)["zoom"]
    touch("touchStart", 40)
    for apart in (60, 80, 120):
        touch("touchMove", apart)
    touch("touchEnd")
    assert state(page)["zoom"] == pytest.approx(3 * before, rel=0.1)


def test_the_right_button_changes_window_and_level(gallery: Gallery) -> None:
    page = gallery.open("grey.png")
    x, y = middle(page)
    page.mouse.move(x, y)
    page.mouse.down(button="right")
    page.mouse.move(x - 120, y + 60, steps=3)
    page.mouse.up(button="right")
    found = state(page)
    assert found["window"] < 0.8
    assert found["level"] > 0.5
    assert found["windowing"] is None
    full = round(found["window"] * 255)
    expect(page.locator(".viewer-window")).to_have_text(f"Window {full} Level {round(found['level'] * 255)}")
    page.keyboard.press("o")
    assert (state(page)["window"], state(page)["level"]) == (1, 0.5)


def test_the_pointer_reads_places_and_values(gallery: Gallery) -> None:
    page = gallery.open("deep.dcm")
    change(page, zoom=4, centre={"x": 300, "y": 200})
    ready(page)
    x, y = middle(page)
    page.mouse.move(x + 1, y + 1)
    expect(page.locator(".viewer-place")).to_have_text(re.compile(r"x 300\s+y 200\s+21,400"))


def test_a_line_is_measured_by_mouse_in_pixels_and_millimetres(gallery: Gallery) -> None:
    page = gallery.open("deep.dcm")
    change(page, zoom=1)
    page.keyboard.press("m")
    x, y = middle(page)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 90, y + 120, steps=3)
    page.mouse.up()
    expect(page.locator(".viewer-length")).to_have_text("150 px · 25.6 mm")  # 9 mm across, 24 mm down
    page.keyboard.press("Delete")
    expect(page.locator(".viewer-length")).to_have_text("")


def test_a_line_is_measured_by_keys_alone(gallery: Gallery) -> None:
    page = gallery.open("grey.png")
    page.keyboard.press("m")
    page.keyboard.press("Enter")
    for _ in range(3):
        page.keyboard.press("Shift+ArrowRight")
    for _ in range(4):
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator(".viewer-length")).to_have_text("30.3 px")
    page.get_by_role("button", name="Remove measurements").click()
    expect(page.locator(".viewer-length")).to_have_text("")


def test_frames_turn_by_keys_and_keep_the_place(gallery: Gallery) -> None:
    page = gallery.open("deep.dcm")
    change(page, zoom=2)
    expect(page.get_by_label("Frame", exact=True)).to_have_text("1 / 2")
    first = painted(page)
    page.keyboard.press("PageDown")
    expect(page.get_by_label("Frame", exact=True)).to_have_text("2 / 2")
    assert state(page)["zoom"] == 2
    assert (painted(page) != first).any()


def test_a_slider_keeps_its_arrows(gallery: Gallery) -> None:
    page = gallery.open("grey.png")
    page.get_by_role("button", name="Adjust the picture").click()
    gamma = page.get_by_role("slider", name="Gamma")
    gamma.focus()
    page.keyboard.press("ArrowRight")
    assert state(page)["gamma"] == pytest.approx(1.05)
    assert state(page)["fitted"]


def test_full_screen_shows_nothing_but_the_scan(gallery: Gallery) -> None:
    page = gallery.open("grey.png")
    page.keyboard.press("f")
    until(page, "document.fullscreenElement?.className === 'viewer-stage'")
    until(page, f"{VIEWER}.stage.view.width === innerWidth")
    page.keyboard.press("i")
    assert state(page)["invert"]
    page.keyboard.press("f")
    until(page, "!document.fullscreenElement")


def test_what_one_likes_is_remembered_on_other_machines(gallery: Gallery) -> None:
    key = gallery.desk.store.key(Role.INSPECTOR, "liked")
    for machine in range(2):
        page = gallery.desk.stranger()
        page.goto(f"/sign-in?next=/compare?left={gallery.ids['grey.png']}")
        page.get_by_label("Key").fill(key)
        page.get_by_role("button", name="Sign in").click()
        until(page, f"{VIEWER}?.imageId")
        if machine == 0:
            with page.expect_response(lambda answer: "preferences/viewer" in answer.url):
                page.keyboard.press("i")
                page.keyboard.press("v")
    until(page, f"{VIEWER}.state.invert")
    assert state(page)["map"] == "grey"


def test_heat_is_asked_for_once_one_wants_to_see_it(
    desk: Desk, store: TestStore, client: TestClient, extractor: FakeExtractor
) -> None:
    with transaction(store.sessions) as session:
        tasks.create(session, "bright", "Is it?", list(CLASSES), POSITIVE, author="test")
    register(store, Rule(0.5), stage=Stage.LIVE)
    with extracting(store, extractor):
        (image,) = stored(client, encode(picture(side=224)), wait=60)
        page = Gallery(desk, {"one": image["id"]}).open("one")
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url) if "explanation" in request.url else None)
        page.evaluate(f"(url) => {{ {VIEWER}.heat = {{ url }} }}", f"/v1/images/{image['id']}/explanation/bright")
        assert asked == []
        expect(page.locator(".viewer-marks")).to_be_hidden()
        page.keyboard.press("h")
        until(page, f"{VIEWER}.stage.marks.heat?.regions.length === 1")
        page.mouse.move(*middle(page))
        expect(page.locator(".viewer-place")).to_contain_text(re.compile(r"\d\.\d\d (for|against) \w+"))
        expect(page.locator(".viewer-marks")).to_be_visible()
        page.keyboard.press("h")
        expect(page.locator(".viewer-marks")).to_be_hidden()
        assert len(asked) == 1


# Scans that come and go


def test_what_was_preloaded_is_shown_without_a_request(gallery: Gallery) -> None:
    page = gallery.open("grey.png")
    assert page.evaluate(f"{VIEWER}.preload('{gallery.ids['other.png']}')")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.evaluate(f"async () => {{ const {{stage}} = {VIEWER}; await {VIEWER}.show('{gallery.ids['other.png']}') }}")
    assert [url for url in asked if f"/{state(page)['zoom']}" in url] == []
    assert page.evaluate(f"{VIEWER}.imageId") == gallery.ids["other.png"]


def test_the_scan_that_was_asked_for_last_is_the_one_shown(gallery: Gallery) -> None:
    page = gallery.open("grey.png")
    names = ["giant.png", "other.png", "deep.dcm"]
    shown = page.evaluate(f"(ids) => Promise.all(ids.map((id) => {VIEWER}.show(id)))", [gallery.ids[n] for n in names])
    assert shown == [False, False, True]
    assert page.evaluate(f"{VIEWER}.imageId") == gallery.ids["deep.dcm"]


def test_nothing_of_another_scan_stays_while_one_loads(gallery: Gallery) -> None:
    page = gallery.open("grey.png")
    page.evaluate(f"{VIEWER}.boxes = [{{x: 0, y: 0, width: 9, height: 9}}]")
    stage = page.locator(".viewer-stage").first.bounding_box()
    assert stage is not None
    place = (stage["x"] + 60, stage["y"] + stage["height"] / 2, stage["x"] + 100, stage["y"] + stage["height"] / 2 + 9)
    assert np.asarray(png_of(page).convert("L").crop(place)).max() > 40
    page.route("**/pyramid*", lambda _: None)  # the other one never comes
    page.evaluate(f"(id) => {{ {VIEWER}.show(id); }}", gallery.ids["giant.png"])
    until(page, f"{VIEWER}.imageId === null && {VIEWER}.boxes.length === 0")
    page.wait_for_timeout(200)  # some frames of the screen
    assert np.asarray(png_of(page).convert("L").crop(place)).max() == 0


@pytest.mark.parametrize(("name", "words"), [("corrupt.png", "damaged"), ("gone", "has been deleted")])
def test_a_scan_that_cannot_be_shown_says_why(gallery: Gallery, name: str, words: str) -> None:
    gallery.desk.expected += ["404", "422"]
    page = gallery.open("grey.png")
    page.evaluate(f"{VIEWER}.addEventListener('viewer-error', (event) => window.told = event.detail)")
    image_id = gallery.ids.get(name, "01890000-0000-7000-8000-000000000000")
    assert show(page, image_id) is False
    expect(page.get_by_role("status").filter(has_text=words)).to_be_visible()
    assert page.evaluate("window.told.imageId") == image_id
    assert show(page, gallery.ids["other.png"]) is True
    expect(page.locator(".viewer-said")).to_be_hidden()


def test_two_scans_zoom_and_move_together_until_they_are_parted(gallery: Gallery) -> None:
    page = gallery.open("grey.png", query=f"&right={gallery.ids['other.png']}")
    both = "[...document.querySelectorAll('scan-viewer')].map((viewer) => viewer.stage.view.relative)"
    until(page, "[...document.querySelectorAll('scan-viewer')].every((viewer) => viewer.imageId)")
    page.locator(".viewer-stage").first.hover()
    page.keyboard.press("1")
    page.keyboard.press("ArrowLeft")
    left, right = page.evaluate(both)
    assert left["zoom"] == pytest.approx(right["zoom"])
    assert left["x"] == pytest.approx(right["x"], abs=0.01)
    page.get_by_role("button", name="Together").click()
    page.locator(".viewer-stage").last.click()
    page.keyboard.press("0")
    left, right = page.evaluate(both)
    assert (left["fitted"], right["fitted"]) == (False, True)


def test_a_side_without_a_scan_says_so(gallery: Gallery) -> None:
    page = gallery.open("grey.png", query="&right=01890000-0000-7000-8000-000000000000")
    expect(page.get_by_role("article", name="Right scan")).to_contain_text("This scan has been deleted.")
    page.goto("/compare")
    expect(page.get_by_role("heading", name="No scans to compare yet")).to_be_visible()
