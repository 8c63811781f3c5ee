"""Chromium as a person at the desk uses it, for what is measured and pictured there."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

# Software drawing, so that WebGL is there on a machine without a graphics card.
ARGUMENTS = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--disable-dev-shm-usage"]
SCREEN = {"width": 1280, "height": 800}


@contextmanager
def chromium() -> Iterator[Browser]:
    """Chromium, until the block ends."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=ARGUMENTS)
        yield browser
        browser.close()


def signed_in(browser: Browser, address: str, key: str, **options: Any) -> Page:
    """A page in a profile of its own, signed in; `options` as `Browser.new_context`."""
    settings = {"viewport": SCREEN, "locale": "en-GB", "timezone_id": "Europe/Lisbon", **options}
    page = browser.new_context(base_url=address, **settings).new_page()
    page.set_default_timeout(60_000)
    page.goto("/sign-in?next=/settings")
    page.locator("#key").fill(key)
    page.keyboard.press("Enter")
    page.wait_for_url(lambda url: "/sign-in" not in url)
    return page
