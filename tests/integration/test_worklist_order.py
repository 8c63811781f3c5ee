"""However a page is read, from the index's end or from everything, it is the page that the definition says."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any
from uuid import UUID

import pytest

from app import embedded
from app.heads.policy_words import badness
from app.services import worklist_front
from app.services.worklist_sql import PILES
from tests.integration.desk_work import Desk, desk
from tests.integration.fabricated import POSITIVE

IMAGES = 60
DECISIONS = ("light", "light", "dark", "dark", "review", "cannot_judge")
RISKS = (0.0, 0.03125, 0.25, 0.5, 0.75, 0.96875, 1.0)


@dataclass
class Judged:
    image: UUID
    said: list[tuple[str, float]]
    declared: str | None
    decided: bool = field(default=False)

    @property
    def risk(self) -> float:
        worst = min(badness(decision, POSITIVE) for decision, _ in self.said)
        return max(risk for decision, risk in self.said if badness(decision, POSITIVE) == worst)

    @property
    def pile(self) -> str:
        worst = min(badness(decision, POSITIVE) for decision, _ in self.said)
        if worst == 0:
            return {None: "positive", POSITIVE: "agrees"}.get(self.declared, "looks_positive")
        if worst in (1, 2):
            return {1: "cannot_judge", 2: "review"}[worst]
        return "looks_negative" if self.declared == POSITIVE else "agrees"

    @property
    def finding(self) -> float:
        return round(1 - self.risk if self.declared == POSITIVE else self.risk, 7)

    def key(self, order: str) -> tuple[int, float, UUID]:
        return PILES.index(self.pile) if order == "piles" else 0, -self.finding, self.image


@pytest.fixture(scope="module")
def archive(
    server: embedded.EmbeddedServer, template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Desk, list[Judged]]]:
    """Images of one to three regions, many of the same risk, some decided."""
    random = Random(7)
    with desk(server, template, tmp_path_factory.mktemp("order")) as bright:
        made = []
        for _ in range(IMAGES):
            said = [(random.choice(DECISIONS), random.choice(RISKS)) for _ in range(random.choice([1, 1, 2, 3]))]
            [image] = bright.images(said[0])
            for ordinal, one in enumerate(said[1:], start=1):
                bright.predict(image, bright.region(image, ordinal), *one)
            declared = random.choice([None, "light", "dark"])
            if declared is not None:
                bright.declare(image, random.choice(["light", "dark"]))  # superseded by the one below
                bright.declare(image, declared)
            made.append(Judged(image, said, declared, decided=random.random() < 0.2))
            if made[-1].decided:
                bright.said(image)
        yield bright, made


def paged(bright: Desk, **query: Any) -> list[tuple[UUID, str, float]]:
    items, cursor = [], dict[str, str]()
    while True:
        page = bright.page(**query, **cursor)
        items += page["items"]
        if page["next"] is None:
            return [(UUID(item["image_id"]), item["pile"], item["finding"]) for item in items]
        cursor = {"cursor": page["next"]}


@pytest.mark.parametrize(
    ("window", "limit", "order"),
    [(1, 4, "piles"), (5, 4, "piles"), (5, 1, "piles"), (5, 200, "piles"), (4_000, 7, "piles"), (5, 7, "findings")],
)
def test_pages_together_are_the_list(
    archive: tuple[Desk, list[Judged]], monkeypatch: pytest.MonkeyPatch, window: int, limit: int, order: str
) -> None:
    bright, judged = archive
    monkeypatch.setattr(worklist_front, "WINDOW", window)
    wanted = [one for one in judged if not one.decided and (order == "findings" or one.pile != "agrees")]
    wanted.sort(key=lambda one: one.key(order))
    assert paged(bright, order=order, limit=limit) == [(one.image, one.pile, one.finding) for one in wanted]


def test_every_image_is_in_one_pile_and_counted_there(archive: tuple[Desk, list[Judged]]) -> None:
    bright, judged = archive
    counted = bright.call("ann", "GET", "/v1/tasks/bright/worklist/counts").json()["piles"]
    assert counted == {name: sum(one.pile == name and not one.decided for one in judged) for name in PILES}
    assert min(counted.values()) > 0
    assert len(paged(bright, state="all", pile=list(PILES), limit=50)) == IMAGES
