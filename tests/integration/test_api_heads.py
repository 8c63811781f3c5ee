"""Heads by API: trained on stored vectors, promoted through a gate, rolled back, cancelled."""

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text

from app import embedded
from app.db import transaction
from app.features.spec import FeatureSetSpec
from app.services import feature_sets
from tests.conftest import FakeExtractor, TestStore, calling, extracting, new_store, training
from tests.integration.calls import is_problem, scan, stored
from tests.integration.teaching import PER_CLASS, RECIPE, TASK, ended, fill, label, promote, stages, train
from tests.waiting import PATIENCE, eventually


@pytest.fixture
def filled(store: TestStore, client: TestClient, worker: object) -> list[dict[str, Any]]:
    return fill(client)


@pytest.fixture(scope="module")
def taught(
    server: embedded.EmbeddedServer, template: str, spec: FeatureSetSpec, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[TestClient, dict[str, Any]]]:
    """A service with one trained candidate, for tests that only look."""
    with (
        new_store(server, template, tmp_path_factory.mktemp("heads")) as store,
        extracting(store, FakeExtractor(spec)),
        training(store),
        calling(store) as client,
    ):
        fill(client)
        yield client, train(client)


# Training.


def test_a_trained_head_is_a_candidate_with_a_threshold(taught: tuple[TestClient, dict[str, Any]]) -> None:
    _, head = taught
    assert (head["stage"], head["version"], head["algorithm"]) == ("candidate", 1, "logistic-regression")
    assert 0 < head["threshold"] < 1
    assert head["trained_at"] is not None


def test_a_trained_head_reports_how_it_was_judged(taught: tuple[TestClient, dict[str, Any]]) -> None:
    client, head = taught
    report = client.get(f"/v1/heads/{head['id']}/report").json()
    assert report["rows"] == 2 * PER_CLASS
    assert report["out_of_fold"]["auc"] > 0.9
    assert report["classes"] == ["dark", "light"]
    assert {"training_digest", "feature_set", "libraries", "params"} <= set(report)


def test_an_artifact_says_its_classes_and_feature_set(taught: tuple[TestClient, dict[str, Any]]) -> None:
    from app.heads.scoring import read_metadata

    client, head = taught
    answer = client.get(f"/v1/heads/{head['id']}/artifact")
    assert answer.headers["content-type"] == "application/onnx"
    assert answer.headers["content-disposition"] == 'attachment; filename="bright-v1.onnx"'
    metadata = read_metadata(answer.content)
    assert (metadata.classes, metadata.positive) == (("dark", "light"), "light")
    assert metadata.feature_set_name == head["feature_set"]


def test_a_training_leaves_an_event_at_its_start_and_at_its_end(taught: tuple[TestClient, dict[str, Any]]) -> None:
    client, head = taught
    events = client.get("/v1/audit", params={"limit": 500}).json()["items"]
    trained = [e["action"] for e in events if e["object_id"] == head["id"]]
    assert trained == ["head.trained", "head.train"]


@pytest.mark.parametrize(
    "recipe",
    [
        {"algorithm": "magic"},
        {"params": {"C": -1}},
        {"params": {"C": "much"}},
        {"params": {"C": True}},
        {"params": {"depth": 3}},
        {"params": {"max_iter": 100.5}},
        {"params": {"C": []}},
        {"params": {"C": [0.1 * n for n in range(1, 2100)]}},
        {"folds": 1},
        {"seed": -1},
        {"policy": "whatever"},
        {"policy": "recall>=7"},
        {"class_weight": {"purple": 2}},
        {"class_weight": {"dark": 0}},
        {"class_weight": "heavy"},
        {"pooling": "median"},
        {"colour": "blue"},
    ],
)
def test_a_recipe_that_cannot_work_is_refused_before_it_is_queued(
    taught: tuple[TestClient, dict[str, Any]], recipe: dict[str, Any]
) -> None:
    client, _ = taught
    is_problem(client.post(f"{TASK}/heads", json=recipe), 422)
    assert stages(client) == {1: "candidate"}


def test_an_unknown_task_or_feature_set_cannot_be_trained(taught: tuple[TestClient, dict[str, Any]]) -> None:
    client, _ = taught
    is_problem(client.post("/v1/tasks/no-such-task/heads", json={}), 404)
    is_problem(client.post(f"{TASK}/heads", json={"feature_set": "no-such-set"}), 404)


@pytest.mark.parametrize("part", ["", "/report", "/artifact"])
def test_an_unknown_head_is_not_found(taught: tuple[TestClient, dict[str, Any]], part: str) -> None:
    is_problem(taught[0].get(f"/v1/heads/{uuid4()}{part}"), 404)


def test_labels_of_one_class_only_cannot_train(client: TestClient, worker: object) -> None:
    body = {"name": "bright", "question": "Is it?", "classes": ["dark", "light"], "positive": "light"}
    client.post("/v1/tasks", json=body)
    for image in stored(client, scan(1), scan(2), wait=60):
        label(client, image, "dark")
    problem = is_problem(client.post(f"{TASK}/heads", json=RECIPE), 422)
    assert problem["type"].endswith("not-trainable")
    assert "light" in problem["detail"]
    assert stages(client) == {}


