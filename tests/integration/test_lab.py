"""The lab at work: a search watched, cancelled, killed and taken up again."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from fastapi.testclient import TestClient

from app.db import transaction
from app.models import Head, Job
from app.services import recipes, registry
from tests.conftest import TestStore
from tests.integration.labelled import TASK, fill
from tests.integration.processes import running
from tests.waiting import PATIENCE, eventually

# Some seconds of fits: time enough to be killed in the middle.
GRID = {"C": np.geomspace(0.01, 10, 15).tolist(), "gamma": np.geomspace(0.1, 10, 12).tolist()}
SLOW = {"algorithm": "rbf-svm", "pooling": "avg", "params": GRID, "folds": 10}
FITS = 15 * 12 * 10


def ask(store: TestStore, **given: Any) -> tuple[Job, Head]:
    with transaction(store.sessions) as session:
        return recipes.queue(
            session, TASK, given, dataset=None, feature_set=None, otherwise=store.settings.feature_set, author="test"
        )


def state(store: TestStore, job: Job) -> str:
    return str(store.scalar("SELECT state FROM job WHERE id = :id", id=job.id))


def tried(store: TestStore, head: Head) -> int:
    found = store.scalar("SELECT count(*) FROM trial WHERE head_id = :id", id=head.id)
    assert isinstance(found, int)
    return found


def trial_ids(store: TestStore, head: Head) -> list[int]:
    found = store.scalar("SELECT array_agg(id ORDER BY id) FROM trial WHERE head_id = :id", id=head.id)
    assert isinstance(found, list)
    return found


def test_a_killed_training_goes_on_where_it_was(store: TestStore, tmp_path: Path) -> None:
    fill(store, 300)
    job, head = ask(store, **SLOW)
    log = tmp_path / "worker.log"
    with running(["-m", "workers", "train"], store.settings, log) as worker:
        eventually(lambda: tried(store, head) >= 4, what="a first trial")
        worker.kill()
        worker.wait(timeout=PATIENCE)
    before = trial_ids(store, head)
    assert 4 <= len(before) < FITS
    assert store.scalar("SELECT stage FROM head WHERE id = :id", id=head.id) == "training"
    assert store.scalar("SELECT artifact IS NULL AND report IS NULL FROM head WHERE id = :id", id=head.id) is True
    with running(["-m", "workers", "train"], store.settings, log):
        eventually(lambda: state(store, job) == "succeeded", what="the training")
    assert trial_ids(store, head)[: len(before)] == before
    assert tried(store, head) == FITS
    with transaction(store.sessions) as session:
        stored = registry.get(session, head.id)
        assert (stored.stage, stored.algorithm) == ("candidate", "rbf-svm")
        assert stored.artifact
        assert stored.evidence
        assert stored.report


def test_a_cancelled_training_leaves_no_head(store: TestStore, client: TestClient, trainer: object) -> None:
    fill(store, 300)
    job, head = ask(store, **SLOW)
    eventually(lambda: tried(store, head) >= 1)
    assert client.delete(f"/v1/jobs/{job.id}").status_code == 200
    eventually(lambda: client.get(f"/v1/heads/{head.id}").json()["stage"] == "failed")
    assert state(store, job) == "cancelled"
    assert store.scalar("SELECT artifact IS NULL FROM head WHERE id = :id", id=head.id) is True
    assert client.get(f"/v1/heads/{head.id}/report").status_code == 409


def events(text: str) -> list[tuple[str, Any]]:
    found = []
    for block in text.split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line)
        if "event" in lines:
            found.append((lines["event"], json.loads(lines["data"])))
    return found


def test_a_search_is_watched_as_it_runs(store: TestStore, client: TestClient, trainer: object) -> None:
    fill(store, 60)
    job, head = ask(store, params={"C": [0.001, 0.01]}, folds=2)
    answer = client.get(f"/v1/jobs/{job.id}/events", params={"seconds": 60})
    assert answer.headers["content-type"].startswith("text/event-stream")
    found = events(answer.text)
    assert found[-1][0] == "end"
    assert found[-1][1]["state"] == "succeeded"
    trials = [body for name, body in found if name == "trial"]
    assert len(trials) == 4
    assert {one["candidate"]["params"]["C"] for one in trials} == {0.001, 0.01}
    progress = [body["done"] for name, body in found if name == "progress"]
    assert progress == sorted(progress)
    listed = client.get(f"/v1/heads/{head.id}/trials", params={"limit": 3}).json()
    assert len(listed["items"]) == 3
    rest = client.get(f"/v1/heads/{head.id}/trials", params={"cursor": listed["next"]}).json()
    assert [one["id"] for one in listed["items"] + rest["items"]] == [one["id"] for one in trials]
    assert rest["next"] is None


def test_a_listener_that_comes_back_hears_only_what_is_new(
    store: TestStore, client: TestClient, trainer: object
) -> None:
    fill(store, 60)
    job, _ = ask(store, params={"C": [0.001, 0.01]}, folds=2)
    first = client.get(f"/v1/jobs/{job.id}/events", params={"seconds": 60}).text
    numbers = [line.split(": ")[1] for line in first.splitlines() if line.startswith("id: ")]
    again = client.get(f"/v1/jobs/{job.id}/events", headers={"Last-Event-ID": numbers[1]}).text
    assert len([name for name, _ in events(again) if name == "trial"]) == len(numbers) - 2


def test_a_stream_ends_after_its_seconds(store: TestStore, client: TestClient) -> None:
    fill(store, 20)
    job, _ = ask(store)
    found = events(client.get(f"/v1/jobs/{job.id}/events", params={"seconds": 0}).text)
    assert found == [("progress", {"state": "queued", "done": 0, "total": 1})]
