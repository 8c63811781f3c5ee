"""A scan goes in: stored once, extracted once, judged, and found again."""

from collections.abc import Callable

from fastapi.testclient import TestClient

from tests.conftest import TestStore
from workers.runner import Base

Sample = Callable[..., bytes]


def upload(client: TestClient, *contents: bytes, wait: int | None = None, **fields: str) -> object:
    files = [("files", (f"scan-{i}.jpg", content)) for i, content in enumerate(contents)]
    headers = {"Prefer": f"wait={wait}"} if wait is not None else {}
    return client.post("/v1/images", files=files, data=fields, headers=headers)


def test_new_bytes_are_created_and_the_same_bytes_again_are_the_same_image(client: TestClient, sample: Sample) -> None:
    first = upload(client, sample(1))
    again = upload(client, sample(1))
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["images"][0]["id"] == again.json()["images"][0]["id"]
    assert first.json()["images"][0]["state"] == "pending"


def test_an_upload_that_waits_is_answered_ready(client: TestClient, worker: Base, sample: Sample) -> None:
    answer = upload(client, sample(1), sample(2), wait=60)
    assert answer.status_code == 201
    assert [image["state"] for image in answer.json()["images"]] == ["ready", "ready"]
    assert answer.headers["Preference-Applied"] == "wait=60"


def test_one_bad_file_is_refused_and_the_good_one_is_kept(client: TestClient, sample: Sample) -> None:
    answer = upload(client, b"not a scan", sample(1))
    assert answer.status_code == 201
    assert [refused["name"] for refused in answer.json()["refused"]] == ["scan-0.jpg"]
    assert answer.json()["refused"][0]["problem"]["reason"] == "unknown-format"
    assert len(answer.json()["images"]) == 1


def test_a_stored_original_comes_back_byte_for_byte(client: TestClient, sample: Sample) -> None:
    image = upload(client, sample(3)).json()["images"][0]
    answer = client.get(f"/v1/images/{image['id']}/content")
    assert answer.content == sample(3)
    assert answer.headers["content-type"] == "image/jpeg"


def test_each_image_has_exactly_one_embedding(
    client: TestClient, worker: Base, store: TestStore, sample: Sample
) -> None:
    upload(client, *[sample(seed) for seed in range(20)], wait=60)
    upload(client, *[sample(seed) for seed in range(20)], wait=60)
    assert store.scalar("SELECT count(*) FROM image") == 20
    assert store.scalar("SELECT count(*) FROM embedding") == 20
