"""A store with something in every room: judged and labelled scans, heads, suspects, a replay, failures, opinions."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import uuid4

from fastapi.testclient import TestClient

from app import embedded
from app.features.spec import FeatureSetSpec
from app.models import Role
from app.simulator import Scan, encode_jpeg, port_day
from tests.conftest import FakeExtractor, TestStore, calling, extracting, new_store, training
from tests.integration.calls import encode, picture
from tests.integration.teaching import RECIPE, ended

TASK, SCANS = "empty-container", 24
DISPUTED, MISLABELLED, BROKEN_BYTES = (3, 5, 8), 7, 9_000


@dataclass(frozen=True)
class Peopled:
    """The store, and what pages may be asked about."""

    store: TestStore
    images: list[str]
    broken: str
    version: int
    first_version: int


@contextmanager
def peopled(server: embedded.EmbeddedServer, template: str, spec: FeatureSetSpec, folder: Path) -> Iterator[Peopled]:
    """Such a store; its workers have gone home."""
    with new_store(server, template, folder) as store:
        with extracting(store, FakeExtractor(spec)), training(store), calling(store) as client:
            images = _scans(client)
            _heads(client)
            _work(client, store, images)
            versions = [head["version"] for head in client.get(f"/v1/tasks/{TASK}/heads").json()]
        yield Peopled(store, images[:SCANS], images[SCANS], max(versions), min(versions))


def _scans(client: TestClient) -> list[str]:
    """Scans with papers, a few of which lie; one file that no scan is in; labels, one of them wrong."""
    scans = list(islice(port_day(SCANS, 1), SCANS))
    files = [("files", (f"scan-{i:02}.jpg", encode_jpeg(scan))) for i, scan in enumerate(scans)]
    metadata = [_papers(i, scan) for i, scan in enumerate(scans)]
    broken = encode(picture(side=300))[:BROKEN_BYTES]
    images = []
    for sent, told in ((files, metadata), ([("files", ("broken.png", broken))], [{}])):
        answer = client.post(
            "/v1/images", files=sent, data={"metadata": json.dumps(told)}, headers={"Prefer": "wait=60"}
        )
        assert answer.status_code in (200, 201), answer.text
        images += [image["id"] for image in answer.json()["images"]]
    labels = [
        {"id": images[i], "class": _other(scan) if i == MISLABELLED else scan.truth.class_name}
        for i, scan in enumerate(scans[: SCANS - 4])
    ]
    answer = client.post(f"/v1/labels?task={TASK}", json={"labels": labels})
    assert answer.status_code == 200, answer.text
    return images


def _papers(index: int, scan: Scan) -> dict[str, Any]:
    declared = _other(scan) if index in DISPUTED else scan.truth.class_name
    subject = scan.truth.container_number if index % 6 else "MSCU1234566"
    return {"subject": subject, "source": f"gate-{index % 2 + 1}", "declared": {TASK: declared}}


def _other(scan: Scan) -> str:
    return "empty" if scan.truth.class_name == "loaded" else "loaded"


def _heads(client: TestClient) -> None:
    """A trained candidate, replayed against the live head."""
    answer = client.post(f"/v1/tasks/{TASK}/heads", json=RECIPE)
    assert answer.status_code == 202, answer.text
    assert ended(client, answer.json()["job"]["id"])["state"] == "succeeded"
    answer = client.post(f"/v1/heads/{answer.json()['head']['id']}/replay")
    assert answer.status_code == 202, answer.text
    assert ended(client, answer.json()["id"])["state"] == "succeeded"


def _work(client: TestClient, store: TestStore, images: list[str]) -> None:
    """Ann decided on a scan and holds another."""
    headers = {"Authorization": f"Bearer {store.key(Role.INSPECTOR, 'ann')}"}
    first, second = images[SCANS - 2 : SCANS]
    body = {"id": str(uuid4()), "image_id": first, "verdict": "confirm", "class_name": "empty"}
    answer = client.post(f"/v1/tasks/{TASK}/opinions", json=body, headers=headers)
    assert answer.status_code == 201, answer.text
    answer = client.put(f"/v1/tasks/{TASK}/worklist/claims/{second}", headers=headers)
    assert answer.status_code == 200, answer.text
