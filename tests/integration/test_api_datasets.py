"""Datasets by API: frozen, listed, read, exported; heads scored on their held-out rows."""

import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
from fastapi.testclient import TestClient

from app import embedded
from app.datasets.npz import read as read_npz
from tests.conftest import TestStore, calling, new_store
from tests.integration.calls import is_problem
from tests.integration.labelled import TASK, delete, fill

FREEZE = {"name": "port", "task": TASK}
DOCUMENT = Path(__file__).resolve().parents[2] / "docs/bad-input.md"


@pytest.fixture
def filled(store: TestStore, client: TestClient) -> list[Any]:
    """Forty labelled images of twenty subjects."""
    return fill(store, 40, per_subject=2)


def freeze(client: TestClient, **changes: Any) -> Any:
    return client.post("/v1/datasets", json=FREEZE | changes)


def test_a_frozen_dataset_says_what_it_is(client: TestClient, filled: object) -> None:
    answer = freeze(client, split={"method": "subject", "train": 0.5, "validation": 0.25, "test": 0.25, "seed": 7})
    assert answer.status_code == 201
    body = answer.json()
    assert answer.headers["Location"] == f"/v1/datasets/{body['id']}"
    assert (body["name"], body["version"], body["rows"], body["lost"]) == ("port", 1, 40, 0)
    assert {split: sum(counts.values()) for split, counts in body["counts"].items()} == {
        "train": 20, "validation": 12, "test": 8,
    }  # fmt: skip
    assert body["split"] == {
        "method": "subject", "train": 0.5, "validation": 0.25, "test": 0.25, "seed": 7,
        "together": False, "duplicate_bound": 0.998,
    }  # fmt: skip
    assert (body["consultations"], body["consulted_by"], body["notes"]) == (0, [], [])
    assert client.get(f"/v1/datasets/{body['id']}").json() == body


def test_freezing_the_same_again_is_told_by_the_status(client: TestClient, filled: object) -> None:
    first, second = freeze(client), freeze(client)
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json() == second.json()


def test_a_planted_leak_is_refused_with_the_remedies(client: TestClient, filled: list[Any]) -> None:
    given = {str(image): "test" if i == 0 else "train" for i, image in enumerate(filled)}
    split = {"method": "given", "given": given}
    problem = is_problem(freeze(client, split=split), 409)
    assert "--together" in problem["detail"]
    assert "--allow-leaks" in problem["detail"]
    assert freeze(client, split=split, together=True).json()["findings"]["moved"] == 1
    allowed = freeze(client, split=split, allow_leaks=True).json()
    assert allowed["findings"]["leaks"]["subjects"] == 1
    assert "more than one split" in allowed["notes"][0]


def test_a_dataset_is_divided_like_another(client: TestClient, filled: object) -> None:
    first = freeze(client).json()
    second = freeze(client, name="same", split={"method": "given", "like": "port@1"}).json()
    assert second["digest"] == first["digest"]


SECTION = DOCUMENT.read_text().split("## Datasets")[1].split("\n## ")[0]
BAD = re.findall(r"^\| (GET|POST) (\S+) \| (\{.*\})? ?\| .+ \| (\d+) \|$", SECTION, re.MULTILINE)


def test_the_table_of_bad_input_is_read() -> None:
    assert len(BAD) == SECTION.count("\n| ") - 1  # but for its head


@pytest.fixture(scope="module")
def words(
    server: embedded.EmbeddedServer, template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[TestClient, dict[str, str]]]:
    """A service, and what the words of the table stand for in it."""
    with new_store(server, template, tmp_path_factory.mktemp("bad")) as store, calling(store) as client:
        ids = fill(store, 40, per_subject=2)
        doomed = fill(store, 3, start=200)
        late = {"captured_from": "2026-07-01T00:00:00Z"}
        lost = freeze(client, name="lost", selection=late).json()["id"]
        delete(store, doomed)
        shared = freeze(client).json()["id"]
        head = client.get(f"/v1/tasks/{TASK}/heads").json()[0]["id"]
        named = {"IMAGE": str(ids[0]), "SHARED": shared, "LOST": lost, "NOBODY": str(uuid4()), "HEAD": head}
        yield client, named


@pytest.mark.parametrize(("method", "path", "body", "status"), BAD)
def test_bad_input_gets_the_documented_answer(
    words: tuple[TestClient, dict[str, str]], method: str, path: str, body: str, status: str
) -> None:
    client, named = words
    for word, meaning in named.items():
        path, body = path.replace(word, meaning), body.replace(word, meaning)
    before = len(client.get("/v1/datasets").json()["items"])
    sent = FREEZE | json.loads(body) if body else None
    is_problem(client.request(method, path, json=sent), int(status))
    assert len(client.get("/v1/datasets").json()["items"]) == before


def test_datasets_are_listed_newest_first_in_pages(client: TestClient, filled: object) -> None:
    for seed in range(3):
        freeze(client, split={"seed": seed})
    freeze(client, name="other")
    first = client.get("/v1/datasets", params={"limit": 3}).json()
    second = client.get("/v1/datasets", params={"limit": 3, "cursor": first["next"]}).json()
    listed = [f"{item['name']}@{item['version']}" for item in first["items"] + second["items"]]
    assert listed == ["other@1", "port@3", "port@2", "port@1"]
    assert second["next"] is None
    assert [i["version"] for i in client.get("/v1/datasets", params={"name": "port"}).json()["items"]] == [3, 2, 1]
    assert [i["version"] for i in client.get("/v1/datasets", params={"name": "port@2"}).json()["items"]] == [2]
    assert client.get("/v1/datasets", params={"task": "pneumonia"}).json()["items"] == []


def test_rows_are_listed_in_pages(client: TestClient, filled: list[Any]) -> None:
    path = f"/v1/datasets/{freeze(client).json()['id']}/rows"
    first = client.get(path, params={"limit": 30}).json()
    second = client.get(path, params={"limit": 30, "cursor": first["next"]}).json()
    rows = first["items"] + second["items"]
    assert second["next"] is None
    assert [row["image_id"] for row in rows] == [str(image) for image in filled]
    assert {row["class"] for row in rows} == {"empty", "loaded"}
    tested = client.get(path, params={"split": "test"}).json()["items"]
    assert [row for row in rows if row["split"] == "test"] == tested


def test_a_dataset_is_exported_in_both_formats(client: TestClient, filled: object) -> None:
    import pyarrow.parquet as pq

    frozen = freeze(client).json()
    path = f"/v1/datasets/{frozen['id']}/export"
    parquet = client.get(path)
    assert parquet.headers["content-disposition"] == 'attachment; filename="port-v1.parquet"'
    assert int(parquet.headers["content-length"]) == len(parquet.content)
    npz = client.get(path, params={"format": "npz"})
    header, part = read_npz(io.BytesIO(npz.content), len(npz.content))
    assert header.digest == frozen["digest"]
    table = pq.read_table(io.BytesIO(parquet.content))
    assert np.array(table.column("avg").to_pylist(), np.float32).tobytes() == part.avg.tobytes()


def test_a_dataset_that_lost_rows_says_how_many_and_is_not_exported(
    store: TestStore, client: TestClient, filled: list[Any]
) -> None:
    path = f"/v1/datasets/{freeze(client).json()['id']}"
    delete(store, filled[:3])
    assert client.get(path).json()["lost"] == 3
    assert "3 of 40 rows" in is_problem(client.get(f"{path}/export"), 409)["detail"]
