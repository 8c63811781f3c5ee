"""Heads at the desk: trained and watched, their report's threshold tried, promoted with the flips read, rolled back."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import text

from app.db import transaction
from app.models import Role, Stage
from tests.browser.conftest import Desk
from tests.conftest import TestStore, training
from tests.integration.fabricated import TASK, Archive, Rule, archive, register

ROWS = 200
FIRST, SECOND = Rule(0.5), Rule(0.53)


@pytest.fixture
def filled(store: TestStore) -> Archive:
    found = archive(store, ROWS)
    found.label()
    return found


@pytest.fixture
def trainer(store: TestStore, filled: Archive) -> Iterator[None]:
    with training(store):
        yield


@pytest.fixture
def quiet(desk: Desk) -> Desk:
    """The desk of images that have no pixels: their thumbnails are not found."""
    desk.expected.append("404")
    return desk


def train(page: Page) -> None:
    """Train as the form opens, but with fewer candidates and folds."""
    page.goto(f"/heads/{TASK}/train")
    page.get_by_text("Search, parameters and the rest").click()
    page.get_by_label("C", exact=True).fill("0.01, 0.1")
    page.get_by_label("Folds").fill("3")
    expect(page.locator("#fits")).to_have_text("2 candidates, 6 fits")
    page.get_by_role("button", name="Train").click()
    expect(page).to_have_url(re.compile(f"/heads/{TASK}$"))


def test_one_form_trains_and_the_page_follows_to_the_end(quiet: Desk, store: TestStore, filled: Archive) -> None:
    page = quiet.visit("/heads")
    page.get_by_role("link", name=TASK).click()
    expect(page.get_by_role("heading", name="There is no version yet")).to_be_visible()
    train(page)
    section = page.get_by_role("region", name="Training of version 1")
    expect(section.get_by_text("Waiting for the training worker")).to_be_visible()
    with training(store):
        expect(section.get_by_text("Trained.", exact=True)).to_be_visible()
    expect(section.locator("svg circle.dot")).to_have_count(6)
    section.get_by_text("Figures as a table").click()
    expect(section.locator("tbody tr")).to_have_count(2)
    section.get_by_role("link", name="Look at version 1").click()
    expect(page.get_by_role("heading", name="Version 1")).to_be_visible()


def test_a_training_can_be_cancelled_and_leaves_no_head(desk: Desk, filled: Archive) -> None:
    page = desk.visit(f"/heads/{TASK}/train")
    expect(page.locator("#fits")).to_have_text("5 candidates, 25 fits")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Cancel the training").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel the training").click()
    expect(page.locator("[data-training] [data-state]")).to_have_text("Cancelled.")
    page.reload()
    expect(page.locator("tr[data-row='1']")).to_contain_text("cancelled")


def test_what_the_service_refuses_is_said_and_what_was_typed_stays(desk: Desk, filled: Archive) -> None:
    desk.expected.append("422")
    page = desk.visit(f"/heads/{TASK}/train")
    page.get_by_label("Policy").select_option("words")
    page.get_by_label("Policy in words").fill("recall(grey)>=0.9")
    page.get_by_role("button", name="Train").click()
    expect(page.get_by_role("alert")).to_contain_text("grey is no class")
    expect(page.get_by_label("Policy in words")).to_have_value("recall(grey)>=0.9")


def test_one_threshold_moves_every_plot_and_says_what_it_costs(quiet: Desk, trainer: None) -> None:
    page = quiet.visit("/heads")
    train(page)
    page.get_by_role("link", name="Look at version 1").click()
    slider = page.get_by_role("slider", name="Try a threshold")
    said = page.locator("#said")
    expect(said).to_contain_text("this is what the head does")
    titles = ("ROC", "Precision and recall", "Missed against")
    dots = [page.locator(f"figure:has-text('{title}') circle.now") for title in titles]
    before = [(dot.get_attribute("cx"), dot.get_attribute("cy")) for dot in dots]
    slider.focus()
    page.keyboard.press("End")
    expect(said).to_contain_text("compared with the head's own threshold")
    expect(said).to_contain_text("fewer to open")
    expect(slider).to_have_attribute("aria-valuetext", re.compile("Misses"))
    for dot, was in zip(dots, before, strict=True):
        assert not dot.count() or (dot.get_attribute("cx"), dot.get_attribute("cy")) != was
    page.locator("#main").focus()
    page.keyboard.press("0")
    expect(said).to_contain_text("this is what the head does")
    expect(page.locator("#own")).to_be_disabled()

    # A threshold is a link, and leads to a head that decides there.
    page.keyboard.press("]")
    expect(page).to_have_url(re.compile("threshold="))
    at = page.locator("#at").inner_text()
    page.reload()
    expect(page.locator("#at")).to_have_text(at)
    page.get_by_role("link", name="Train one that decides here").click()
    expect(page.get_by_role("heading", name="Train one like version 1")).to_be_visible()
    expect(page.get_by_label("Policy")).to_have_value("fixed")
    expect(page.locator("[id=logistic-regression-C]")).to_have_value("0.01, 0.1")


def test_a_promotion_waits_until_its_flips_are_read(
    quiet: Desk, store: TestStore, filled: Archive, trainer: None
) -> None:
    live = register(store, FIRST, stage=Stage.LIVE, evidence=filled.evidence(FIRST))
    promoted(store, live)
    second = register(store, SECOND, evidence=filled.evidence(SECOND))
    page = quiet.visit(f"/heads/{TASK}/2")
    page.keyboard.press("p")
    dialog = page.get_by_role("dialog", name="Promote version 2 in place of version 1")
    flips = dialog.get_by_role("list", name="Decisions that would change").get_by_role("listitem")
    expected = sum(a != b for a, b in zip(FIRST.decide(filled.light), SECOND.decide(filled.light), strict=True))
    expect(flips).to_have_count(expected)
    expect(flips.first).to_contain_text("light→dark")
    button = dialog.get_by_role("button", name=re.compile("^Promote version 2"))
    expect(button).to_be_disabled()
    if dialog.get_by_label("Why promote it").is_visible():
        dialog.get_by_label("Why promote it").fill("fewer false alarms")
    expect(button).to_be_disabled()
    dialog.get_by_label(f"I have read the {expected} decisions that change").check()
    button.click()
    expect(page).to_have_url(re.compile(f"/heads/{TASK}$"))
    expect(page.get_by_role("heading", name="Version 2 is live")).to_be_visible()
    assert store.scalar("SELECT stage FROM head WHERE id = :id", id=second) == "live"


def test_what_the_gate_refuses_needs_a_reason_that_is_kept(
    quiet: Desk, store: TestStore, filled: Archive, trainer: None
) -> None:
    worse = Rule(0.6)
    promoted(store, register(store, FIRST, stage=Stage.LIVE, evidence=filled.evidence(FIRST)))
    register(store, worse, evidence=filled.evidence(worse))
    page = quiet.visit(f"/heads/{TASK}/2#promote")
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_text("The gate refuses it: one check failed.")).to_be_visible()
    expect(dialog.get_by_text("It decides no worse than the live version")).to_be_visible()
    dialog.get_by_label(re.compile("I have read")).check()
    button = dialog.get_by_role("button", name="Promote version 2 all the same")
    expect(button).to_be_disabled()
    dialog.get_by_label("Why promote it").fill("the port asks for fewer openings")
    button.click()
    expect(page.get_by_role("heading", name="Version 2 is live")).to_be_visible()
    kept = "SELECT detail -> 'override' ->> 'reason' FROM audit_event WHERE action = 'head.promote'"
    assert store.scalar(kept) == "the port asks for fewer openings"


def test_a_head_that_is_the_wrong_way_round_cannot_be_promoted(quiet: Desk, store: TestStore, filled: Archive) -> None:
    register(store, Rule(0.5, direction=-1))
    page = quiet.visit(f"/heads/{TASK}/1#promote")
    dialog = page.get_by_role("dialog", name="Promote version 1")
    expect(dialog.get_by_text("nobody can override that")).to_be_visible()
    expect(dialog.get_by_role("button", name="Promote version 1")).to_be_disabled()
    expect(dialog.get_by_label("Why promote it")).to_be_hidden()


def test_a_rollback_names_what_returns(desk: Desk, store: TestStore, filled: Archive) -> None:
    first = register(store, FIRST, stage=Stage.ARCHIVED)
    second = register(store, SECOND, stage=Stage.LIVE)
    promoted(store, first)
    promoted(store, second)
    page = desk.visit(f"/heads/{TASK}")
    page.get_by_role("button", name="Roll back to version 1").click()
    dialog = page.get_by_role("dialog", name="Roll back to version 1?")
    expect(dialog).to_contain_text("Version 2 is archived")
    other = desk.visit(f"/heads/{TASK}")
    dialog.get_by_role("button", name="Make version 1 live").click()
    expect(page.get_by_role("heading", name="Version 1 is live")).to_be_visible()
    expect(page.get_by_text("The archive is judged again by this head.")).to_be_visible()

    # Whoever looks at a page from before is told so instead of rolling back further.
    other.get_by_role("button", name="Roll back to version 1").click()
    other.get_by_role("dialog").get_by_role("button", name="Make version 1 live").click()
    expect(other.get_by_role("alert")).to_contain_text("Another version went live meanwhile")
    assert store.scalar("SELECT count(*) FROM promotion WHERE rollback") == 1


def test_settings_are_kept_and_said_in_words(desk: Desk, store: TestStore, filled: Archive) -> None:
    page = desk.visit(f"/heads/{TASK}")
    page.get_by_role("button", name="Task settings").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Policy").select_option("recall")
    expect(dialog.locator(".explained")).to_contain_text("needs at least 299 labelled light; there are 100")
    dialog.get_by_label("Find at least, %").fill("95")
    expect(dialog.locator(".explained")).to_contain_text("needs at least 59 labelled light")
    dialog.get_by_label("Leave to a person").select_option("review")
    dialog.get_by_label(re.compile("Share of scans that are light")).fill("2")
    dialog.get_by_label("Blind").check()
    dialog.get_by_role("button", name="Keep these settings").click()
    expect(page.get_by_text("recall≥0.95@0.95")).to_be_visible()
    expect(page.get_by_text("blind: scores are hidden")).to_be_visible()
    with transaction(store.sessions) as session:
        row = session.execute(text("SELECT policy, abstain, prevalence, blind FROM task WHERE name = 'bright'")).one()
    assert tuple(row) == ("recall>=0.95@0.95", "review<=0.05", 0.02, True)


def test_versions_are_compared_side_by_side(quiet: Desk, store: TestStore, trainer: None) -> None:
    page = quiet.visit("/heads")
    train(page)
    expect(page.get_by_text("Trained.", exact=True)).to_be_visible()
    register(store, SECOND)
    page.goto(f"/heads/{TASK}")
    compare = page.get_by_role("button", name="Compare side by side")
    expect(compare).to_be_disabled()
    page.get_by_label("Compare version 1").check()
    page.get_by_label("Compare version 2").check()
    compare.click()
    expect(page.get_by_role("columnheader")).to_have_count(3)
    expect(page.locator("#plots svg")).to_have_count(2)


def test_an_inspector_looks_and_changes_nothing(desk: Desk, store: TestStore, filled: Archive) -> None:
    desk.expected.append("403")
    register(store, FIRST, stage=Stage.LIVE)
    page = desk.visit(f"/heads/{TASK}", role=Role.INSPECTOR)
    expect(page.get_by_role("heading", name="Version 1 is live")).to_be_visible()
    for name in ("Task settings", "Roll back to version 1", "Train a version"):
        expect(page.get_by_role("button", name=name)).to_have_count(0)
    page.goto(f"/heads/{TASK}/train")
    expect(page.get_by_role("heading", name="Not with this key")).to_be_visible()


def test_a_head_or_task_that_is_not_there_is_a_page_that_says_so(desk: Desk, filled: Archive) -> None:
    desk.expected.append("404")
    page = desk.visit(f"/heads/{TASK}/7")
    expect(page.get_by_text("has no head version 7")).to_be_visible()
    page.goto("/heads/dusk")
    expect(page.get_by_text("There is no task dusk")).to_be_visible()


def promoted(store: TestStore, head: object) -> None:
    """As if a head had been promoted: what a rollback walks back."""
    with transaction(store.sessions) as session:
        session.execute(
            text("INSERT INTO promotion (task, head_id, author) VALUES ('bright', :head, 'test')"), {"head": head}
        )
