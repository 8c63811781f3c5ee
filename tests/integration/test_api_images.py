"""Images are read, listed, labelled and deleted."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app import embedded
from app.db import transaction
from app.features.spec import FeatureSetSpec, InputBatch
from app.services import images
from tests.conftest import FakeExtractor, TestStore, calling, extracting, new_store
from tests.integration.calls import is_problem, scan, stored, upload


def ids(answer_items: list[dict[str, Any]]) -> list[str]:
    return [item["id"] for item in answer_items]


def page(client: TestClient, **parameters: Any) -> dict[str, Any]:
    answer = client.get("/v1/images", params=parameters)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


# Paging.


def test_pages_hold_every_image_once_while_new_ones_arrive(client: TestClient) -> None:
    before = ids(stored(client, *[scan(seed) for seed in range(7)]))
    seen: list[str] = []
    cursor: dict[str, str] = {}
    for seed in range(100, 120):
        found = page(client, limit=2, **cursor)
        seen += ids(found["items"])
        if found["next"] is None:
            break
        cursor = {"cursor": found["next"]}
        stored(client, scan(seed))
    assert sorted(seen) == sorted(before)


def test_the_last_page_is_known_to_be_the_last(client: TestClient) -> None:
    stored(client, scan(1), scan(2))
    assert page(client, limit=2)["next"] is None
    assert page(client, limit=1)["next"] is not None


def test_newest_images_come_first(client: TestClient) -> None:
    first, second = stored(client, scan(1)), stored(client, scan(2))
    assert ids(page(client)["items"]) == ids(second + first)


# Filters.


@pytest.fixture(scope="module")
def filtered(
    server: embedded.EmbeddedServer, template: str, spec: FeatureSetSpec, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TestClient]:
    """Images that differ in everything a filter knows: `a` is ready and labelled, `b` is pending."""
    with new_store(server, template, tmp_path_factory.mktemp("filters")) as store, calling(store) as client:
        with extracting(store, FakeExtractor(spec)):
            (a,) = stored(
                client, scan(1), wait=60, subject="A", source="gate-1", tags="x,y", captured_at="2026-01-01T00:00:00Z"
            )  # fmt: skip
        client.put(f"/v1/images/{a['id']}/labels/empty-container", json={"class": "loaded"})
        stored(client, scan(2), subject="B", source="gate-2", tags="y", captured_at="2026-02-01T00:00:00Z")
        yield client


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({}, "AB"),
        ({"subject": "A"}, "A"),
        ({"subject": ""}, ""),
        ({"source": "gate-2"}, "B"),
        ({"source": ""}, ""),
        ({"tag": "x"}, "A"),
        ({"tag": "y"}, "AB"),
        ({"tag": ""}, ""),
        ({"captured_from": "2026-01-15T00:00:00Z"}, "B"),
        ({"captured_until": "2026-01-15T00:00:00Z"}, "A"),
        ({"captured_from": "2026-02-01T01:00:00+01:00"}, "B"),
        ({"captured_from": "2026-01-01T00:00:00Z", "captured_until": "2026-02-01T00:00:00Z"}, "A"),
        ({"received_from": (datetime.now(UTC) + timedelta(days=1)).isoformat()}, ""),
        ({"received_until": (datetime.now(UTC) + timedelta(days=1)).isoformat()}, "AB"),
        ({"state": "ready"}, "A"),
        ({"state": "pending"}, "B"),
        ({"state": "failed"}, ""),
        ({"task": "empty-container"}, "AB"),
        ({"task": "empty-container", "label": "loaded"}, "A"),
        ({"task": "empty-container", "label": "empty"}, ""),
        ({"task": "pneumonia", "label": "normal"}, ""),
        ({"tag": "y", "state": "ready", "source": "gate-1"}, "A"),
    ],
)
def test_a_filter_keeps_what_it_names(filtered: TestClient, condition: dict[str, str], expected: str) -> None:
    found = page(filtered, **condition)["items"]
    assert "".join(sorted(image["subject"] for image in found)) == expected


@pytest.mark.parametrize(
    ("condition", "status"),
    [
        ({"label": "loaded"}, 422),
        ({"decision": "loaded"}, 422),
        ({"task": "no-such-task"}, 404),
        ({"task": "empty-container", "label": "pneumonia"}, 422),
        ({"state": "done"}, 422),
        ({"captured_from": "2026-01-15T00:00:00"}, 422),
        ({"captured_from": "1700000000"}, 422),
        ({"cursor": "7"}, 422),
        ({"limit": "501"}, 422),
        ({"task": ""}, 422),
    ],
)
def test_a_filter_that_names_nothing_known_is_refused(
    filtered: TestClient, condition: dict[str, str], status: int
) -> None:
    is_problem(filtered.get("/v1/images", params=condition), status)


# Content.


def test_an_original_comes_with_headers_that_keep_a_browser_safe(client: TestClient) -> None:
    (image,) = stored(client, scan(1))
    answer = client.get(f"/v1/images/{image['id']}/content")
    assert answer.headers["ETag"] == f'"{image["sha256"]}"'
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Disposition"] == 'inline; filename="scan-0.png"'
    assert "immutable" in answer.headers["Cache-Control"]
    assert answer.headers["Content-Type"] == "image/png"


def test_part_of_an_original_can_be_asked_for(client: TestClient) -> None:
    (image,) = stored(client, scan(1))
    answer = client.get(f"/v1/images/{image['id']}/content", headers={"Range": "bytes=0-7"})
    assert (answer.status_code, answer.content) == (206, scan(1)[:8])


def test_a_lost_original_is_named_as_lost(client: TestClient, store: TestStore) -> None:
    (image,) = stored(client, scan(1))
    store.blobs.delete(bytes.fromhex(image["sha256"]))
    assert "backup" in is_problem(client.get(f"/v1/images/{image['id']}/content"), 404)["detail"]
    is_problem(client.get(f"/v1/images/{image['id']}/thumbnail"), 404)


@pytest.mark.parametrize("size", [128, 256, 512])
def test_a_thumbnail_is_no_larger_than_asked_for(client: TestClient, sample: Callable[..., bytes], size: int) -> None:
    import io

    from PIL import Image

    (image,) = stored(client, sample(1))
    answer = client.get(f"/v1/images/{image['id']}/thumbnail", params={"size": size})
    thumbnail = Image.open(io.BytesIO(answer.content))
    assert (thumbnail.format, thumbnail.mode) == ("JPEG", "L")
    assert max(thumbnail.size) == min(size, max(image["width"], image["height"]))


def test_a_thumbnail_of_another_size_is_refused(client: TestClient) -> None:
    (image,) = stored(client, scan(1))
    is_problem(client.get(f"/v1/images/{image['id']}/thumbnail", params={"size": 100_000}), 422)


@pytest.mark.parametrize("part", ["", "/content", "/thumbnail", "/predictions", "/labels", "/similar"])
def test_an_unknown_image_is_not_found(client: TestClient, part: str) -> None:
    is_problem(client.get(f"/v1/images/{uuid4()}{part}"), 404)
    is_problem(client.get(f"/v1/images/7{part}"), 422)


# Labels.


def label(client: TestClient, image: dict[str, Any], name: str, **more: str) -> Any:
    return client.put(f"/v1/images/{image['id']}/labels/empty-container", json={"class": name, **more})


def test_a_later_label_supersedes_and_the_history_keeps_both(client: TestClient) -> None:
    (image,) = stored(client, scan(1))
    assert label(client, image, "empty").status_code == 200
    assert label(client, image, "loaded", reason="a pallet behind the door").json()["author"] == "test-admin"
    history = client.get(f"/v1/images/{image['id']}/labels").json()
    assert [(said["class"], said["reason"]) for said in history] == [
        ("loaded", "a pallet behind the door"),
        ("empty", None),
    ]
    assert len(page(client, task="empty-container", label="loaded")["items"]) == 1
    assert page(client, task="empty-container", label="empty")["items"] == []


@pytest.mark.parametrize(
    ("task", "body", "status"),
    [
        ("empty-container", {"class": "pneumonia"}, 422),
        ("empty-container", {"class": "Loaded"}, 422),
        ("empty-container", {}, 422),
        ("empty-container", {"class": "loaded", "mood": "good"}, 422),
        ("no-such-task", {"class": "loaded"}, 404),
    ],
)
def test_a_label_of_an_unknown_class_or_task_is_refused(
    client: TestClient, store: TestStore, task: str, body: dict[str, str], status: int
) -> None:
    (image,) = stored(client, scan(1))
    is_problem(client.put(f"/v1/images/{image['id']}/labels/{task}", json=body), status)
    assert store.scalar("SELECT count(*) FROM label") == 0


def test_a_label_of_an_image_deleted_meanwhile_is_a_conflict(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.services.images.get", lambda *_: None)  # found by the check, gone by the insert
    is_problem(label(client, {"id": uuid4()}, "empty"), 409)


@pytest.mark.parametrize("table", ["audit_event", "declaration", "embedding", "label"])
def test_rows_that_describe_the_past_refuse_an_update(
    client: TestClient, store: TestStore, worker: object, table: str
) -> None:
    (image,) = stored(client, scan(1), wait=60, declared='{"empty-container": "empty"}')
    label(client, image, "empty")
    column = {"audit_event": "actor", "embedding": "engine"}.get(table, "author")
    with pytest.raises(DBAPIError, match="never updated"), transaction(store.sessions) as session:
        session.execute(text(f"UPDATE {table} SET {column} = 'forged'"))


# Deletion.


def blob_of(store: TestStore, image: dict[str, Any]) -> Path:
    return store.blobs.path(bytes.fromhex(image["sha256"]))


def test_a_deleted_image_is_gone_with_all_that_hung_on_it(client: TestClient, store: TestStore, worker: object) -> None:
    (image,) = stored(client, scan(1), wait=60, declared='{"empty-container": "empty"}')
    label(client, image, "empty")
    assert client.delete(f"/v1/images/{image['id']}").status_code == 204
    for table in ("image", "region", "embedding", "declaration", "label", "prediction", "job"):
        assert store.scalar(f"SELECT count(*) FROM {table}") == 0, table
    assert not blob_of(store, image).exists()
    is_problem(client.get(f"/v1/images/{image['id']}"), 404)
    is_problem(client.delete(f"/v1/images/{image['id']}"), 404)


def test_a_deleted_image_can_be_uploaded_again(client: TestClient, worker: object) -> None:
    (image,) = stored(client, scan(1), wait=60)
    client.delete(f"/v1/images/{image['id']}")
    answer = upload(client, scan(1), wait=60)
    assert answer.status_code == 201
    (again,) = answer.json()["images"]
    assert (again["state"], again["id"] != image["id"]) == ("ready", True)
    assert client.get(f"/v1/images/{again['id']}/content").content == scan(1)


def test_a_queued_image_can_be_deleted(client: TestClient, store: TestStore) -> None:
    (image,) = stored(client, scan(1))
    assert client.delete(f"/v1/images/{image['id']}").status_code == 204
    assert store.scalar("SELECT count(*) FROM job") == 0


def test_an_image_deleted_while_it_is_extracted_leaves_nothing_and_spares_its_batch(
    client: TestClient, store: TestStore, spec: FeatureSetSpec
) -> None:
    doomed, kept = stored(client, scan(1), scan(2))
    deleted: list[int] = []

    def before(_: InputBatch) -> None:
        if not deleted:
            deleted.append(client.delete(f"/v1/images/{doomed['id']}").status_code)

    with extracting(store, FakeExtractor(spec, before)):
        stored(client, scan(2), wait=60)
    assert deleted == [204]
    assert store.scalar("SELECT count(*) FROM embedding") == 1
    assert client.get(f"/v1/images/{kept['id']}").json()["state"] == "ready"


# A deletion and an upload of the same bytes.


def test_discard_keeps_the_bytes_when_an_upload_came_between(client: TestClient, store: TestStore) -> None:
    (image,) = stored(client, scan(1))
    with transaction(store.sessions) as session:
        sha256 = images.remove(session, UUID(image["id"]), author="test")
    stored(client, scan(1))
    with transaction(store.sessions) as session:
        images.discard(session, store.blobs, sha256)
    assert blob_of(store, image).exists()


def test_discard_waits_for_an_upload_that_has_found_its_bytes(client: TestClient, store: TestStore) -> None:
    (image,) = stored(client, scan(1))
    sha256 = bytes.fromhex(image["sha256"])
    with transaction(store.sessions) as uploading:
        images.lock_blobs(uploading, shared=True)
        with pytest.raises(DBAPIError, match="lock timeout"):
            discard_impatiently(store, sha256)
    assert blob_of(store, image).exists()


def discard_impatiently(store: TestStore, sha256: bytes) -> None:
    with transaction(store.sessions) as session:
        session.execute(text("SET LOCAL lock_timeout = '100ms'"))
        images.discard(session, store.blobs, sha256)


def test_an_upload_whose_bytes_were_discarded_before_its_rows_is_refused_and_stores_nothing(
    client: TestClient, store: TestStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep = type(store.blobs).keep

    def keep_and_lose(blobs: Any, files: Any) -> None:
        files = list(files)
        keep(blobs, files)
        for file in files:
            blobs.delete(file.sha256)  # what a deletion does between `keep` and `register`

    monkeypatch.setattr(type(store.blobs), "keep", keep_and_lose)
    is_problem(upload(client, scan(1)), 503)
    assert store.scalar("SELECT count(*) FROM image") == 0
