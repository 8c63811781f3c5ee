"""Operations at the desk: what is seen there is true, and what is done there is done."""

import re

from playwright.sync_api import Page, expect
from sqlalchemy import text

from app.db import transaction
from app.models import Role
from tests.browser.conftest import Desk
from tests.conftest import FakeExtractor, TestStore, extracting
from tests.integration.calls import scan
from tests.integration.rows import stored_images

BROKEN = "UPDATE job SET state = 'failed', attempts = 3, finished_at = now(), error = CAST(:error AS jsonb)"
ERROR = '{"code": "corrupt", "message": "The pixels end early."}'


def give_up(store: TestStore) -> None:
    with transaction(store.sessions) as session:
        session.execute(text(BROKEN), {"error": ERROR})


def test_the_figures_are_those_of_the_store_and_stay_fresh(
    desk: Desk, extractor: FakeExtractor, store: TestStore
) -> None:
    stored_images(store, [scan(number) for number in range(3)])
    page = desk.visit("/operations", role=Role.INGEST)
    expect(page.locator("#figure-waiting")).to_have_text("3")
    expect(page.get_by_role("alert")).to_contain_text("No extraction worker reports")
    with extracting(store, extractor):
        expect(page.locator("#figure-waiting")).to_have_text("0")
        expect(page.get_by_role("alert")).to_have_count(0)
        expect(page.get_by_role("cell", name="fake/fp32")).to_be_visible()
        expect(page.get_by_role("img", name="3 scans were described in the last hour")).to_be_visible()


def test_what_failed_says_why_and_is_tried_again(desk: Desk, extractor: FakeExtractor, store: TestStore) -> None:
    stored_images(store, [scan(1), scan(2)])
    give_up(store)
    page = desk.visit("/operations/failed")
    expect(page.get_by_role("cell", name="The pixels end early.")).to_have_count(2)
    page.get_by_role("button", name="Try again").first.click()
    expect(page.get_by_text("queued again")).to_be_visible()
    with extracting(store, extractor):
        page.get_by_role("button", name="Try all of densenet121-xray again").click()
        expect(page.locator(".notice")).to_contain_text("1 job is queued again")
        page.goto("/operations/feature-sets")
        expect(page.get_by_text("2 of 2 scans described")).to_be_visible()
    page.goto("/operations/failed")
    expect(page.get_by_role("heading", name="Nothing failed")).to_be_visible()


def test_an_inspector_sees_failures_and_changes_nothing(desk: Desk, store: TestStore) -> None:
    desk.expected.append("403")
    stored_images(store, [scan(1)])
    give_up(store)
    page = desk.visit("/operations/failed", role=Role.INSPECTOR)
    expect(page.get_by_role("cell", name="The pixels end early.")).to_be_visible()
    expect(page.get_by_role("button", name=re.compile("again"))).to_have_count(0)
    for room in ("keys", "audit"):
        expect(page.get_by_role("link", name=room.capitalize(), exact=True)).to_have_count(0)
        page.goto(f"/operations/{room}")
        expect(page.get_by_role("heading", name="Not with this key")).to_be_visible()


def test_a_set_that_is_filled_is_paused_slowed_and_gone_on_with(desk: Desk, store: TestStore) -> None:
    with transaction(store.sessions) as session:
        session.execute(text("UPDATE feature_set SET stage = 'filling' WHERE name = 'densenet121-xray'"))
    stored_images(store, [scan(1)])
    page = desk.visit("/operations/feature-sets")
    expect(page.get_by_text("being filled", exact=True)).to_be_visible()
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_text("paused", exact=True)).to_be_visible()
    page.get_by_role("button", name="Limit the speed").click()
    page.get_by_label("Scans a second at most").fill("2.5")
    page.get_by_role("button", name="Set", exact=True).click()
    expect(page.get_by_text("2.5 scans a second")).to_be_visible()
    page.get_by_role("button", name="Go on").click()
    expect(page.get_by_text("being filled", exact=True)).to_be_visible()
    assert store.scalar("SELECT paused OR rate <> 2.5 FROM feature_set WHERE name = 'densenet121-xray'") is False


def make_key(page: Page, name: str, role: str) -> str:
    page.get_by_label("Whose it is").fill(name)
    page.get_by_label("Role").select_option(role)
    page.get_by_role("button", name="Make it").click()
    dialog = page.get_by_role("dialog")
    secret = dialog.get_by_label("Key").input_value()
    dialog.get_by_role("button", name="I have it").click()
    expect(page.get_by_role("row").filter(has_text=name)).to_be_visible()  # the list was loaded again
    return secret


def test_a_key_is_shown_once_works_and_is_revoked(desk: Desk) -> None:
    page = desk.visit("/operations/keys")
    secret = make_key(page, "gate-3", "ingest")
    row = page.get_by_role("row", name="gate-3")
    expect(row).to_contain_text("valid")
    assert secret not in page.content()
    with desk.program(headers={"Authorization": f"Bearer {secret}"}) as holder:
        assert holder.get("/v1/stats").status_code == 200
        row.get_by_role("button", name="Revoke").click()
        page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
        expect(row).to_contain_text("revoked")
        assert holder.get("/v1/stats").status_code == 401


def test_the_audit_says_who_did_what(desk: Desk) -> None:
    theirs = "<b>O'Neil & sons</b>"
    page = desk.visit("/operations/keys", name="ana")
    make_key(page, theirs, "inspector")
    page.goto("/operations/audit?action=key.")
    row = page.get_by_role("row").filter(has_text="key.create").first
    expect(row).to_contain_text("ana")
    expect(row).to_contain_text(theirs)
    row.get_by_role("link", name="ana").click()
    page.wait_for_url("**actor=ana*")
    expect(page.get_by_role("row").filter(has_text="desk.sign_in")).to_have_count(1)
