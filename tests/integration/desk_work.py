"""A task whose live head has said what a test wants, and people who work its list."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from fastapi.testclient import TestClient
from httpx2 import Response
from sqlalchemy import text

from app import embedded
from app.db import transaction
from app.models import Role, Stage
from app.services import tasks
from tests.conftest import TestStore, calling, new_store
from tests.integration.fabricated import CLASSES, POSITIVE, TASK, Rule, register
from tests.integration.rows import add_numbered, regions_of

LIST = f"/v1/tasks/{TASK}/worklist"
OPINIONS = f"/v1/tasks/{TASK}/opinions"


@dataclass
class Desk:
    """Images that the live head of the task `bright` has judged, and inspectors by name."""

    store: TestStore
    client: TestClient
    head: UUID
    people: dict[str, str] = field(default_factory=dict)

    def images(self, *said: tuple[str, float] | tuple[str, float, str], **columns: object) -> list[UUID]:
        """An image for each (decision, risk) or (decision, risk, declared class)."""
        ids = add_numbered(self.store.sessions, len(said), start=uuid4().int % 10**12, **columns)
        with transaction(self.store.sessions) as session:
            regions = regions_of(session, ids)
        for image, region, one in zip(ids, regions, said, strict=True):
            self.predict(image, region, one[0], one[1])
            if len(one) == 3:
                self.declare(image, one[2])
        return ids

    def predict(self, image: UUID, region: int, decision: str, risk: float, head: UUID | None = None) -> None:
        self.execute(
            "INSERT INTO prediction (image_id, region_id, task, head_id, probabilities, decision, threshold, risk) "
            "VALUES (:image, :region, :task, :head, CAST(:said AS jsonb), :decision, 0.5, :risk)",
            image=image, region=region, task=TASK, head=head or self.head, decision=decision, risk=risk,
            said=json.dumps({"dark": round(1 - risk, 6), "light": risk}),
        )  # fmt: skip

    def region(self, image: UUID, ordinal: int) -> int:
        """Another region of an image."""
        made = self.execute(
            "INSERT INTO region (image_id, ordinal, x, y, width, height) VALUES (:image, :ordinal, 0, 0, 64, 64) "
            "RETURNING id",
            image=image, ordinal=ordinal,
        )  # fmt: skip
        return int(made)

    def declare(self, image: UUID, class_name: str) -> None:
        self.execute(
            "INSERT INTO declaration (image_id, task, class_name, author) VALUES (:image, :task, :class, 'papers')",
            **{"image": image, "task": TASK, "class": class_name},
        )

    def execute(self, statement: str, **values: object) -> Any:
        with transaction(self.store.sessions) as session:
            found = session.execute(text(statement), values)
            return found.scalar() if "RETURNING" in statement else None

    def call(self, who: str, method: str, path: str, **options: Any) -> Response:
        """A request by an inspector, who gets a key the first time."""
        if who not in self.people:
            self.people[who] = self.store.key(Role.INSPECTOR, who)
        return self.client.request(method, path, headers={"Authorization": f"Bearer {self.people[who]}"}, **options)

    def page(self, who: str = "ann", **query: Any) -> dict[str, Any]:
        answer = self.call(who, "GET", LIST, params=query)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def seen(self, who: str = "ann", **query: Any) -> list[UUID]:
        return [UUID(item["image_id"]) for item in self.page(who, **query)["items"]]

    def claim(self, who: str = "ann", count: int = 1, **body: Any) -> list[UUID]:
        answer = self.call(who, "POST", f"{LIST}/claims", json={"count": count, **body})
        assert answer.status_code == 200, answer.text
        return [UUID(item["image_id"]) for item in answer.json()["items"]]

    def say(self, image: UUID, verdict: str = "confirm", who: str = "ann", **body: Any) -> Response:
        """An opinion; a class goes with those that need one."""
        if verdict in ("confirm", "correct"):
            body.setdefault("class_name", POSITIVE)
        sent = {"id": str(uuid4()), "image_id": str(image), "verdict": verdict} | body
        return self.call(who, "POST", OPINIONS, json=sent)

    def said(self, image: UUID, verdict: str = "confirm", who: str = "ann", **body: Any) -> dict[str, Any]:
        answer = self.say(image, verdict, who, **body)
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    def expire(self, images: Sequence[UUID]) -> None:
        """Let the claims on images end now."""
        self.execute(
            "UPDATE worklist_claim SET until = now() - interval '1 second' WHERE image_id = ANY (:ids)",
            ids=list(images),
        )

    def clear(self) -> None:
        """As a new desk: no images, and the head live."""
        self.execute("DELETE FROM image")
        self.execute("UPDATE task SET blind = false WHERE name = :task", task=TASK)
        self.execute("UPDATE head SET stage = 'live' WHERE id = :head", head=self.head)


@contextmanager
def desk(server: embedded.EmbeddedServer, template: str, folder: Path) -> Iterator[Desk]:
    """The task `bright` with a live head, on a store of its own; no images yet."""
    with new_store(server, template, folder) as store, calling(store) as client:
        with transaction(store.sessions) as session:
            tasks.create(session, TASK, "Is it?", list(CLASSES), POSITIVE, author="test")
        yield Desk(store, client, register(store, Rule(0.5), stage=Stage.LIVE))