def test_labels_without_vectors_cannot_train(client: TestClient) -> None:
    body = {"name": "bright", "question": "Is it?", "classes": ["dark", "light"], "positive": "light"}
    client.post("/v1/tasks", json=body)
    for image, name in zip(stored(client, scan(1), scan(2)), ("dark", "light"), strict=True):
        label(client, image, name)
    assert "extract" in is_problem(client.post(f"{TASK}/heads", json=RECIPE), 422)["detail"]


def test_too_few_subjects_fail_the_job_with_the_remedy(client: TestClient, worker: object, trainer: object) -> None:
    body = {"name": "bright", "question": "Is it?", "classes": ["dark", "light"], "positive": "light"}
    client.post("/v1/tasks", json=body)
    scans = [scan(seed, light=light) for seed in range(3) for light in (0.3, 0.7)]
    for number, image in enumerate(stored(client, *scans, wait=60, subject="the same container")):
        label(client, image, ("dark", "light")[number % 2])
    started = client.post(f"{TASK}/heads", json=RECIPE).json()
    job = ended(client, started["job"]["id"])
    assert (job["state"], job["error"]["code"], job["attempts"]) == ("failed", "not-trainable", 1)
    assert "more subjects" in job["error"]["message"]
    assert stages(client) == {1: "failed"}
    is_problem(client.get(f"/v1/heads/{started['head']['id']}/artifact"), 409)
    is_problem(client.get(f"/v1/heads/{started['head']['id']}/report"), 409)
    is_problem(promote(client, started["head"]), 409)


def test_a_superseded_label_counts_no_more(client: TestClient, filled: list[dict[str, Any]], trainer: object) -> None:
    label(client, filled[0], "light")
    report = client.get(f"/v1/heads/{train(client)['id']}/report").json()
    support = {name: one["support"] for name, one in report["out_of_fold"]["per_class"].items()}
    assert support == {"dark": PER_CLASS - 1, "light": PER_CLASS + 1}


# Promotion, rollback, the archive.


def test_promotion_judges_the_archive_and_rollback_judges_it_again(
    client: TestClient, store: TestStore, filled: list[dict[str, Any]], trainer: object
) -> None:
    heads = [
        train(client, seed=seed, policy=policy) for seed, policy in enumerate(("fixed=0.5", "fixed=0.4", "fixed=0.3"))
    ]
    for head in heads:
        assert promote(client, head).status_code == 200
    assert stages(client) == {1: "archived", 2: "archived", 3: "live"}
    judged_by(client, filled, 3)

    for version in (2, 1):
        answer = client.post(f"{TASK}/rollback")
        assert (answer.status_code, answer.json()["head"]["version"]) == (200, version)
        judged_by(client, filled, version)
    is_problem(client.post(f"{TASK}/rollback"), 409)
    assert stages(client) == {1: "live", 2: "archived", 3: "archived"}
    assert store.scalar("SELECT count(*) FROM head WHERE stage = 'live' AND task = 'bright'") == 1


def judged_by(client: TestClient, images: list[dict[str, Any]], version: int) -> None:
    """Wait until every image's live prediction is that version's, and right."""

    def look() -> list[Any]:
        found = [client.get(f"/v1/images/{image['id']}").json()["predictions"] for image in images]
        return [[p for p in predictions if p["task"] == "bright"] for predictions in found]

    found = eventually(look, lambda all_: all(len(one) == 1 for one in all_))
    assert {one[0]["head"]["version"] for one in found} == {version}
    assert [one[0]["decision"] for one in found] == ["dark", "light"] * PER_CLASS


def test_predictions_of_archived_heads_stay_in_the_history(
    client: TestClient, filled: list[dict[str, Any]], trainer: object
) -> None:
    for seed in range(2):
        promote(client, train(client, seed=seed))
        judged_by(client, filled, seed + 1)
    path = f"/v1/images/{filled[0]['id']}/predictions"
    assert [p["head"]["version"] for p in client.get(path).json() if p["task"] == "bright"] == [2, 1]
    live = client.get(path, params={"live": True}).json()
    assert [p["head"]["version"] for p in live if p["task"] == "bright"] == [2]


def test_a_live_head_is_not_promoted_again(client: TestClient, filled: object, trainer: object) -> None:
    head = train(client)
    assert promote(client, head).json() == {"head": {**head, "stage": "live"}, "previous": None}
    is_problem(promote(client, head), 409)


def test_a_new_image_is_judged_by_the_live_head_and_a_discrepancy_shows(
    client: TestClient, filled: object, trainer: object
) -> None:
    promote(client, train(client))
    (image,) = stored(client, scan(500, light=0.7), wait=60, declared=json.dumps({"bright": "dark"}))
    assert image["discrepancies"] == ["bright"]
    (prediction,) = (p for p in image["predictions"] if p["task"] == "bright")
    assert prediction["decision"] == "light"
    assert sum(prediction["probabilities"].values()) == pytest.approx(1)
    assert prediction["region"]["box"] == [0, 0, 28, 28]
    found = client.get("/v1/images", params={"task": "bright", "decision": "light"}).json()["items"]
    assert image["id"] in {one["id"] for one in found}


