"""A small archive at the desk: real files, vectors of a stand-in for the network, a live head, people."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from fastapi.testclient import TestClient
from playwright.sync_api import Browser, Page

from app import embedded
from app.db import transaction
from app.features.spec import FeatureSetSpec
from app.models import Role, Stage
from app.services import tasks
from tests.browser.conftest import Desk
from tests.conftest import FakeExtractor, TestStore, calling, extracting, new_store, serving
from tests.integration.calls import encode, picture, upload
from tests.integration.fabricated import CLASSES, POSITIVE, TASK, Rule, register

TERMS = {
    "policy": "recall>=0.9@0.95", "abstain": None, "sentence": "", "prevalence": None, "expected_cost": None,
    "promises": [
        {"metric": "recall", "class": POSITIVE, "target": 0.9, "confidence": 0.95, "n": 120, "effective_n": 120.0,
         "misses": 6, "seen": 5, "bound": 0.9, "method": "Clopper-Pearson"},
    ],
    "measured": {
        "recall": {"class": "light", "value": 0.975, "low": 0.93, "high": 0.99, "level": 0.95, "n": 120, "misses": 3},
        "false_alarms": {"class": "dark", "value": 0.01, "low": 0.0, "high": 0.04, "level": 0.95, "n": 130},
    },
    "review": {"n": 250, "rows": 0, "value": 0.0, "low": 0.0, "high": 0.01, "level": 0.95, "at_prevalence": None},
}  # fmt: skip
# Name: how bright, what is declared, of whom.
SCANS = {
    "liar.png": (0.85, "dark", "BOX 1"),
    "honest.png": (0.15, "dark", "BOX 1"),
    "silent.png": (0.8, None, "BOX 2"),
    "twin.png": (0.84, "light", "BOX 3"),
    "shade.png": (0.2, "dark", "BOX 4"),
    "night.png": (0.1, "dark", "BOX 5"),
}


@dataclass
class Shelf:
    """The archive's desk; `ids` of its scans by name."""

    desk: Desk
    store: TestStore
    client: TestClient
    ids: dict[str, str]

    def open(self, path: str, role: Role = Role.INSPECTOR, name: str | None = "ana", **options: Any) -> Page:
        return self.desk.visit(path, role=role, name=name, **options)

    def scan(self, name: str) -> str:
        return f"/images/{self.ids[name]}?task={TASK}"

    def labels(self, name: str) -> list[dict[str, Any]]:
        """Those that count, of a scan."""
        told = self.client.get(f"/v1/images/{self.ids[name]}/labels").json()
        return [one for one in told if one["effective"]]

    def blind(self, blind: bool) -> None:
        assert self.client.patch(f"/v1/tasks/{TASK}", json={"blind": blind}).status_code == 200


@contextmanager
def shelf(
    server: embedded.EmbeddedServer, template: str, spec: FeatureSetSpec, folder: Path, browser: Browser
) -> Iterator[Shelf]:
    extractor = FakeExtractor(spec)
    with new_store(server, template, folder) as store, extracting(store, extractor), calling(store) as client:
        with transaction(store.sessions) as session:
            tasks.create(session, TASK, "Is it?", list(CLASSES), POSITIVE, author="test")
        register(store, _rule(extractor), stage=Stage.LIVE, contract=TERMS)
        ids = {name: _upload(client, name, seed) for seed, name in enumerate(SCANS)}
        with serving(store) as address:
            desk = Desk(store, address, browser)
            yield Shelf(desk, store, client, ids)
            desk.close()
            assert desk.complaints == []


def _rule(extractor: FakeExtractor) -> Rule:
    """Light is light, whichever way the stand-in's first feature goes with brightness."""
    bright = np.full((1, 224, 224), 0.85, np.float32)
    return Rule(0.5, direction=1 if extractor.extract(bright).avg[0, 0] > 0.5 else -1)


def _upload(client: TestClient, name: str, seed: int) -> str:
    light, declared, subject = SCANS[name]
    told = {"declared": json.dumps({TASK: declared})} if declared else {}
    content = encode(picture(seed, light=light, side=96))
    answer = upload(client, content, wait=60, names=[name], subject=subject, source="gate-1", **told)
    [image] = answer.json()["images"]
    assert image["state"] == "ready"
    return str(image["id"])
