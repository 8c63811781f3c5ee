"""Ingest at the desk: folders are dropped, sent once whatever happens, refused with reasons, and seen to be judged."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, Request, Route, expect
from sqlalchemy import text

from app.db import transaction
from app.models import Role, Stage
from app.services import tasks
from tests.browser.conftest import Desk
from tests.browser.gallery import until
from tests.conftest import FakeExtractor, TestStore, extracting
from tests.integration.calls import scan
from tests.integration.fabricated import CLASSES, POSITIVE, TASK, Rule, register

Sample = Callable[..., bytes]


@pytest.fixture
def folder(tmp_path: Path, sample: Sample) -> Path:
    """Simulated scans in folders, with what people leave in folders: a list, a hidden file, an empty one."""
    root = tmp_path / "monday"
    for name, count in (("dark", 3), ("light/late", 2)):
        (root / name).mkdir(parents=True)
        for number in range(count):
            (root / name / f"scan-{number}.jpg").write_bytes(sample(seed=len(name) * 10 + number))
    (root / "cargo.csv").write_text("number,class\n")
    (root / "dark" / "broken.jpg").write_bytes(sample()[:2000])
    (root / "dark" / "nothing.jpg").write_bytes(b"")
    (root / ".DS_Store").write_bytes(b"x")
    return root


@pytest.fixture
def judged(desk: Desk, extractor: FakeExtractor, store: TestStore) -> Iterator[Desk]:
    """A desk whose worker extracts, and whose live head finds everything light."""
    with transaction(store.sessions) as session:
        tasks.create(session, TASK, "Is it?", list(CLASSES), POSITIVE, author="test")
    register(store, Rule(-1), stage=Stage.LIVE)
    with extracting(store, extractor):
        yield desk


def count(page: Page, view: str) -> Locator:
    return page.locator(f"[data-count={view}]")


def image_count(store: TestStore) -> object:
    return store.scalar("SELECT count(*) FROM image")


def small(folder: Path, number: int, start: int = 0) -> list[Path]:
    """Small scans, each of its own."""
    folder.mkdir(exist_ok=True)
    for index in range(start, start + number):
        (folder / f"s-{index:04}.png").write_bytes(scan(index))
    return sorted(folder.iterdir())


def test_a_dropped_folder_is_stored_refused_with_reasons_and_seen_to_be_judged(
    judged: Desk, folder: Path, store: TestStore
) -> None:
    judged.expected.append("415")  # a request of which every file is refused
    page = judged.visit("/ingest", role=Role.INGEST)
    page.get_by_label("bright: the papers say").select_option("as their folder is named")
    page.get_by_label("Container or patient").select_option("each file's name")
    drop(page, folder)
    expect(count(page, "all")).to_have_text("8")  # the hidden file is nobody's scan
    expect(page.locator(".notice")).to_contain_text("6 new scans, 0 were here already, 2 refused")
    expect(count(page, "judged")).to_have_text("5")
    expect(count(page, "refused")).to_have_text("3")  # one ends before its pixels do, as its worker found
    expect(count(page, "differs")).to_have_text("3")
    page.get_by_role("tab", name="Not as declared").click()
    expect(page.locator(".file")).to_have_count(3)
    expect(page.locator(".file").first).to_contain_text("declared dark")
    assert image_count(store) == 6
    assert store.scalar("SELECT count(DISTINCT subject) FROM image") == 4
    expect(page.get_by_role("link", name="scan-0.jpg")).to_have_attribute("href", re.compile("/images/"))


def drop(page: Page, folder: Path) -> None:
    """As a hand does it: the browser itself is told that a folder of the disk is let go of over the page."""
    tab = page.context.new_cdp_session(page)
    data = {"items": [], "files": [str(folder)], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        tab.send("Input.dispatchDragEvent", {"type": kind, "x": 700, "y": 300, "data": data})


def test_refused_files_make_a_list_to_hand_on(judged: Desk, folder: Path) -> None:
    judged.expected.append("415")  # a request of which every file is refused
    page = judged.visit("/ingest")
    page.locator("#folder").set_input_files(folder)
    expect(count(page, "refused")).to_have_text("3")
    page.keyboard.press("r")
    expect(page.locator(".file")).to_have_count(3)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download it").click()
    lines = Path(download.value.path()).read_text("utf-8-sig").splitlines()
    assert lines[0] == '"file","bytes","reason"'
    told = {line.split('","')[0].strip('"'): line for line in lines[1:]}
    assert set(told) == {"monday/cargo.csv", "monday/dark/broken.jpg", "monday/dark/nothing.jpg"}
    assert "empty" in told["monday/dark/nothing.jpg"]
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy the list").click()
    expect(page.locator("#copied")).to_have_text("Copied.")
    assert "monday/cargo.csv\t" in page.evaluate("navigator.clipboard.readText()")


def test_a_lost_connection_in_the_middle_loses_nothing_and_counts_nothing_twice(
    desk: Desk, tmp_path: Path, store: TestStore
) -> None:
    desk.expected.append("ERR_INTERNET_DISCONNECTED")
    page = desk.visit("/ingest")
    tab = page.context.new_cdp_session(page)

    def lose(paused: dict[str, Any]) -> None:
        tab.send("Fetch.failRequest", {"requestId": paused["requestId"], "errorReason": "InternetDisconnected"})

    # The service stores what it is sent, and its answers never come back.
    tab.on("Fetch.requestPaused", lose)
    tab.send("Fetch.enable", {"patterns": [{"urlPattern": "*/v1/images", "requestStage": "Response"}]})
    page.locator("#files").set_input_files(small(tmp_path / "many", 150))
    expect(page.get_by_text("The service does not answer. What is left waits here")).to_be_visible()
    assert int(str(image_count(store))) >= 12
    page.context.set_offline(True)
    tab.send("Fetch.disable")
    page.context.set_offline(False)
    expect(page.locator(".notice")).to_contain_text("150 new scans, 0 were here already, 0 refused")
    assert image_count(store) == 150


def test_the_same_folder_again_after_the_page_was_closed_sends_only_what_is_lacking(
    desk: Desk, tmp_path: Path, store: TestStore
) -> None:
    page = desk.visit("/ingest")
    page.locator("#files").set_input_files(small(tmp_path / "many", 30))
    expect(count(page, "new")).to_have_text("30")
    again = page.context.new_page()
    page.close(run_before_unload=False)
    again.goto("/ingest")
    sent: list[str] = []

    def count_sent(asked: Request) -> None:
        if asked.method == "POST" and asked.url.endswith("/images"):
            sent.append(asked.url)

    again.on("request", count_sent)
    again.locator("#files").set_input_files(small(tmp_path / "many", 10, start=30))
    expect(again.locator(".notice")).to_contain_text("10 new scans, 30 were here already")
    assert len(sent) <= 2  # of four batches: those with something new
    assert image_count(store) == 40


def test_a_declaration_reaches_a_scan_that_is_here_already(judged: Desk, tmp_path: Path, store: TestStore) -> None:
    page = judged.visit("/ingest")
    files = small(tmp_path / "few", 2)
    for declared in ("", "dark"):
        page.get_by_label("bright: the papers say").select_option(declared)
        page.locator("#files").set_input_files(files)
    expect(count(page, "known")).to_have_text("2")
    assert store.scalar("SELECT count(*) FROM declaration WHERE class_name = 'dark'") == 2


def test_sending_is_paused_gone_on_with_and_outlives_the_session(desk: Desk, tmp_path: Path, store: TestStore) -> None:
    desk.expected.append("401")
    page = desk.visit("/ingest", name="ana")
    held: list[Route] | None = []

    def hold(route: Route) -> None:
        if held is None:
            route.continue_()
        else:
            held.append(route)

    page.route("**/v1/image-lookups", hold)
    page.locator("#files").set_input_files(small(tmp_path / "many", 90))
    page.keyboard.press("p")
    expect(page.locator("#line")).to_contain_text("paused")
    with transaction(store.sessions) as session:
        session.execute(text("DELETE FROM desk_session"))
    page.keyboard.press("p")
    waiting, held = held, None
    for route in waiting:
        route.continue_()
    page.get_by_label("Key", exact=True).fill(store.key(Role.ADMIN, "ana"))
    page.get_by_role("dialog").get_by_role("button", name="Sign in").click()
    expect(page.locator(".notice")).to_contain_text("90 new scans")


def test_a_list_of_thousands_keeps_only_the_rows_in_sight(desk: Desk) -> None:
    page = desk.visit("/ingest")
    page.route("**/v1/image-lookups", lambda _: None)  # nothing goes out: only the list is looked at
    page.evaluate(
        """() => {
            const data = new DataTransfer();
            for (let i = 0; i < 5000; i += 1) data.items.add(new File([`scan ${i}`], `f-${i}.jpg`));
            dispatchEvent(new DragEvent("drop", {dataTransfer: data, cancelable: true}));
        }"""
    )
    expect(count(page, "all")).to_have_text("5,000")
    until(page, "document.querySelector('#list').scrollHeight > 50_000")  # the rows come after the count
    assert page.locator(".file").count() < 60
    page.locator("#list").evaluate("list => { list.scrollTop = list.scrollHeight; }")
    expect(page.locator(".file").last).to_contain_text("f-4999.jpg")
    expect(page.locator(".file").last).to_have_attribute("aria-posinset", "5000")