# The gate.


def test_a_head_that_ranks_the_labels_the_wrong_way_round_is_refused(
    client: TestClient, filled: list[dict[str, Any]], trainer: object
) -> None:
    """Inverted labels for the training, the right ones when the gate looks."""
    for number, image in enumerate(filled):
        label(client, image, ("light", "dark")[number % 2])
    head = train(client)
    for number, image in enumerate(filled):
        label(client, image, ("dark", "light")[number % 2])
    problem = is_problem(promote(client, head), 409)
    assert problem["type"].endswith("head-refused")
    assert "inverted" in problem["detail"]
    assert stages(client) == {1: "candidate"}


def test_a_head_of_another_feature_set_is_refused(
    client: TestClient, store: TestStore, spec: FeatureSetSpec, filled: object, trainer: object
) -> None:
    head = train(client)
    with transaction(store.sessions) as session:
        other = feature_sets.ensure(session, replace(spec, name="other", weights_digest="0" * 64), author="test")
        session.execute(text("UPDATE head SET feature_set_id = :other"), {"other": other.id})
    problem = is_problem(promote(client, head), 409)
    assert problem["type"].endswith("head-refused")
    assert "fails feature-set" in problem["detail"]


def test_a_head_that_knows_other_classes_is_refused(
    client: TestClient, store: TestStore, filled: object, trainer: object
) -> None:
    head = train(client)
    with transaction(store.sessions) as session:
        session.execute(text("UPDATE task SET positive = 'dark' WHERE name = 'bright'"))
    assert "positive: light" in is_problem(promote(client, head), 409)["detail"]


def test_a_damaged_artifact_is_refused(client: TestClient, store: TestStore, filled: object, trainer: object) -> None:
    head = train(client)
    with transaction(store.sessions) as session:
        session.execute(text("UPDATE head SET artifact = substring(artifact FROM 1 FOR 500)"))
    assert is_problem(promote(client, head), 409)["type"].endswith("head-refused")


# Cancelling.


def test_a_queued_training_can_be_cancelled(client: TestClient, filled: object) -> None:
    started = client.post(f"{TASK}/heads", json=RECIPE)
    assert started.headers["Location"] == f"/v1/jobs/{started.json()['job']['id']}"
    job_id = started.json()["job"]["id"]
    assert client.delete(f"/v1/jobs/{job_id}").json()["state"] == "cancelled"
    assert stages(client) == {1: "failed"}
    is_problem(client.delete(f"/v1/jobs/{job_id}"), 409)


def test_a_running_training_stops_and_registers_nothing(
    client: TestClient, store: TestStore, filled: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    import workers.lab

    started, really_train = threading.Event(), workers.lab.train

    def slow_train(*arguments: Any, **options: Any) -> Any:
        started.set()
        eventually(options["should_stop"], bool)
        return really_train(*arguments, **options)

    monkeypatch.setattr(workers.lab, "train", slow_train)
    job = client.post(f"{TASK}/heads", json=RECIPE).json()["job"]
    with training(store):
        assert started.wait(PATIENCE)
        assert client.delete(f"/v1/jobs/{job['id']}").json()["state"] == "cancelled"
    assert client.get(f"/v1/jobs/{job['id']}").json()["state"] == "cancelled"
    assert stages(client) == {1: "failed"}


def test_an_extraction_cannot_be_cancelled(client: TestClient, store: TestStore) -> None:
    stored(client, scan(1))
    job_id = store.scalar("SELECT id FROM job")
    assert isinstance(job_id, UUID)
    is_problem(client.delete(f"/v1/jobs/{job_id}"), 409)
    assert client.get(f"/v1/jobs/{job_id}").json()["state"] == "queued"


def test_an_unknown_job_is_not_found(client: TestClient) -> None:
    is_problem(client.get(f"/v1/jobs/{uuid4()}"), 404)
    is_problem(client.delete(f"/v1/jobs/{uuid4()}"), 404)


# Tasks.


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({}, 201),
        ({"name": "pneumonia"}, 409),
        ({"name": "Not A Name"}, 422),
        ({"name": "x" * 65}, 422),
        ({"classes": ["a", "a"]}, 422),
        ({"classes": ["a"]}, 422),
        ({"classes": ["a", "b", "c"]}, 422),
        ({"positive": "c"}, 422),
        ({"question": "a\x00b"}, 422),
    ],
)
def test_a_task_is_data_with_rules(client: TestClient, change: dict[str, Any], status: int) -> None:
    body = {"name": "t", "question": "?", "classes": ["a", "b"], "positive": "b"} | change
    assert client.post("/v1/tasks", json=body).status_code == status


def test_a_task_without_heads_has_nothing_to_roll_back(client: TestClient) -> None:
    body = {"name": "t", "question": "?", "classes": ["a", "b"], "positive": "b"}
    client.post("/v1/tasks", json=body)
    is_problem(client.post("/v1/tasks/t/rollback"), 409)
    is_problem(client.post("/v1/tasks/no-such-task/rollback"), 404)
