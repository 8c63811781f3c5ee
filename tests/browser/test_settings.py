"""The settings page: what is chosen counts at once and is kept; browsers one is signed in with."""

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from app.models import Role
from tests.browser.conftest import Desk


def choice(page: Page, name: str) -> Locator:
    return page.get_by_role("radio", name=re.compile(f"^{name}"))


def chosen(page: Page, name: str) -> str | None:
    return page.locator("html").get_attribute(f"data-{name}")


def test_a_choice_counts_at_once_and_the_next_time(desk: Desk) -> None:
    page = desk.visit("/settings")
    assert (chosen(page, "theme"), chosen(page, "density")) == ("dark", "comfortable")
    for name, value in (("Light", "theme"), ("Compact", "density")):
        with page.expect_response(re.compile(f"/v1/preferences/{value}$")):
            choice(page, name).check()
    assert (chosen(page, "theme"), chosen(page, "density")) == ("light", "compact")
    page.goto("/settings")
    assert (chosen(page, "theme"), chosen(page, "density")) == ("light", "compact")
    expect(choice(page, "Light")).to_be_checked()


@pytest.mark.parametrize(("language", "title"), [("pt", "Configurações"), ("es", "Ajustes")])
def test_the_desk_speaks_the_chosen_language(desk: Desk, language: str, title: str) -> None:
    page = desk.visit("/settings", locale="de-DE")
    page.get_by_label("Language").select_option(language)
    expect(page.get_by_role("heading", name=title, level=1)).to_be_visible()
    expect(page.locator("html")).to_have_attribute("lang", language)
    page.wait_for_load_state("networkidle")  # the modules wait for their texts
    page.locator("#language").select_option("")
    expect(page.get_by_role("heading", name="Settings", level=1)).to_be_visible()


def test_a_refused_choice_is_taken_back_and_said(desk: Desk) -> None:
    desk.expected.append("Failed to load resource")
    page = desk.visit("/settings")
    page.context.set_offline(True)
    choice(page, "Light").click()
    expect(page.get_by_role("alert")).to_contain_text("does not answer")
    expect(choice(page, "Dark")).to_be_checked()
    assert chosen(page, "theme") == "dark"


def test_the_keys_alone_are_enough(desk: Desk) -> None:
    page = desk.visit("/settings")
    choice(page, "Dark").focus()
    with page.expect_response(re.compile("/v1/preferences/theme$")):
        page.keyboard.press("ArrowRight")
    assert chosen(page, "theme") == "light"
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_contain_text("Worklist")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_other_browsers_are_signed_out_one_by_one_or_all(desk: Desk) -> None:
    key = desk.store.key(Role.INSPECTOR, "ann")
    pages = [desk.visit("/settings", key=key) for _ in range(4)]
    page = pages[-1]
    rows = page.get_by_role("listitem")
    expect(rows).to_have_count(4)
    expect(rows.filter(has_text="this browser")).to_contain_text("Chrome")
    page.get_by_role("button", name=re.compile("^Sign out Chrome")).first.click()
    expect(rows).to_have_count(3)
    page.get_by_role("button", name="Sign out everywhere else").click()
    expect(rows).to_have_count(1)
    expect(page.get_by_role("button", name="Sign out everywhere else")).to_be_hidden()
    pages[0].reload()
    expect(pages[0]).to_have_url(re.compile(r"/sign-in\?next=/settings$"))
    page.reload()
    expect(rows).to_have_count(1)
