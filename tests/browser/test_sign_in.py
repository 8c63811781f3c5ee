"""Signing in and out at the desk, and what other sites may not do."""

import re

import pytest
from playwright.sync_api import expect

from app.deps import SESSION_COOKIE
from tests.browser.conftest import Desk


def test_whoever_signs_in_comes_back_to_the_page_they_asked_for(desk: Desk) -> None:
    page = desk.stranger()
    page.goto("/settings?tab=1")
    expect(page).to_have_url(re.compile(r"/sign-in\?next=/settings%3Ftab%3D1$"))
    page.get_by_label("Key").fill(desk.store.key())
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/settings\?tab=1$"))
    expect(page.get_by_role("navigation", name="Rooms")).to_be_visible()


def test_a_wrong_key_is_refused_in_plain_words(desk: Desk) -> None:
    desk.expected.append("401")
    page = desk.stranger()
    page.goto("/sign-in?next=//elsewhere.example/")
    page.get_by_label("Key").fill("pnb_no-such-key")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("unknown or was revoked")
    assert page.locator("input[name=next]").input_value() == "/"


def test_the_cookie_is_out_of_reach_and_goes_with_the_sign_out(desk: Desk) -> None:
    page = desk.visit("/settings")
    cookie = next(one for one in page.context.cookies() if one.get("name") == SESSION_COOKIE)
    assert (cookie.get("httpOnly"), cookie.get("sameSite"), cookie.get("expires")) == (True, "Lax", -1)
    assert page.evaluate("document.cookie") == ""
    page.get_by_role("button", name="Sign out").click()
    expect(page).to_have_url(re.compile("/sign-in$"))
    with desk.program(cookies={SESSION_COOKIE: str(cookie.get("value"))}) as other:
        assert other.get("/v1/tasks").status_code == 401


@pytest.mark.parametrize("token", ["", "0" * 64])
def test_a_change_by_cookie_needs_the_pages_token(desk: Desk, token: str) -> None:
    page = desk.visit("/settings")
    cookie = {one["name"]: one["value"] for one in page.context.cookies() if "name" in one and "value" in one}
    with desk.program(cookies=cookie) as other:
        assert other.get("/v1/preferences").status_code == 200
        refused = other.put("/v1/preferences/a", json={"value": 1}, headers={"X-CSRF-Token": token})
        assert refused.status_code == 403
        assert other.post("/sign-out", data={"csrf": token}).status_code == 403


def test_another_sites_form_cannot_sign_a_visitor_in(desk: Desk) -> None:
    with desk.program(headers={"Sec-Fetch-Site": "cross-site"}) as other:
        answer = other.post("/sign-in", data={"key": desk.store.key()})
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


def test_errors_are_pages_for_people_and_problems_for_programs(desk: Desk) -> None:
    desk.expected.append("404")
    page = desk.visit("/no-such-room")
    expect(page.get_by_role("heading", name="There is nothing here")).to_be_visible()
    with desk.program(headers={"Accept": "text/html"}) as other:
        answer = other.get("/v1/no-such-thing")
    assert answer.headers["content-type"] == "application/problem+json"
