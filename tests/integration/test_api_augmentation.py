"""Copies asked for over the API and from the command line, made by a worker, and trained on."""

import json
import re
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from fastapi.testclient import TestClient

from app import cli
from app.db import transaction
from app.models import Dataset
from app.services import dataset_table
from tests.conftest import FakeExtractor, TestStore, extracting
from tests.integration.calls import is_problem, scan, stored
from tests.integration.copies import frozen
from tests.integration.rows import stored_images
from tests.waiting import eventually


@pytest.fixture
def dataset(store: TestStore, client: TestClient, extractor: FakeExtractor) -> Dataset:
    """Six extracted scans, four of them to train on."""
    with extracting(store, extractor):
        images = stored(client, *[scan(seed) for seed in range(6)], wait=60)
    return frozen(store, [UUID(image["id"]) for image in images], ["train", "train", "test"] * 2)


def path(dataset: Dataset, rest: str = "") -> str:
    return f"/v1/datasets/{dataset.id}/augmentations{rest}"


def test_copies_are_asked_for_made_and_loaded_beside_the_rows_of_a_training(
    store: TestStore, client: TestClient, extractor: FakeExtractor, dataset: Dataset
) -> None:
    answer = client.post(path(dataset), json={"recipe": "strong", "copies": 3})
    assert answer.status_code == 202
    asked = answer.json()
    assert (asked["recipe"], asked["mirrored"], asked["copies"]) == ("strong", True, 3)
    assert asked["progress"] == {"done": 0, "total": 4}
    assert (asked["pending"], asked["failed"], asked["present"]) == (4, 0, 0)
    with extracting(store, extractor):
        (done,) = eventually(lambda: client.get(path(dataset)).json(), lambda found: not found[0]["pending"])
    assert done["progress"] == {"done": 4, "total": 4}
    assert done["present"] == 12
    with transaction(store.sessions) as session:
        table = dataset_table.training_table(session, dataset, augmentation="strong")
    assert len(table.y) == 4
    assert table.augmented is not None
    assert table.augmented.of.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]


def test_a_request_is_in_the_audit_trail(client: TestClient, dataset: Dataset) -> None:
    client.post(path(dataset), json={"recipe": "soft"})
    client.delete(path(dataset, "/soft"))
    events = client.get("/v1/audit", params={"limit": 2}).json()["items"]
    assert [event["action"] for event in events] == ["augmentation.withdraw", "augmentation.request"]
    assert events[1]["detail"] == {"recipe": "soft-mirrored", "copies": 4}


def test_a_withdrawn_request_is_gone_and_its_jobs_are_cancelled(
    store: TestStore, client: TestClient, dataset: Dataset
) -> None:
    assert client.post(path(dataset), json={"recipe": "soft"}).status_code == 202
    assert client.delete(path(dataset, "/soft")).status_code == 204
    assert client.get(path(dataset)).json() == []
    assert store.scalar("SELECT count(*) FROM job WHERE kind = 'augment' AND state = 'cancelled'") == 4
    is_problem(client.delete(path(dataset, "/soft")), 404)


def test_a_job_of_copies_can_be_cancelled(store: TestStore, client: TestClient, dataset: Dataset) -> None:
    client.post(path(dataset), json={"recipe": "soft"})
    job = store.scalar("SELECT id FROM job WHERE kind = 'augment' LIMIT 1")
    assert client.delete(f"/v1/jobs/{job}").json()["state"] == "cancelled"
    assert client.get(path(dataset)).json()[0]["failed"] == 1


TABLE = Path(__file__).resolve().parents[2] / "docs/bad-input.md"


def test_what_cannot_be_made_gets_its_documented_answer(client: TestClient, dataset: Dataset) -> None:
    rows = re.findall(
        r"^\| (\{.*?\}) \|.*\| (\d+) \|$", TABLE.read_text().partition("## Augmented copies")[2], re.MULTILINE
    )
    assert len(rows) == 6
    for body, status in rows:
        is_problem(client.post(path(dataset), json=json.loads(body)), int(status))
    assert client.get(path(dataset)).json() == []


def test_a_dataset_without_training_rows_is_refused_and_nothing_is_left(store: TestStore, client: TestClient) -> None:
    empty = frozen(store, stored_images(store, [scan(0)]), "test", name="nothing")
    told = is_problem(client.post(path(empty), json={"recipe": "soft"}), 422)
    assert "nothing@1" in told["detail"]
    assert client.get(path(empty)).json() == []


def test_an_unknown_dataset_is_not_found(client: TestClient) -> None:
    unknown = f"/v1/datasets/{uuid4()}/augmentations"
    is_problem(client.post(unknown, json={"recipe": "soft"}), 404)
    is_problem(client.get(unknown), 404)
    is_problem(client.delete(f"{unknown}/soft"), 404)


# From the command line


def run(store: TestStore, monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setenv("PENUMBRA_DATABASE_URL", store.url)
    monkeypatch.setenv("PENUMBRA_HEARTBEAT_SECONDS", "0.1")
    monkeypatch.setattr("sys.argv", ["penumbra", "augment", *words])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


def test_the_command_waits_for_the_copies_and_says_how_to_train(
    store: TestStore, extractor: FakeExtractor, dataset: Dataset, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    with extracting(store, extractor):
        assert run(store, monkeypatch, "port@1", "--recipe", "soft", "--copies", "2", "--wait", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {
        "dataset": "port@1", "recipe": "soft", "mirrored": True, "copies": 2, "rows": 4, "done": 4, "pending": 0,
        "failed": 0, "present": 8,
    }  # fmt: skip
    assert run(store, monkeypatch, "port", "--copies", "2") == 0
    told = capsys.readouterr().out
    assert "4 of 4 rows done, 0 pending" in told
    assert "penumbra train empty-container --dataset port@1 --augmentation soft" in told


def test_the_command_says_when_nobody_makes_the_copies(
    store: TestStore, dataset: Dataset, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(store, monkeypatch, "port", "--wait") == 1
    assert "4 rows wait, but no extraction worker runs" in capsys.readouterr().err
    assert run(store, monkeypatch, "port", "--withdraw", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"dataset": "port@1", "recipe": "soft", "withdrawn": True}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["starboard"], "There is no dataset starboard"),
        (["port", "--recipe", "hard"], "There is no augmentation recipe hard"),
        (["port", "--withdraw"], "Nobody has asked for soft copies of port@1"),
    ],
)
def test_the_command_says_in_one_sentence_what_it_cannot_do(
    store: TestStore, dataset: Dataset, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    words: list[str], says: str,
) -> None:  # fmt: skip
    assert run(store, monkeypatch, *words) == 1
    told = capsys.readouterr().err
    assert says in told
    assert "Traceback" not in told
