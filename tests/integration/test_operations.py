"""Running the service by the API: lists of jobs, one more try, what came through lately, room on disk."""

from uuid import UUID, uuid4

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text

from app.db import transaction
from app.models import Role
from tests.conftest import FakeExtractor, TestStore, extracting
from tests.integration.calls import is_problem, scan, stored, upload

FAILED = {"state": "failed", "kind": "extract"}


def give_up(store: TestStore, image: str, message: str = "The pixels end early.") -> UUID:
    """Let the extraction of an image have failed for good."""
    with transaction(store.sessions) as session:
        found = session.execute(
            text(
                "UPDATE job SET state = 'failed', finished_at = now(), attempts = 3, error = jsonb_build_object("
                "'code', 'corrupt', 'message', CAST(:message AS text)) WHERE image_id = :image RETURNING id"
            ),
            {"image": image, "message": message},
        )
        return UUID(str(found.scalar_one()))


@pytest.fixture
def failed(client: TestClient, store: TestStore) -> tuple[str, UUID]:
    """A stored image whose extraction was given up; its job."""
    (image,) = stored(client, scan(), subject="MSKU 123456 7")
    return image["id"], give_up(store, image["id"])


def test_failed_jobs_say_of_which_scan_and_why(client: TestClient, failed: tuple[str, UUID]) -> None:
    stored(client, scan(1))
    (job,) = client.get("/v1/jobs", params=FAILED).json()["items"]
    assert job["id"] == str(failed[1])
    assert job["image"] == {"id": failed[0], "name": "scan-0.png", "subject": "MSKU 123456 7"}
    assert job["error"]["message"] == "The pixels end early."
    assert (job["feature_set"], job["head"], job["may_retry"]) == ("densenet121-xray", None, True)


def test_jobs_are_paged_newest_first_and_each_comes_once(client: TestClient) -> None:
    stored(client, *(scan(seed) for seed in range(5)))
    everything = [job["id"] for job in client.get("/v1/jobs").json()["items"]]
    paged: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = client.get("/v1/jobs", params={"limit": 2, **cursor}).json()
        paged += [job["id"] for job in page["items"]]
        if page["next"] is None:
            break
        cursor = {"cursor": page["next"]}
    assert paged == everything
    assert len(set(paged)) == 5


def test_jobs_are_filtered(client: TestClient, failed: tuple[str, UUID]) -> None:
    stored(client, scan(1))
    for query, count in (
        ({"state": ["queued", "failed"]}, 2), ({"state": "queued"}, 1), ({"kind": "train"}, 0),
        ({"image_id": failed[0]}, 1), ({"feature_set": "no-such"}, 0), ({"feature_set": "densenet121-xray"}, 2),
    ):  # fmt: skip
        assert len(client.get("/v1/jobs", params=query).json()["items"]) == count, query
    is_problem(client.get("/v1/jobs", params={"cursor": str(uuid4())}), 422)


def test_a_failed_extraction_is_tried_again_and_ends_well(
    client: TestClient, store: TestStore, extractor: FakeExtractor, failed: tuple[str, UUID]
) -> None:
    again = client.post(f"/v1/jobs/{failed[1]}/retry")
    assert (again.json()["state"], again.json()["attempts"], again.json()["error"]) == ("queued", 0, None)
    assert client.post(f"/v1/jobs/{failed[1]}/retry").status_code == 200  # it waits: nothing changes
    with extracting(store, extractor):
        upload(client, scan(), wait=60)
    is_problem(client.post(f"/v1/jobs/{failed[1]}/retry"), 409)
    events = [event["action"] for event in client.get("/v1/audit").json()["items"]]
    assert events.count("job.retry") == 1


def test_only_extractions_are_tried_again(client: TestClient, store: TestStore) -> None:
    with transaction(store.sessions) as session:
        session.execute(
            text(
                "INSERT INTO head (id, task, version, stage, feature_set_id, algorithm, recipe, author) SELECT "
                "gen_random_uuid(), 'pneumonia', 9, 'failed', min(id), 'svm', '{}', 'test' FROM feature_set"
            )
        )
        job = session.execute(
            text(
                "INSERT INTO job (id, kind, state, head_id) SELECT gen_random_uuid(), 'train', 'failed', id FROM head "
                "WHERE version = 9 AND task = 'pneumonia' RETURNING id"
            )
        ).scalar_one()
    (listed,) = client.get("/v1/jobs", params={"kind": "train"}).json()["items"]
    assert (listed["head"], listed["may_retry"]) == ({"task": "pneumonia", "version": 9}, False)
    is_problem(client.post(f"/v1/jobs/{job}/retry"), 409)
    is_problem(client.post(f"/v1/jobs/{uuid4()}/retry"), 404)


