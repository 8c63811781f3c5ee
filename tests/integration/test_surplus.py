"""Originals that no image names: what a killed deletion or upload leaves behind."""

import os
import time
from collections.abc import Callable
from pathlib import Path

from fastapi.testclient import TestClient

from app.db import transaction
from app.services import images
from tests.conftest import TestStore


def find(store: TestStore, *, older_than_seconds: float = 0.0) -> list[bytes]:
    with transaction(store.sessions) as session:
        return images.surplus(session, store.blobs, older_than_seconds=older_than_seconds)


def orphan(store: TestStore, content: bytes) -> Path:
    with store.blobs.receive(1 << 20) as file:
        file.write(content)
        store.blobs.keep([file])
        return store.blobs.path(file.sha256)


def test_only_the_original_without_an_image_is_surplus(
    client: TestClient, store: TestStore, sample: Callable[..., bytes]
) -> None:
    client.post("/v1/images", files=[("files", ("a.jpg", sample(1)))])
    path = orphan(store, b"left by a deletion that was killed")
    time.sleep(0.01)
    assert [sha256.hex() for sha256 in find(store)] == [path.name]


def test_a_young_original_may_be_waiting_for_its_row(store: TestStore) -> None:
    path = orphan(store, b"being uploaded")
    assert find(store, older_than_seconds=60) == []
    os.utime(path, (0, 0))
    assert len(find(store, older_than_seconds=60)) == 1


def test_discarding_the_surplus_leaves_stored_images_alone(
    client: TestClient, store: TestStore, sample: Callable[..., bytes]
) -> None:
    image = client.post("/v1/images", files=[("files", ("a.jpg", sample(1)))]).json()["images"][0]
    path = orphan(store, b"nobody's")
    with transaction(store.sessions) as session:
        for sha256 in (bytes.fromhex(path.name), bytes.fromhex(image["sha256"])):
            images.discard(session, store.blobs, sha256)
    assert not path.exists()
    assert client.get(f"/v1/images/{image['id']}/content").content == sample(1)
