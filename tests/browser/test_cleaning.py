"""Label cleaning at the desk: two keys judge each suspect, and everything can be taken back."""

from collections.abc import Callable
from uuid import UUID

import pytest
from playwright.sync_api import Locator, Page, expect

from app.models import Role
from tests.browser.conftest import Desk
from tests.conftest import TestStore
from tests.integration.labelled import CLASSES, TASK, embed_both, label_all, vectors_like
from tests.integration.rows import add_images, keep_file
from tests.integration.suspects import doubting

SCANS = 10
DOUBTED = (3, 6, 0, 9)  # given: loaded, empty, empty, loaded
REVIEWS = "SELECT count(*) FROM label WHERE source = 'review' AND NOT EXISTS (SELECT FROM label_withdrawal w WHERE w.label_id = label.id)"  # noqa: E501


@pytest.fixture
def ids(desk: Desk, sample: Callable[..., bytes], store: TestStore) -> list[UUID]:
    """Simulated scans with labels, four of which a head doubts."""
    contents = [sample(seed=number) for number in range(SCANS)]
    for content in contents:
        keep_file(store, content)
    ids = add_images(store.sessions, contents)
    embed_both(store, ids, *vectors_like(store, SCANS))
    label_all(store, {image: CLASSES[number % 2] for number, image in enumerate(ids)})
    doubting(store, ids, DOUBTED)
    return ids


def reviews(store: TestStore) -> object:
    return store.scalar(REVIEWS)


def open_room(desk: Desk, **options: object) -> Page:
    page = desk.visit("/labels", **options)  # type: ignore[arg-type]
    expect(page.locator(".suspect")).to_have_count(4)
    return page


def current(page: Page) -> Locator:
    return page.locator('.suspect[aria-current="true"]')


def stored(page: Page) -> None:
    expect(page.locator("#sending")).to_have_text("")


def test_two_keys_judge_and_the_next_one_is_at_hand(desk: Desk, ids: list[UUID], store: TestStore) -> None:
    page = open_room(desk, role=Role.INSPECTOR, name="ana")
    expect(page.get_by_text("4 of 10 labels are in doubt")).to_be_visible()
    expect(current(page)).to_have_attribute("data-image", str(ids[3]))
    expect(current(page)).to_have_attribute("aria-label", "Rank 1: Labelled loaded, looks empty (99.0%)")
    expect(current(page).locator(".suspect-near li")).to_have_count(5)
    page.keyboard.press("x")
    expect(current(page)).to_have_attribute("data-image", str(ids[6]))
    page.keyboard.press("c")
    expect(page.locator("[data-count=open]")).to_have_text("2")
    stored(page)
    said = "SELECT string_agg(class_name || ' by ' || author, ', ' ORDER BY id) FROM label WHERE source = 'review'"
    assert store.scalar(said) == "empty by ana, empty by ana"
    page.get_by_role("tab", name="Changed 1").click()
    expect(page.locator(".suspect")).to_have_count(1)
    expect(page.locator(".suspect-outcome")).to_have_text("✎ Changed to empty · ana")


def test_the_last_decision_is_undone_and_earlier_ones_taken_back(desk: Desk, ids: list[UUID], store: TestStore) -> None:
    page = open_room(desk)
    page.keyboard.press("x")
    page.keyboard.press("x")
    page.keyboard.press("u")
    expect(current(page)).to_have_attribute("data-image", str(ids[6]))
    expect(current(page).get_by_role("button", name="Change to loaded")).to_be_visible()
    stored(page)
    assert reviews(store) == 1
    page.reload()
    page.get_by_role("tab", name="Changed 1").click()
    page.get_by_role("button", name="Take back").click()
    stored(page)
    assert reviews(store) == 0
    page.reload()
    expect(page.locator("[data-count=open]")).to_have_text("4")


def test_decisions_wait_for_a_lost_connection_even_over_a_closed_page(
    desk: Desk, ids: list[UUID], store: TestStore
) -> None:
    desk.expected.append("ERR_INTERNET_DISCONNECTED")
    page = open_room(desk)
    page.context.set_offline(True)
    page.keyboard.press("c")
    page.keyboard.press("x")
    expect(page.get_by_text("No connection: 2 decisions wait here")).to_be_visible()
    assert reviews(store) == 0  # later is too late: the page's farewell may reach the server when the network is back
    again = page.context.new_page()
    page.close(run_before_unload=False)
    page.context.set_offline(False)
    again.goto("/labels")
    expect(again.locator("[data-count=open]")).to_have_text("2")
    stored(again)
    assert reviews(store) == 2


def test_suspects_are_judged_at_full_size_too(desk: Desk, ids: list[UUID], store: TestStore) -> None:
    page = open_room(desk)
    page.keyboard.press("j")
    page.keyboard.press("Space")
    large = page.get_by_role("dialog", name="The scan at full size")
    expect(large).to_contain_text("Rank 2")
    page.keyboard.press("c")
    expect(large).to_contain_text("Rank 3")
    expect(large.get_by_role("button", name="Keep empty")).to_be_visible()
    page.keyboard.press("Escape")
    expect(current(page)).to_have_attribute("data-image", str(ids[0]))
    stored(page)
    assert reviews(store) == 1


def test_many_are_counted_first_then_stored_then_undone(desk: Desk, ids: list[UUID], store: TestStore) -> None:
    page = open_room(desk)
    page.get_by_role("button", name="Decide many").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("4 suspects are meant")
    dialog.get_by_label("Last rank").fill("3")
    expect(dialog).to_contain_text("2 from empty to loaded")
    assert reviews(store) == 0
    dialog.get_by_role("button", name="Store 3 labels").click()
    expect(page.locator("[data-count=open]")).to_have_text("1")
    assert reviews(store) == 3
    page.locator(".notice").get_by_role("button", name="Undo").click()
    expect(page.locator("[data-count=open]")).to_have_text("4")
    assert reviews(store) == 0


def test_whoever_may_only_send_scans_sees_and_cannot_judge(desk: Desk, ids: list[UUID]) -> None:
    page = open_room(desk, role=Role.INGEST)
    expect(page.get_by_role("button", name="Decide many")).to_have_count(0)
    page.keyboard.press("x")
    expect(page.locator("[data-count=open]")).to_have_text("4")


def test_rooms_without_suspects_say_what_to_do(desk: Desk) -> None:
    page = desk.visit("/labels")
    expect(page.get_by_role("heading", name="No head can doubt these labels yet")).to_be_visible()
    assert page.get_by_role("link", name="Train a head").get_attribute("href") == f"/heads/{TASK}"
