"""The archive: filters that make addresses, scans chosen by box, key and mouse, labelled together."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from app import embedded
from app.features.spec import FeatureSetSpec
from app.models import Role
from tests.browser.archive import SCANS, Shelf, shelf
from tests.integration.fabricated import TASK


@pytest.fixture(scope="module")
def shared(
    server: embedded.EmbeddedServer, template: str, spec: FeatureSetSpec, tmp_path_factory: pytest.TempPathFactory,
    browser: Browser,
) -> Iterator[Shelf]:  # fmt: skip
    with shelf(server, template, spec, tmp_path_factory.mktemp("archive"), browser) as shared:
        yield shared


@pytest.fixture
def archive(shared: Shelf) -> Iterator[Shelf]:
    yield shared
    shared.desk.close()


def names(page: Page) -> list[str]:
    return page.locator(".scan-name").all_inner_texts()


def chosen(page: Page) -> int:
    return page.locator(".scan :checked").count()


def test_scans_come_newest_first_with_what_became_of_them(archive: Shelf) -> None:
    page = archive.open(f"/images?task={TASK}")
    assert names(page) == [subject for _, _, subject in reversed(SCANS.values())]
    liar = page.locator(f'[data-image="{archive.ids["liar.png"]}"]')
    expect(liar).to_contain_text("light")
    expect(liar.locator(".differs")).to_have_text("≠ declared dark")


def test_a_filter_makes_an_address_that_shows_the_same_again(archive: Shelf) -> None:
    page = archive.open("/images")
    page.get_by_label("Task", exact=True).select_option(TASK)
    page.get_by_label("Decided").select_option("light")
    expect(page).to_have_url(re.compile(rf"/images\?task={TASK}&decision=light$"))
    assert names(page) == ["BOX 3", "BOX 2", "BOX 1"]
    page.get_by_label("Subject").fill("BOX 2")
    page.keyboard.press("Enter")
    expect(page.locator(".scan")).to_have_count(1)
    again = page.context.new_page()
    again.goto(page.url)
    assert names(again) == ["BOX 2"]
    page.get_by_role("link", name="All scans").click()
    expect(page.locator(".scan")).to_have_count(6)


def test_days_are_those_of_the_visitor(archive: Shelf) -> None:
    page = archive.open("/images", timezone_id="Asia/Tokyo")
    today = page.evaluate("new Date(Date.now() + 9 * 3600e3).toISOString().slice(0, 10)")
    page.get_by_label("Received from").fill(today)
    page.get_by_label("Received until").fill(today)
    page.get_by_role("button", name="Show").click()
    expect(page).to_have_url(re.compile(r"received_from=.*T15%3A00%3A00.000Z&received_until=.*T15%3A00%3A00.000Z"))
    expect(page.locator(".scan")).to_have_count(6)
    assert page.get_by_label("Received until").input_value() == today


def test_no_scan_that_fits_says_what_to_do(archive: Shelf) -> None:
    page = archive.open("/images?subject=NOBODY&cursor=nonsense&state=nonsense&received_from=nonsense")
    expect(page.get_by_role("heading", name="No scan fits")).to_be_visible()
    expect(page.get_by_role("link", name="All scans")).to_have_count(2)


def test_keys_walk_choose_label_and_undo(archive: Shelf) -> None:
    page = archive.open(f"/images?task={TASK}")
    page.keyboard.press("j")
    page.keyboard.press("x")
    page.keyboard.press("j")
    page.keyboard.press("x")
    expect(page.locator("#together-count")).to_have_text("2 scans chosen")
    page.keyboard.press("l")
    page.keyboard.press("2")
    expect(page.locator("#notices")).to_contain_text("2 scans labelled light")
    assert [one["class"] for name in ("night.png", "shade.png") for one in archive.labels(name)] == ["light", "light"]
    night = page.locator(f'[data-image="{archive.ids["night.png"]}"]')
    expect(night).to_contain_text("✓ light")
    assert chosen(page) == 0
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("#notices")).to_contain_text("2 labels taken back")
    expect(night.locator(".scan-outcome")).to_have_text("dark")
    assert archive.labels("night.png") == archive.labels("shade.png") == []


def test_a_box_drawn_with_the_mouse_chooses_what_it_touches(archive: Shelf) -> None:
    page = archive.open(f"/images?task={TASK}")
    cards = page.locator(".scan")
    first, third = cards.nth(0).bounding_box(), cards.nth(2).bounding_box()
    assert first is not None
    assert third is not None
    page.mouse.move(first["x"] + 20, first["y"] + first["height"] - 12)
    page.mouse.down()
    page.mouse.move(third["x"] + 30, third["y"] + 60, steps=4)
    expect(page.locator(".lasso")).to_be_visible()
    page.mouse.up()
    expect(page).to_have_url(re.compile("/images"))
    assert chosen(page) == 3
    cards.nth(5).locator("a").click(modifiers=["Shift"])
    assert chosen(page) == 4
    page.keyboard.press("Escape")
    assert chosen(page) == 0
    page.keyboard.press("*")
    assert chosen(page) == 6


def test_scans_that_went_meanwhile_are_told_and_the_others_labelled(archive: Shelf) -> None:
    page = archive.open(f"/images?task={TASK}")
    page.route(
        re.compile(f"/v1/tasks/{TASK}/labels"),
        lambda route: route.continue_(post_data=(route.request.post_data or "").replace(archive.ids["twin.png"], GONE)),
    )
    for name in ("honest.png", "twin.png"):
        page.locator(f'[data-image="{archive.ids[name]}"] input').check()
    page.get_by_role("button", name="dark").click()
    expect(page.locator("#notices")).to_contain_text("1 scan labelled dark; 1 was deleted meanwhile")


def test_what_a_lost_connection_keeps_back_stays_chosen(archive: Shelf) -> None:
    archive.desk.expected.append("ERR_INTERNET_DISCONNECTED")
    page = archive.open(f"/images?task={TASK}")
    page.locator(".scan input").first.check()
    page.context.set_offline(True)
    page.get_by_role("button", name="light").click()
    expect(page.locator("#notices")).to_contain_text("The service does not answer")
    assert chosen(page) == 1
    page.context.set_offline(False)
    page.get_by_role("button", name="light").click()
    expect(page.locator("#notices")).to_contain_text("1 scan labelled light")


def test_whoever_may_not_label_gets_no_boxes(archive: Shelf) -> None:
    page = archive.open("/images", role=Role.INGEST, name="gate")
    expect(page.locator(".scan")).to_have_count(6)
    expect(page.locator(".scan input")).to_have_count(0)


def test_a_scan_is_deleted_after_a_question(archive: Shelf) -> None:
    page = archive.open(archive.scan("twin.png"), role=Role.ADMIN, name="root")
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_role("dialog")).to_contain_text("twin.png goes for good")
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page).to_have_url(re.compile("/images$"))
    expect(page.locator(".scan")).to_have_count(5)


GONE = "01890000-0000-7000-8000-000000000000"
