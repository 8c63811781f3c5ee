"""A worklist with scans that can be looked at, and people at the desk who work it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from itertools import count
from uuid import UUID, uuid4

import numpy as np
from PIL import Image
from playwright.sync_api import Page, expect
from sqlalchemy import text

from app.db import transaction
from app.models import Role
from tests.browser.conftest import Desk
from tests.integration import desk_work
from tests.integration.fabricated import TASK
from tests.integration.rows import add_images, keep_file

WIDTH, HEIGHT = 320, 200
SHOWN = "#facts h1"


def scan(number: int) -> bytes:
    """A grey scan that no other number has."""
    pixels = np.random.default_rng(number).integers(0, 256, (HEIGHT // 20, WIDTH // 20), np.uint8)
    content = BytesIO()
    Image.fromarray(pixels).resize((WIDTH, HEIGHT)).save(content, "PNG")
    return content.getvalue()


@dataclass
class Room:
    """The desk on a store whose head has said what the test wants."""

    judged: desk_work.Desk
    desk: Desk
    numbers: Iterator[int]

    def scans(
        self, number: int, decision: str = "light", declared: str | None = "dark", **columns: object
    ) -> list[str]:
        """Scans named S0, S1, ... in the worklist's order: the surest first."""
        subjects = [f"S{index}" for index in range(number)]
        for index, subject in enumerate(subjects):
            self.scan(subject, "light", 0.9 - 0.01 * index, "dark")
        return subjects

    def scan(self, subject: str, decision: str, risk: float, declared: str | None = None, **columns: object) -> UUID:
        content = scan(next(self.numbers))
        keep_file(self.judged.store, content)
        [image] = add_images(
            self.judged.store.sessions, [content], width=WIDTH, height=HEIGHT, subject=subject, media_type="image/png",
            **columns,
        )  # fmt: skip
        region = self.judged.execute(
            "UPDATE region SET width = :w, height = :h WHERE image_id = :i RETURNING id", w=WIDTH, h=HEIGHT, i=image
        )
        self.judged.predict(image, int(region), decision, risk)
        if declared is not None:
            self.judged.declare(image, declared)
        return image

    def image(self, subject: str) -> UUID:
        return UUID(str(self.judged.store.scalar("SELECT id FROM image WHERE subject = :s", s=subject)))

    def delete(self, subject: str) -> None:
        self.judged.execute("DELETE FROM image WHERE subject = :s", s=subject)

    def opinions(self) -> list[tuple[str, str, str, str | None]]:
        """Standing ones in their order: author, scan, verdict, class."""
        with transaction(self.judged.store.sessions) as session:
            rows = session.execute(
                text(
                    "SELECT o.author, i.subject, o.verdict, o.class_name "
                    "FROM opinion o JOIN image i ON i.id = o.image_id "
                    "WHERE NOT EXISTS (SELECT FROM opinion_withdrawal w WHERE w.opinion_id = o.id) ORDER BY o.at, o.id"
                )
            )
            return [(row.author, row.subject, row.verdict, row.class_name) for row in rows]

    def person(self, path: str, name: str = "ann", role: Role = Role.INSPECTOR) -> Page:
        return self.desk.visit(path, role=role, name=name)

    def at_work(self, name: str = "ann", query: str = "") -> Page:
        """Somebody at the work page, with a scan on the screen and the next ones ready."""
        page = self.person(f"/work/{TASK}{query}", name)
        shown(page)
        page.wait_for_function("() => document.querySelector('#evidence .evidence-body')")
        return page


def shown(page: Page, subject: str | None = None) -> str:
    """Wait until a scan can be answered, this one if it is named; which."""
    if subject is not None:
        expect(page.locator(SHOWN)).to_have_text(subject)
    expect(page.locator(".work-class").first).to_have_attribute("aria-disabled", "false")
    return page.locator(SHOWN).inner_text()


def press(page: Page, key: str) -> str:
    """Press a key and wait for the next scan; which it is."""
    before = page.locator(SHOWN).inner_text()
    page.keyboard.press(key)
    expect(page.locator(SHOWN)).not_to_have_text(before)
    return shown(page)


def sent(page: Page) -> None:
    """Wait until the service has every answer."""
    page.wait_for_function("() => Object.keys(localStorage).every((key) => !key.startsWith('penumbra-outbox:'))")


@contextmanager
def opened(judged: desk_work.Desk, desk: Desk) -> Iterator[Room]:
    """The room without images; the test fails if a page complained."""
    judged.clear()
    judged.execute("DELETE FROM preference")
    yield Room(judged, desk, count(uuid4().int % 10**9))
    desk.close()
    assert not desk.complaints, desk.complaints
