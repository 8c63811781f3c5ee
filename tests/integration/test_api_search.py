"""Nearest scans: right, filtered without under-returning, and within one feature set only."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from numpy.typing import NDArray
from sqlalchemy import text

from app import embedded, vectors
from app.db import transaction
from app.features.spec import FeatureSetSpec
from app.models import FeatureSet
from app.services import feature_sets
from tests.conftest import FakeExtractor, TestStore, calling, extracting, new_store
from tests.integration.calls import is_problem, scan, stored

MANY = 2_300
RARE = 7  # images of source `rare` among them


def search(client: TestClient, **body: Any) -> dict[str, Any]:
    answer = client.post("/v1/search", json=body)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def nearest(found: dict[str, Any]) -> list[str]:
    return [neighbour["image"]["id"] for neighbour in found["neighbours"]]


# A few scans: always exact.


@pytest.fixture(scope="module")
def few(
    server: embedded.EmbeddedServer, template: str, spec: FeatureSetSpec, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TestStore]:
    with new_store(server, template, tmp_path_factory.mktemp("search")) as store:
        with extracting(store, FakeExtractor(spec)), calling(store) as client:
            stored(client, *[scan(seed, light=0.2) for seed in range(4)], wait=60, source="dark-gate")
            stored(client, *[scan(seed, light=0.8) for seed in range(5)], wait=60, source="light-gate")
        yield store


@pytest.fixture(scope="module")
def service(few: TestStore) -> Iterator[TestClient]:
    with calling(few) as client:
        yield client


def of(client: TestClient, source: str) -> list[str]:
    return [image["id"] for image in client.get("/v1/images", params={"source": source}).json()["items"]]


def test_alike_scans_are_nearest_and_the_scan_itself_is_left_out(service: TestClient) -> None:
    for source in ("dark-gate", "light-gate"):
        image, *alike = of(service, source)
        found = search(service, image_id=image, limit=len(alike))
        assert sorted(nearest(found)) == sorted(alike)
        assert (found["approximate"], found["exhausted"], found["metric"]) == (False, False, "cosine")


def test_similar_of_an_image_is_a_search_by_its_id(service: TestClient) -> None:
    (image, *_) = of(service, "dark-gate")
    answer = service.get(f"/v1/images/{image}/similar", params={"limit": 4})
    assert answer.json() == search(service, image_id=image, limit=4)


def test_distances_rise(service: TestClient) -> None:
    (image, *_) = of(service, "dark-gate")
    distances = [n["distance"] for n in search(service, image_id=image)["neighbours"]]
    assert distances == sorted(distances)
    assert all(0 <= distance <= 2 for distance in distances)


def test_fewer_matches_than_asked_for_is_said(service: TestClient) -> None:
    (image, *_) = of(service, "dark-gate")
    found = search(service, image_id=image, limit=100)
    assert (len(found["neighbours"]), found["exhausted"]) == (8, True)


def test_a_stored_vector_finds_its_own_image(service: TestClient, few: TestStore) -> None:
    rows, owners = stored_rows(few)
    for scale in (1.0, 1e-30, 1e30):
        found = search(service, vector=(rows.avg[4].astype(float) * scale).tolist(), limit=1)
        assert nearest(found) == [owners[4]]
        assert found["neighbours"][0]["distance"] == pytest.approx(0, abs=1e-5)


def stored_rows(store: TestStore) -> tuple[vectors.Rows, list[str]]:
    with transaction(store.sessions) as session:
        rows = vectors.copy_out(session, store.feature_set())
        owners = {row.id: row.owner for row in session.execute(text("SELECT id, image_id::text AS owner FROM region"))}
    return rows, [owners[region] for region in rows.region_ids.tolist()]


def test_a_file_is_searched_by_its_own_vectors_and_stored(
    few: TestStore, service: TestClient, spec: FeatureSetSpec
) -> None:
    with extracting(few, FakeExtractor(spec)):
        answer = service.post("/v1/search", files={"files": ("a.png", scan(99, light=0.8))})
    assert answer.status_code == 200
    assert answer.json()["neighbours"][0]["image"]["source"] == "light-gate"
    (image,) = stored(service, scan(99, light=0.8))
    service.delete(f"/v1/images/{image['id']}")


def test_a_file_without_a_worker_is_a_conflict_that_says_to_wait(service: TestClient) -> None:
    files = {"files": ("a.png", scan(98))}
    assert "pending" in is_problem(service.post("/v1/search", files=files, headers={"Prefer": "wait=0"}), 409)["detail"]
    (image,) = stored(service, scan(98))
    service.delete(f"/v1/images/{image['id']}")


def test_a_file_that_is_no_scan_is_refused(service: TestClient) -> None:
    is_problem(service.post("/v1/search", files={"files": ("a.png", b"text")}), 415)
    two = [("files", ("a.png", scan(96))), ("files", ("b.png", scan(97)))]
    is_problem(service.post("/v1/search", files=two), 422)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 422),
        ({"image_id": "01a1fbf3-a654-7063-a3a6-a71d8945be63", "vector": [1.0]}, 422),
        ({"image_id": "01a1fbf3-a654-7063-a3a6-a71d8945be63"}, 404),
        ({"vector": []}, 422),
        ({"vector": [1.0] * 1023}, 422),
        ({"vector": [1.0] * 1025}, 422),
        ({"vector": [1.0] * 5000}, 422),
        ({"vector": [0.0] * 1024}, 422),
        ({"vector": [1.0] * 1023 + [float("nan")]}, 422),
        ({"vector": [1.0] * 1023 + [float("inf")]}, 422),
        ({"vector": ["one"] * 1024}, 422),
        ({"vector": [1.0] * 1024, "limit": 0}, 422),
        ({"vector": [1.0] * 1024, "limit": 101}, 422),
        ({"vector": [1.0] * 1024, "feature_set": "no-such-set"}, 404),
        ({"vector": [1.0] * 1024, "filter": {"task": "no-such-task"}}, 404),
        ({"vector": [1.0] * 1024, "filter": {"label": "loaded"}}, 422),
        ({"vector": [1.0] * 1024, "filter": {"colour": "blue"}}, 422),
        ({"vector": [1.0] * 1024, "colour": "blue"}, 422),
    ],
    ids=lambda value: None if isinstance(value, int) else ",".join(value),
)
def test_a_query_that_means_nothing_is_refused(service: TestClient, body: dict[str, Any], status: int) -> None:
    import json

    content = json.dumps(body)
    is_problem(service.post("/v1/search", content=content, headers={"Content-Type": "application/json"}), status)


@pytest.mark.parametrize("value", [1e39, -1e300, 5e-324])
def test_a_vector_of_extreme_numbers_has_a_direction_like_any_other(service: TestClient, value: float) -> None:
    found = search(service, vector=[value] + [0.0] * 1023)
    assert len(found["neighbours"]) == 9


def test_an_image_that_is_pending_cannot_be_compared_yet(service: TestClient) -> None:
    (image,) = stored(service, scan(95))
    is_problem(service.get(f"/v1/images/{image['id']}/similar"), 409)
    service.delete(f"/v1/images/{image['id']}")


# Two feature sets.


@pytest.fixture(scope="module")
def other(few: TestStore, spec: FeatureSetSpec) -> FeatureSet:
    """A second feature set, of other dimensions, with a vector of every image; it is not extracted by itself."""
    small = replace(spec, name="small", weights_digest="0" * 64, avg_dim=64, max_dim=32)
    with transaction(few.sessions) as session:
        registered = feature_sets.ensure(session, small, author="test")
        registered.stage = "retired"
        regions = np.array(session.scalars(text("SELECT id FROM region ORDER BY id")).all(), np.int64)
        rng = np.random.default_rng(1)
        rows = vectors.Rows(regions, noise(rng, len(regions), 64), noise(rng, len(regions), 32))
        vectors.copy_in(session, registered, rows, engine="test")
    return registered


def noise(rng: np.random.Generator, count: int, dimensions: int) -> NDArray[np.float32]:
    return rng.normal(size=(count, dimensions)).astype(np.float32)


def test_a_vector_of_another_feature_set_is_refused(service: TestClient, other: FeatureSet) -> None:
    for name, length in (("small", 1024), ("densenet121-xray", 64)):
        problem = is_problem(
            service.post("/v1/search", json={"vector": [1.0] * length, "feature_set": name}), 422
        )  # fmt: skip
        assert problem["type"].endswith("mixed-feature-sets")
        assert name in problem["detail"]


def test_each_feature_set_answers_from_its_own_vectors(service: TestClient, other: FeatureSet) -> None:
    (image, *_) = of(service, "dark-gate")
    small = search(service, image_id=image, feature_set="small")
    assert small["feature_set"] == "small"
    assert nearest(small) != nearest(search(service, image_id=image))


def test_a_vector_of_the_wrong_length_cannot_even_be_stored(few: TestStore, other: FeatureSet) -> None:
    from app.errors import MixedFeatureSets

    rows = vectors.Rows(np.array([1], np.int64), np.ones((1, 64), np.float32), np.ones((1, 32), np.float32))
    with pytest.raises(MixedFeatureSets), transaction(few.sessions) as session:
        vectors.copy_in(session, few.feature_set(), rows, engine="test")


# Many: the index answers.


@pytest.fixture(scope="module")
def many(
    server: embedded.EmbeddedServer, template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TestStore]:
    """More images than are searched exactly, in clusters as scans are."""
    with new_store(server, template, tmp_path_factory.mktemp("many")) as store:
        with transaction(store.sessions) as session:
            session.execute(
                text(
                    """
                    INSERT INTO image (id, sha256, media_type, byte_count, width, height, bit_depth, source, tags)
                    SELECT gen_random_uuid(), sha256(n::text::bytea), 'image/png', 1, 28, 28, 8,
                        CASE WHEN n <= :rare THEN 'rare' ELSE 'common' END, '{}' FROM generate_series(1, :many) n
                    """
                ),
                {"rare": RARE, "many": MANY},
            )
            session.execute(
                text(
                    "INSERT INTO region (image_id, ordinal, x, y, width, height) SELECT id, 0, 0, 0, 28, 28 FROM image"
                )
            )
            regions = np.array(session.scalars(text("SELECT id FROM region ORDER BY id")).all(), np.int64)
            rng = np.random.default_rng(2)
            centres = noise(rng, 40, 1024)
            points = centres[rng.integers(0, 40, MANY)] + 0.5 * noise(rng, MANY, 1024)
            vectors.copy_in(session, store.feature_set(), vectors.Rows(regions, points, points), engine="test")
        yield store


@pytest.fixture(scope="module")
def large(many: TestStore) -> Iterator[TestClient]:
    with calling(many) as client:
        yield client


def test_the_index_finds_what_an_exact_search_finds(large: TestClient, many: TestStore) -> None:
    rows, _ = stored_rows(many)
    rng = np.random.default_rng(3)
    same, overlap = 0, 0
    for index in rng.integers(0, MANY, 20):
        query = (rows.avg[index] + 0.3 * noise(rng, 1, 1024)[0]).tolist()
        quick, exact = search(large, vector=query), search(large, vector=query, exact=True)
        assert (quick["approximate"], exact["approximate"]) == (True, False)
        same += nearest(quick)[0] == nearest(exact)[0]
        overlap += len(set(nearest(quick)) & set(nearest(exact)))
    assert same >= 19
    assert overlap >= 0.9 * 20 * 10


def test_a_query_beyond_half_precision_is_answered_by_the_index_as_well(large: TestClient) -> None:
    unit = search(large, vector=[1.0] + [0.0] * 1023)
    for value in (1e6, 1e39, 1e-9):
        found = search(large, vector=[value] + [0.0] * 1023)
        assert found["approximate"]
        assert nearest(found) == nearest(unit)


@pytest.mark.parametrize("limit", [RARE - 2, RARE + 3])
def test_a_selective_filter_returns_all_that_match(large: TestClient, limit: int) -> None:
    rows_far_from_the_rare = [-1.0] * 1024
    found = search(large, vector=rows_far_from_the_rare, limit=limit, filter={"source": "rare"})
    assert len(found["neighbours"]) == min(limit, RARE)
    assert {n["image"]["source"] for n in found["neighbours"]} == {"rare"}
    assert (found["approximate"], found["exhausted"]) == (False, limit > RARE)


def test_a_wide_filter_is_answered_by_the_index_in_full(large: TestClient) -> None:
    found = search(large, vector=[1.0] * 1024, limit=100, filter={"source": "common"})
    assert (found["approximate"], found["exhausted"], len(found["neighbours"])) == (True, False, 100)
    assert {n["image"]["source"] for n in found["neighbours"]} == {"common"}


def test_every_filter_of_a_list_filters_a_search(large: TestClient) -> None:
    for condition, count in (
        ({"source": "nowhere"}, 0), ({"state": "ready"}, 10), ({"state": "failed"}, 0), ({"tag": "x"}, 0),
        ({"received_from": "2000-01-01T00:00:00Z"}, 10), ({"task": "pneumonia", "label": "normal"}, 0),
    ):  # fmt: skip
        assert len(search(large, vector=[1.0] * 1024, filter=condition)["neighbours"]) == count, condition