def test_operations_tell_of_the_last_minutes_the_oldest_scan_and_the_disk(
    client: TestClient, store: TestStore, extractor: FakeExtractor
) -> None:
    with extracting(store, extractor):
        stored(client, scan(1), scan(2), wait=60)
    (waits,) = stored(client, scan(3))
    found = client.get("/v1/operations", params={"minutes": 5}).json()
    assert len(found["minutes"]) == 6
    assert sum(minute["done"] for minute in found["minutes"]) == 2
    assert 0 < found["wait_median"] <= found["wait_p95"] < 30
    assert (found["oldest"]["image_id"], found["oldest"]["name"]) == (waits["id"], "scan-0.png")
    disk = found["disk"]
    assert disk["database"] > 1_000_000
    assert disk["originals"] == sum(image["byte_count"] for image in client.get("/v1/images").json()["items"])
    assert 0 < disk["data"]["free"] < disk["data"]["total"]


def test_a_quiet_store_has_no_waits_and_nothing_waiting(client: TestClient) -> None:
    found = client.get("/v1/operations").json()
    assert len(found["minutes"]) == 61
    assert (found["wait_median"], found["wait_p95"], found["oldest"]) == (None, None, None)


def test_a_lookup_finds_what_is_here_by_id_or_by_its_bytes(client: TestClient) -> None:
    first, second = stored(client, scan(1), scan(2))
    body = {"ids": [first["id"], str(uuid4())], "sha256": [second["sha256"], "0" * 64, first["sha256"]]}
    found = client.post("/v1/image-lookups", json=body).json()["images"]
    assert [image["id"] for image in found] == [first["id"], second["id"]]
    assert client.post("/v1/image-lookups", json={}).json() == {"images": []}
    is_problem(client.post("/v1/image-lookups", json={"sha256": ["A" * 64]}), 422)


def test_an_upload_says_of_every_file_which_image_it_is_or_why_it_is_none(client: TestClient) -> None:
    stored(client, scan(1))
    names = ["known.png", "text.txt", "new.png", "same-again.png"]
    answer = upload(client, scan(1), b"no scan", scan(2), scan(2), names=names).json()
    assert [(one["position"], one["created"]) for one in answer["files"]] == [(0, False), (2, True), (3, False)]
    assert answer["files"][1]["image_id"] == answer["files"][2]["image_id"]
    assert [(one["position"], one["name"]) for one in answer["refused"]] == [(1, "text.txt")]


def test_labels_are_taken_back_all_or_none(client: TestClient, store: TestStore) -> None:
    one, other = stored(client, scan(1), scan(2))
    for image in (one, other):
        client.put(f"/v1/images/{image['id']}/labels/pneumonia", json={"class": "normal"})
    ids = [label["id"] for label in client.get("/v1/labels").json()["items"]]
    is_problem(client.post("/v1/labels/withdrawals", json={"ids": [*ids, 2**40]}), 404)
    assert client.post("/v1/labels/withdrawals", json={"ids": ids, "reason": "slip"}).json() == {"withdrawn": 2}
    assert client.post("/v1/labels/withdrawals", json={"ids": ids}).json() == {"withdrawn": 0}
    (told,) = client.get(f"/v1/images/{one['id']}/labels").json()
    assert (told["effective"], told["withdrawn"]["reason"]) == (False, "slip")


def test_another_inspectors_label_is_not_ones_own_to_take_back(client: TestClient, store: TestStore) -> None:
    (image,) = stored(client, scan())
    client.put(f"/v1/images/{image['id']}/labels/pneumonia", json={"class": "normal"})
    (label,) = client.get("/v1/labels").json()["items"]
    bearer = {"Authorization": f"Bearer {store.key(Role.INSPECTOR, 'bob')}"}
    told = is_problem(client.post("/v1/labels/withdrawals", json={"ids": [label["id"]]}, headers=bearer), 403)
    assert "only they or an administrator" in told["detail"]


def test_the_label_of_an_opinion_goes_with_the_opinion_alone(client: TestClient) -> None:
    (image,) = stored(client, scan())
    opinion = {"id": str(uuid4()), "image_id": image["id"], "verdict": "correct", "class_name": "normal"}
    assert client.post("/v1/tasks/pneumonia/opinions", json=opinion).status_code == 201
    (label,) = client.get("/v1/labels").json()["items"]
    told = is_problem(client.post("/v1/labels/withdrawals", json={"ids": [label["id"]]}), 409)
    assert opinion["id"] in told["detail"]


def test_the_audit_is_filtered_by_who_did_what_to_which_thing(client: TestClient, store: TestStore) -> None:
    (image,) = stored(client, scan())
    client.put(f"/v1/images/{image['id']}/labels/pneumonia", json={"class": "normal"})

    def actions(**query: str) -> list[str]:
        return [event["action"] for event in client.get("/v1/audit", params=query).json()["items"]]

    assert actions(actor="test-admin") == ["label.add", "image.upload"]
    assert actions(action="label.") == ["label.add"]
    assert actions(action="%") == actions(actor="nobody") == []
    assert actions(object_id=image["id"]) == ["label.add", "image.upload"]
