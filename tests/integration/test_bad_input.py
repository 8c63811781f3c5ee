"""Bad input: each file gets its documented answer, none a 5xx, none stops a batch."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select

from app import embedded, vectors
from app.db import transaction
from app.features.spec import FeatureSetSpec
from app.models import Region
from tests.conftest import FakeExtractor, TestStore, calling, extracting, new_store
from tests.integration.calls import is_problem, scan, upload
from tests.integration.zoo import ORIENTATIONS, READY, ZOO, Odd

TABLE = Path(__file__).resolve().parents[2] / "docs/bad-input.md"
FILES = {odd.name: odd.make() for odd in ZOO}


@pytest.fixture(scope="module")
def shared(
    server: embedded.EmbeddedServer, template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TestStore]:
    with new_store(server, template, tmp_path_factory.mktemp("zoo")) as store:
        yield store


@pytest.fixture(scope="module")
def service(shared: TestStore, spec: FeatureSetSpec) -> Iterator[TestClient]:
    """The API with a worker whose batches mix good and bad."""
    with extracting(shared, FakeExtractor(spec)), calling(shared) as client:
        yield client


@pytest.fixture(scope="module")
def batch(service: TestClient) -> dict[str, dict[str, Any]]:
    """The whole zoo in one request, waited for: the image, or the problem, of each file."""
    answer = upload(service, *FILES.values(), names=list(FILES), wait=60)
    assert answer.status_code == 201
    found = {image["name"]: image for image in answer.json()["images"]}
    return found | {refused["name"]: refused["problem"] for refused in answer.json()["refused"]}


@pytest.mark.parametrize("odd", ZOO, ids=lambda odd: odd.name)
def test_each_file_of_a_batch_gets_its_own_answer(batch: dict[str, dict[str, Any]], odd: Odd) -> None:
    got = batch[odd.name]
    if isinstance(odd.answer, int):
        assert (got["status"], got["reason"]) == (odd.answer, odd.reason)
    else:
        assert got["state"] == odd.answer
        assert (got["error"] or {}).get("reason") == odd.reason


@pytest.mark.parametrize("odd", ZOO, ids=lambda odd: odd.name)
def test_each_file_alone_gets_the_same_answer(service: TestClient, batch: object, odd: Odd) -> None:
    answer = upload(service, FILES[odd.name], names=[odd.name])
    if isinstance(odd.answer, int):
        assert is_problem(answer, odd.answer)["reason"] == odd.reason
    else:
        assert answer.status_code == 200


@pytest.mark.parametrize("odd", [odd for odd in ZOO if odd.answer == "failed"], ids=lambda odd: odd.name)
def test_a_parked_image_says_why_in_words(service: TestClient, batch: dict[str, dict[str, Any]], odd: Odd) -> None:
    image = service.get(f"/v1/images/{batch[odd.name]['id']}").json()
    assert image["state"] == "failed"
    assert "export" in image["error"]["message"]
    assert image["predictions"] == []


@pytest.mark.parametrize("odd", [odd for odd in ZOO if odd.answer == "failed"], ids=lambda odd: odd.name)
def test_a_parked_image_has_its_original_and_no_thumbnail(
    service: TestClient, batch: dict[str, dict[str, Any]], odd: Odd
) -> None:
    path = f"/v1/images/{batch[odd.name]['id']}"
    assert service.get(f"{path}/content").content == FILES[odd.name]
    answer = service.get(f"{path}/thumbnail")
    assert is_problem(answer, answer.status_code)["reason"] == odd.reason
    is_problem(service.get(f"{path}/similar"), 409)


@pytest.mark.parametrize("odd", [odd for odd in ZOO if odd.answer == READY], ids=lambda odd: odd.name)
def test_a_good_image_has_a_thumbnail(service: TestClient, batch: dict[str, dict[str, Any]], odd: Odd) -> None:
    answer = service.get(f"/v1/images/{batch[odd.name]['id']}/thumbnail")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/jpeg")


def test_the_list_of_failed_images_is_the_parked_ones(service: TestClient, batch: object) -> None:
    failed = service.get("/v1/images", params={"state": "failed"}).json()["items"]
    assert {image["name"] for image in failed} == {odd.name for odd in ZOO if odd.answer == "failed"}


def test_a_turned_scan_has_the_size_and_the_vector_of_the_upright_one(
    shared: TestStore, batch: dict[str, dict[str, Any]]
) -> None:
    images = [batch[f"exif-{n}.png"] for n in ORIENTATIONS]
    assert len({image["sha256"] for image in images}) == len(images)
    assert {(image["width"], image["height"]) for image in images} == {(60, 40)}
    rows = vectors_of(shared, [image["id"] for image in images])
    assert len(rows) == len(images)
    # Not equal to the last bit: a matrix product's rounding depends on the size of the batch.
    np.testing.assert_allclose(rows.avg, np.repeat(rows.avg[:1], len(images), axis=0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(rows.max, np.repeat(rows.max[:1], len(images), axis=0), rtol=1e-4, atol=1e-5)


def vectors_of(store: TestStore, image_ids: list[str]) -> vectors.Rows:
    with transaction(store.sessions) as session:
        wanted = select(Region.id).where(Region.image_id.in_([UUID(i) for i in image_ids]))
        return vectors.copy_out(session, store.feature_set(), list(session.scalars(wanted)))


def test_the_worker_still_works_after_the_zoo(service: TestClient, batch: object) -> None:
    answer = upload(service, scan(77), wait=60)
    assert answer.json()["images"][0]["state"] == "ready"


def test_parked_images_are_tried_again_when_asked_and_parked_again(
    service: TestClient, shared: TestStore, batch: object
) -> None:
    failed = [odd for odd in ZOO if odd.answer == "failed"]
    assert service.post("/v1/feature-sets/densenet121-xray/retry").json() == {"queued": len(failed)}
    pending = [odd.name for odd in failed]
    answer = upload(service, *[FILES[name] for name in pending], names=pending, wait=60)
    assert [image["state"] for image in answer.json()["images"]] == ["failed"] * len(failed)


def test_the_documented_table_is_this_one() -> None:
    rows = re.findall(r"^\| `(.+?)` \|.*?\| (\S+) \| (?:`(.+?)`)? *\|$", TABLE.read_text(), re.MULTILINE)
    assert rows == [(odd.name, str(odd.answer), odd.reason or "") for odd in ZOO]
