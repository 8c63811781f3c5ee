"""The worklist: piles, filters that are kept, the scans of a day, who looks at what."""

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect

from app import embedded
from app.models import Role
from tests.browser.conftest import Desk
from tests.browser.room import SHOWN, Room, opened, shown
from tests.conftest import serving
from tests.integration import desk_work
from tests.integration.fabricated import TASK

LIST = f"/?task={TASK}"


@pytest.fixture(scope="module")
def judged(
    server: embedded.EmbeddedServer, template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[desk_work.Desk]:
    with desk_work.desk(server, template, tmp_path_factory.mktemp("worklist")) as judged:
        yield judged


@pytest.fixture(scope="module")
def address(judged: desk_work.Desk) -> Iterator[str]:
    with serving(judged.store) as address:
        yield address


@pytest.fixture
def room(judged: desk_work.Desk, address: str, open_desk: Callable[..., Desk]) -> Iterator[Room]:
    with opened(judged, open_desk(judged.store, address)) as room:
        yield room


def names(page: Page) -> list[str]:
    return page.locator(".item-name").all_inner_texts()


def one_a_pile(room: Room) -> None:
    room.scan("agrees", "dark", 0.1, "dark")
    room.scan("reviewed", "review", 0.4)
    room.scan("undeclared", "light", 0.95)
    room.scan("hollow", "dark", 0.2, "light")
    room.scan("smuggled", "light", 0.8, "dark")


def test_piles_stand_in_their_order_with_their_counts(room: Room) -> None:
    one_a_pile(room)
    page = room.person(LIST)
    assert names(page) == ["smuggled", "hollow", "undeclared", "reviewed"]
    assert page.locator(".rows-title h2").all_inner_texts() == [
        "Declared dark, looks light", "Declared light, looks dark", "Looks light, nothing declared",
        "For review: the head leaves it to you",
    ]  # fmt: skip
    expect(page.locator('.piles [data-count="open"]')).to_have_text("4")
    expect(page.locator('[data-pile-count="looks_negative"]')).to_have_text("1")
    page.keyboard.press("4")
    page.wait_for_url(re.compile("pile=review"))
    assert names(page) == ["reviewed"]


def test_keys_choose_a_scan_and_open_it(room: Room) -> None:
    scans = room.scans(3)
    page = room.person(LIST)
    for key in "jjjk":
        page.keyboard.press(key)
    page.keyboard.press("Enter")
    shown(page, scans[1])
    page.keyboard.press("q")
    page.wait_for_url(re.compile(r"/\?"))
    page.keyboard.press("Enter")
    shown(page, scans[0])


def test_filters_are_kept_for_the_next_visit_until_they_are_taken_away(room: Room) -> None:
    room.scan("near", "light", 0.9, "dark", source="gate-1")
    room.scan("far", "light", 0.8, "dark", source="gate-2")
    page = room.person(LIST)
    page.keyboard.press("/")
    page.keyboard.type("gate-2")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("source=gate-2"))
    assert names(page) == ["far"]
    page.goto("/")
    assert names(page) == ["far"]
    expect(page).to_have_url(re.compile("source=gate-2"))
    page.locator("#start").click()
    shown(page, "far")
    page.goto("/")
    page.get_by_role("button", name="Take it away").click()
    page.wait_for_url(re.compile("all=1"))
    assert names(page) == ["near", "far"]


def test_the_best_of_a_day_are_chosen_over_all_piles(room: Room) -> None:
    one_a_pile(room)
    page = room.person(LIST)
    page.get_by_label("How many scans can you open today?").fill("2")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("count=2"))
    assert sorted(names(page)) == ["smuggled", "undeclared"]
    expect(page.locator(".plan")).to_contain_text("2 scans with the highest expected findings: about 1.8.")


def test_the_list_says_who_looks_at_what_and_what_was_decided_meanwhile(room: Room) -> None:
    room.scans(3)
    room.judged.claim("maria")
    page = room.person(LIST)
    rows = page.locator(".item")
    expect(rows.nth(0)).to_contain_text("with maria")
    room.judged.said(room.image("S0"), who="maria")
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(rows.nth(0)).to_contain_text("no longer here")
    expect(rows.nth(1)).to_contain_text("S1")


def test_more_rows_come_by_themselves(room: Room) -> None:
    scans = room.scans(55)
    page = room.person(LIST)
    page.locator(".item").last.scroll_into_view_if_needed()
    expect(page.locator(".item")).to_have_count(55)
    assert names(page) == scans
    assert page.locator(".rows-title").count() == 1


def test_a_blind_task_shows_neither_answers_nor_piles(room: Room) -> None:
    room.judged.execute("UPDATE task SET blind = true WHERE name = :task", task=TASK)
    one_a_pile(room)
    page = room.person(f"{LIST}&pile=review")
    assert page.locator(".item").count() == 4
    assert not re.search("%|looks", page.locator(".list").inner_text())
    expect(page.locator(".piles")).to_have_count(0)


def test_an_empty_list_says_what_to_do(room: Room) -> None:
    page = room.person(LIST)
    expect(page.get_by_role("link", name="To the ingest page")).to_be_visible()
    room.scan("S0", "dark", 0.1, "dark")
    page.goto(LIST)
    expect(page.get_by_role("heading", name="All done")).to_be_visible()
    room.judged.execute("UPDATE head SET stage = 'archived'")
    page.goto(LIST)
    expect(page.get_by_role("link", name="To the heads")).to_be_visible()


def test_an_old_bookmark_opens_a_list_and_an_unknown_task_says_so(room: Room) -> None:
    room.desk.expected.append("404")
    room.scans(1)
    page = room.person(f"{LIST}&pile=none&state=x&risk_from=2&received_from=never&within=3&count=9999&source=%00")
    assert names(page) == ["S0"]
    page.goto("/?task=no-such-task")
    expect(page.get_by_role("heading", name="There is nothing here")).to_be_visible()


def test_who_only_brings_scans_cannot_work_on_them(room: Room) -> None:
    room.desk.expected.append("403")
    room.scans(1)
    page = room.person(LIST, "gate", Role.INGEST)
    expect(page.locator("#start")).to_have_count(0)
    page.goto(f"/work/{TASK}")
    expect(page.get_by_role("heading", name="Not with this key")).to_be_visible()
    assert page.locator(SHOWN).count() == 0
