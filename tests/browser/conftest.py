"""A real browser on a real server: Debian's Chromium, driven by Playwright."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import httpx2
import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect, sync_playwright

from app.models import Role
from tests.conftest import TestStore, serving
from tests.waiting import PATIENCE

# Software drawing, so that WebGL is there on a machine without a graphics card.
ARGUMENTS = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--disable-dev-shm-usage"]
MILLISECONDS = 60_000
"""How long to wait for what must come: a page or a process may be slow on a machine with other work."""


@contextmanager
def chromium() -> Iterator[Browser]:
    """Chromium, until the block ends."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One browser for all tests of a process; skips where Chromium is not installed."""
    if shutil.which("chromium") is None:
        pytest.skip("chromium is not on this machine; `make test` as root installs it, or `apt-get install chromium`")
    expect.set_options(timeout=MILLISECONDS)
    with chromium() as browser:
        yield browser


@dataclass
class Desk:
    """The desk on a store, and people who come to it. What pages complain about on the console is kept.

    `store`: None where the store is another process's own, and people come with a key of theirs.
    """

    store: TestStore | None
    address: str
    browser: Browser
    complaints: list[str] = field(default_factory=list)
    expected: list[str] = field(default_factory=list)
    _contexts: list[BrowserContext] = field(default_factory=list)

    def visit(
        self, path: str = "/", *, role: Role = Role.ADMIN, name: str | None = None, key: str | None = None,
        **options: object,
    ) -> Page:  # fmt: skip
        """A page in a browser profile of its own, signed in with `key` or a new one; `options` as
        `Browser.new_context`."""
        page = self.stranger(**options)
        page.goto(f"/sign-in?next={quote(path)}")
        if key is None:
            assert self.store is not None
            key = self.store.key(role, name)
        page.get_by_label("Key").fill(key)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url(lambda url: "/sign-in" not in url)
        return page

    def stranger(self, **options: object) -> Page:
        """A page in a browser profile of its own, not signed in."""
        settings = {"viewport": {"width": 1280, "height": 800}, "locale": "en-GB", "timezone_id": "Europe/Lisbon"}
        context = self.browser.new_context(base_url=self.address, **settings | options)  # type: ignore[arg-type]
        context.set_default_timeout(MILLISECONDS)
        self._contexts.append(context)
        page = context.new_page()
        page.on("console", self._listen)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        return page

    def program(self, **options: Any) -> httpx2.Client:
        """A program that calls the desk's address, not a person; `options` as `httpx2.Client`."""
        return httpx2.Client(base_url=self.address, timeout=PATIENCE, trust_env=False, **options)

    def _listen(self, message: ConsoleMessage) -> None:
        said = f"{message.text} ({message.location['url']})"
        if message.type == "error" and not any(text in said for text in self.expected):
            self.complaints.append(said)

    def close(self) -> None:
        for context in self._contexts:
            context.close()


@pytest.fixture
def open_desk(browser: Browser) -> Iterator[Callable[[TestStore, str], Desk]]:
    """Opens the desk of a store that is served at an address."""
    opened: list[Desk] = []

    def at(store: TestStore, address: str) -> Desk:
        opened.append(Desk(store, address, browser))
        return opened[-1]

    yield at
    for desk in opened:
        desk.close()


@pytest.fixture
def desk(store: TestStore, open_desk: Callable[[TestStore, str], Desk]) -> Iterator[Desk]:
    """The desk on the test's own store. The test fails if a page said something on its console that was not
    `expected`: an exception, a refused script, a request that failed."""
    with serving(store) as address:
        desk = open_desk(store, address)
        yield desk
        desk.close()
        assert desk.complaints == []
