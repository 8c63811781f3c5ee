"""One call, one answer: a stored image or a new file, judged by the live head."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app import embedded
from app.db import transaction
from app.features.spec import FeatureSetSpec, InputBatch
from app.services import feature_sets
from tests.conftest import FakeExtractor, TestStore, calling, extracting, new_store, training
from tests.integration.calls import is_problem, scan, stored, upload
from tests.integration.teaching import fill, promote, train
from tests.integration.zoo import truncated

PATH = "/v1/predict/bright"


@pytest.fixture(scope="module")
def shared(
    server: embedded.EmbeddedServer, template: str, spec: FeatureSetSpec, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TestStore]:
    """A store whose task `bright` has a live head; its worker runs in the tests that want one."""
    with new_store(server, template, tmp_path_factory.mktemp("predict")) as store:
        with extracting(store, FakeExtractor(spec)), training(store), calling(store) as client:
            fill(client)
            assert promote(client, train(client)).status_code == 200
        yield store


@pytest.fixture
def idle(shared: TestStore) -> Iterator[TestClient]:
    """The API on that store, with no worker."""
    with calling(shared) as client:
        yield client


@pytest.fixture
def served(idle: TestClient, shared: TestStore, spec: FeatureSetSpec) -> Iterator[TestClient]:
    with extracting(shared, FakeExtractor(spec)):
        yield idle


def predict(client: TestClient, *contents: bytes, prefer: str | None = None, path: str = PATH) -> Any:
    files = [("files", (f"{i}.png", content)) for i, content in enumerate(contents)]
    return client.post(path, files=files, headers={} if prefer is None else {"Prefer": prefer})


def test_a_new_file_is_stored_and_judged(served: TestClient) -> None:
    answer = predict(served, scan(1001, light=0.7))
    assert answer.status_code == 201
    body = answer.json()
    assert body["image"]["state"] == "ready"
    assert [(p["task"], p["decision"]) for p in body["predictions"]] == [("bright", "light")]
    assert answer.headers["Location"] == f"/v1/images/{body['image']['id']}"


def test_a_known_file_is_judged_without_being_stored_again(served: TestClient, shared: TestStore) -> None:
    first = predict(served, scan(1002, light=0.3))
    again = predict(served, scan(1002, light=0.3))
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["predictions"] == again.json()["predictions"]


def test_a_stored_image_is_judged_without_a_worker(idle: TestClient) -> None:
    image = next(i for i in idle.get("/v1/images?state=ready").json()["items"])
    answer = idle.post(PATH, json={"image_id": image["id"]})
    assert answer.status_code == 200
    assert [p["task"] for p in answer.json()["predictions"]] == ["bright"]


def test_an_image_that_the_live_head_never_saw_is_judged_on_request(
    client: TestClient, store: TestStore, worker: object, trainer: object
) -> None:
    (image,) = fill(client)[:1]
    head = train(client)
    with transaction(store.sessions) as session:  # live, but its archive not judged yet
        session.execute(text("UPDATE head SET stage = 'live' WHERE id = :id"), {"id": head["id"]})
    answer = client.post(PATH, json={"image_id": image["id"]})
    assert [p["decision"] for p in answer.json()["predictions"]] == ["dark"]


def test_an_image_without_vectors_of_the_live_head_s_feature_set_waits(
    client: TestClient, store: TestStore, spec: FeatureSetSpec, worker: object, trainer: object
) -> None:
    (image,) = fill(client)[:1]
    head = train(client)
    with transaction(store.sessions) as session:
        other = feature_sets.ensure(session, replace(spec, name="other", weights_digest="0" * 64), author="test")
        session.execute(
            text("UPDATE head SET stage = 'live', feature_set_id = :other WHERE id = :id"),
            {"id": head["id"], "other": other.id},
        )
    answer = client.post(PATH, json={"image_id": image["id"]})
    assert (answer.status_code, answer.json()["image"]["state"], answer.json()["predictions"]) == (202, "pending", [])


def test_predictions_refuse_an_update(idle: TestClient, shared: TestStore) -> None:
    with pytest.raises(DBAPIError, match="never updated"), transaction(shared.sessions) as session:
        session.execute(text("UPDATE prediction SET decision = 'light'"))


def test_without_a_worker_a_new_file_is_accepted_for_later(idle: TestClient) -> None:
    answer = predict(idle, scan(1003), prefer="wait=0")
    assert answer.status_code == 202
    body = answer.json()
    assert (body["image"]["state"], body["predictions"]) == ("pending", [])
    assert answer.headers["Location"] == f"/v1/images/{body['image']['id']}"
    again = idle.post(PATH, json={"image_id": body["image"]["id"]})
    assert again.status_code == 202


def test_a_stored_image_is_waited_for_when_asked(idle: TestClient, shared: TestStore, spec: FeatureSetSpec) -> None:
    (image,) = stored(idle, scan(1004))
    with extracting(shared, FakeExtractor(spec)):
        answer = idle.post(PATH, json={"image_id": image["id"]}, headers={"Prefer": "wait=60"})
    assert (answer.status_code, answer.json()["image"]["state"]) == (200, "ready")


def test_a_scan_that_cannot_be_decoded_says_why(served: TestClient) -> None:
    problem = is_problem(predict(served, truncated("JPEG")), 422)
    assert problem["reason"] == "corrupt"
    assert "is stored" in problem["detail"]


def test_a_scan_that_the_engine_fails_on_is_a_conflict_with_the_reason(
    idle: TestClient, shared: TestStore, spec: FeatureSetSpec
) -> None:
    def fail(_: InputBatch) -> None:
        raise RuntimeError("engine on fire")

    with extracting(shared, FakeExtractor(spec, fail)):
        problem = is_problem(predict(idle, scan(1005)), 409)
    assert "engine on fire" in problem["detail"]


def test_a_refused_file_is_the_answer(served: TestClient) -> None:
    assert is_problem(predict(served, b"text"), 415)["reason"] == "unknown-format"


def test_one_file_at_a_time(served: TestClient, shared: TestStore) -> None:
    before = shared.scalar("SELECT count(*) FROM image")
    is_problem(predict(served, scan(1006), scan(1007)), 422)
    assert shared.scalar("SELECT count(*) FROM image") == before


@pytest.mark.parametrize("path", ["/v1/predict/no-such-task"])
def test_an_unknown_task_stores_nothing(served: TestClient, shared: TestStore, path: str) -> None:
    before = shared.scalar("SELECT count(*) FROM image")
    is_problem(predict(served, scan(1008), path=path), 404)
    is_problem(served.post(path, json={"image_id": str(uuid4())}), 404)
    assert shared.scalar("SELECT count(*) FROM image") == before


def test_a_task_without_a_live_head_is_a_conflict_and_stores_nothing(served: TestClient, shared: TestStore) -> None:
    served.post("/v1/tasks", json={"name": "new", "question": "?", "classes": ["a", "b"], "positive": "b"})
    before = shared.scalar("SELECT count(*) FROM image")
    assert "promote" in is_problem(predict(served, scan(1009), path="/v1/predict/new"), 409)["detail"]
    image = served.get("/v1/images?limit=1").json()["items"][0]
    is_problem(served.post("/v1/predict/new", json={"image_id": image["id"]}), 409)
    assert shared.scalar("SELECT count(*) FROM image") == before


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 422),
        (b"{}", 422),
        (b'{"image_id": "7"}', 422),
        (b'{"image_id": "01a1fbf3-a654-7063-a3a6-a71d8945be63"}', 404),
        (b'{"image_id": "01a1fbf3-a654-7063-a3a6-a71d8945be63", "mood": "good"}', 422),
        (b" " * 70_000, 413),
    ],
)
def test_a_body_that_names_no_image_is_refused(idle: TestClient, body: bytes, status: int) -> None:
    is_problem(idle.post(PATH, content=body, headers={"Content-Type": "application/json"}), status)


def test_an_image_deleted_while_it_was_waited_for_is_not_found(
    idle: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    (image,) = stored(idle, scan(1010))
    monkeypatch.setattr(
        "app.deps.Parts.wait_for_images", lambda *_: idle.delete(f"/v1/images/{image['id']}").raise_for_status()
    )
    is_problem(idle.post(PATH, json={"image_id": image["id"]}), 404)


def test_metadata_of_a_predicted_file_is_kept(served: TestClient) -> None:
    answer = served.post(
        PATH, files={"files": ("a.png", scan(1011))}, data={"subject": "S", "declared": '{"bright": "light"}'}
    )
    image = answer.json()["image"]
    assert (image["subject"], image["declared"]) == ("S", {"bright": "light"})
    assert upload(served, scan(1011)).status_code == 200
