"""A day at the desk, on everything that `penumbra up` starts: scans come, are judged, looked at, learned from."""

import re
import shutil
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from app.simulator import encode_jpeg, port_day
from tests.browser.conftest import Desk
from tests.browser.room import press, sent, shown
from tests.browser.test_ingest import count, drop
from tests.conftest import CORPUS
from tests.e2e.conftest import Up, upon

pytestmark = pytest.mark.slow
TASK, SCANS, SEED, LIES, FILMS = "empty-container", 36, 7, 12, 6


@pytest.fixture
def up(tmp_path: Path, graphs: Path) -> Iterator[Up]:
    with upon(tmp_path / "up", graphs) as up:
        yield up.start().ready()


@pytest.fixture
def desk(up: Up, browser: Browser) -> Iterator[Desk]:
    """The desk of real processes; the test fails if a page said something on its console."""
    desk = Desk(None, up.address, browser)
    yield desk
    desk.close()
    assert desk.complaints == []


@pytest.fixture
def truth() -> dict[str, str]:
    """By file name without its ending, what is truly in a container."""
    return {}


@pytest.fixture
def morning(tmp_path: Path, truth: dict[str, str]) -> Path:
    """A folder of simulated scans, in folders as their papers declare them; the first papers are wrong."""
    folder = tmp_path / "morning"
    for index, scan in enumerate(islice(port_day(SCANS, SEED), SCANS)):
        truth[f"scan-{index:02}"] = scan.truth.class_name
        declared = other(scan.truth.class_name) if index < LIES else scan.truth.class_name
        (folder / declared).mkdir(parents=True, exist_ok=True)
        (folder / declared / f"scan-{index:02}.jpg").write_bytes(encode_jpeg(scan))
    return folder


def other(class_name: str) -> str:
    return "empty" if class_name == "loaded" else "loaded"


def films(tmp_path: Path) -> Path | None:
    """Real chest films, where they are on this machine."""
    if not CORPUS.is_dir():
        return None
    folder = tmp_path / "films"
    folder.mkdir()
    for kind in sorted((CORPUS / "chest" / "train").iterdir()):
        for film in sorted(kind.iterdir())[: FILMS // 2]:
            shutil.copyfile(film, folder / film.name)
    return folder


def test_a_day_at_the_desk(up: Up, desk: Desk, morning: Path, truth: dict[str, str], tmp_path: Path) -> None:
    page = desk.visit("/ingest", key=up.key)
    scans_arrive(page, morning)
    if (chest := films(tmp_path)) is not None:
        films_arrive(page, chest)
    ten_are_worked_and_one_undone(page, truth)
    similar_ones_are_found(page)
    label_the_rest(up, truth)
    a_head_is_trained_and_watched(page)
    it_is_promoted_with_its_flips_read(page)
    and_rolled_back(page)


def scans_arrive(page: Page, morning: Path) -> None:
    page.get_by_label(f"{TASK}: the papers say").select_option("as their folder is named")
    page.get_by_label("Container or patient").select_option("each file's name")
    drop(page, morning)
    expect(count(page, "judged")).to_have_text(str(SCANS))
    expect(count(page, "refused")).to_have_text("0")
    expect(page.locator(".notice").last).to_contain_text(f"{SCANS} new scans")


def films_arrive(page: Page, chest: Path) -> None:
    page.goto("/ingest")
    page.get_by_label(f"{TASK}: the papers say").select_option("nothing")
    page.get_by_label("Kind of scan").select_option("chest film")
    drop(page, chest)
    expect(count(page, "judged")).to_have_text(str(len(list(chest.iterdir()))))


def ten_are_worked_and_one_undone(page: Page, truth: dict[str, str]) -> None:
    """By keyboard alone, from the worklist on; the last answer is taken back and given anew."""
    page.goto(f"/?task={TASK}")
    page.keyboard.press("Enter")
    for number in range(1, 11):
        last = shown(page)
        press(page, key_for(last, truth))
        expect(page.locator(".work-far")).to_contain_text(f"{number} by you today")
    sent(page)
    page.keyboard.press("u")
    shown(page, last)
    expect(page.locator(".work-far")).to_contain_text("9 by you today")
    press(page, key_for(last, truth))
    sent(page)


def key_for(subject: str, truth: dict[str, str]) -> str:
    return {"empty": "k", "loaded": "l"}[truth[subject]]


def similar_ones_are_found(page: Page) -> None:
    """Of a container by its number."""
    page.keyboard.press("g")
    page.keyboard.press("s")
    page.locator("#find").fill("scan-20")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/search\?.*image="))
    expect(page.locator("[data-image] .scan-name")).not_to_have_count(0)
    assert page.locator("li.scan").count() >= 10


def label_the_rest(up: Up, truth: dict[str, str]) -> None:
    """What the port found when it opened them, as its own system sends it."""
    images = up.get("/v1/images?limit=200")["items"]
    known = {image["id"]: truth[image["subject"]] for image in images if image["subject"] in truth}
    body = {"labels": [{"id": image, "class": class_name} for image, class_name in known.items()]}
    up.send("POST", f"/v1/labels?task={TASK}", body)


def a_head_is_trained_and_watched(page: Page) -> None:
    page.goto(f"/heads/{TASK}/train")
    page.get_by_label("Policy").select_option("fixed")
    page.get_by_label("Threshold").fill("0.99")
    page.get_by_text("Search, parameters and the rest").click()
    page.get_by_label("C", exact=True).fill("0.0001, 0.001")
    page.get_by_role("button", name="Train").click()
    section = page.get_by_role("region", name="Training of version 2")
    expect(section.get_by_text("Trained.", exact=True)).to_be_visible()
    expect(section.locator("svg circle.dot")).to_have_count(10)
    section.get_by_role("link", name="Look at version 2").click()
    expect(page.locator("#plots svg").first).to_be_visible()


def it_is_promoted_with_its_flips_read(page: Page) -> None:
    page.get_by_role("button", name=re.compile("^Promote")).click()
    dialog = page.get_by_role("dialog", name="Promote version 2 in place of version 1")
    expect(dialog.get_by_text(re.compile(r"^\d+ decisions of \d+ would change"))).to_be_visible()
    expect(dialog.locator("li.scan img").first).to_be_visible()
    dialog.get_by_label("Why promote it").fill(
        "It shall open only what it is sure of, while the crane is out of order."
    )
    button = dialog.get_by_role("button", name="Promote version 2 all the same")
    expect(button).to_be_disabled()
    dialog.get_by_label(re.compile("^I have read")).check()
    button.click()
    expect(page.get_by_role("heading", name="Version 2 is live")).to_be_visible()


def and_rolled_back(page: Page) -> None:
    page.get_by_role("button", name="Roll back to version 1").click()
    page.get_by_role("dialog").get_by_role("button", name="Make version 1 live").click()
    expect(page.get_by_role("heading", name="Version 1 is live")).to_be_visible()
