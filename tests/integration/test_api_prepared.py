"""The exact pixels that a backbone saw, and the regions of an image, over HTTP and on the command line."""

import io
import json
from uuid import uuid4

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from app.cli.application import app as commands
from app.db import transaction
from app.features.spec import FeatureSetSpec
from app.features.weights import resolve
from app.imaging import Limits, Preprocessing, prepare_scan
from app.models import Role
from app.services import feature_sets
from app.simulator import simulate_truck
from tests.conftest import FakeExtractor, TestStore, extracting
from tests.integration.calls import encode, stored

CONTAINER = "densenet121-container"


@pytest.fixture(scope="module")
def truck() -> bytes:
    """A truck with two containers, inverted and in a black frame, so that every step has work."""
    rng = np.random.default_rng([5, 1])
    pixels = simulate_truck(rng, loaded=tuple(bool(full) for full in rng.integers(0, 2, 2))).pixels
    return encode(Image.fromarray(np.pad(255 - pixels, 20)))


@pytest.fixture
def container(store: TestStore) -> FeatureSetSpec:
    spec = resolve(CONTAINER).spec
    with transaction(store.sessions) as session:
        feature_sets.ensure(session, spec, author="test")
    return spec


def array(content: bytes) -> np.ndarray:
    return np.load(io.BytesIO(content), allow_pickle=False)


def test_the_pixels_shown_are_those_that_were_embedded(
    store: TestStore, client: TestClient, spec: FeatureSetSpec, container: FeatureSetSpec, truck: bytes
) -> None:
    seen: list[np.ndarray] = []
    watching = FakeExtractor(container, lambda batch: seen.extend(np.array(batch)))
    with extracting(store, FakeExtractor(spec), watching):
        [image] = stored(client, truck, wait=60)
    assert len(seen) == 2
    for ordinal in range(2):
        answer = client.get(
            f"/v1/images/{image['id']}/prepared",
            params={"feature_set": CONTAINER, "region": ordinal},
            headers={"Accept": "application/octet-stream"},
        )
        assert answer.status_code == 200, answer.text
        plane = array(answer.content)
        assert (plane.dtype, plane.shape) == (np.float32, (224, 224))
        assert any(np.array_equal(plane, other) for other in seen)
    regions = client.get(f"/v1/images/{image['id']}/regions", params={"feature_set": CONTAINER}).json()
    assert [(region["cut"], region["ordinal"], region["frame"]) for region in regions] == [
        ("container-1", 0, 0),
        ("container-1", 1, 0),
    ]
    steps = regions[0]["feature_sets"][0]["findings"]["steps"]
    assert {step["step"]: step["found"] for step in steps}["polarity"] == "inverted"
    box = prepare_scan(truck, Limits(10**8, 10**8, 1), container.preprocessing)[1].box
    assert regions[1]["box"] == [box.x, box.y, box.width, box.height]
    assert {r["cut"] for r in client.get(f"/v1/images/{image['id']}/regions").json()} == {"frame", "container-1"}


def test_pictures_of_eight_and_sixteen_bits_are_the_pixels_rounded(client: TestClient, truck: bytes) -> None:
    [image] = stored(client, truck)
    plane = array(client.get(f"/v1/images/{image['id']}/prepared", params={"format": "npy"}).content)
    np.testing.assert_array_equal(plane, prepare_scan(truck, Limits(10**8, 10**8, 1), Preprocessing())[0].pixels[0])
    for depth in (8, 16):
        answer = client.get(f"/v1/images/{image['id']}/prepared", params={"depth": depth})
        assert answer.headers["Content-Type"] == "image/png"
        assert answer.headers["Penumbra-Feature-Set"] == "densenet121-xray"
        with Image.open(io.BytesIO(answer.content)) as shown:
            np.testing.assert_allclose(np.asarray(shown) / (2**depth - 1), plane, atol=0.51 / (2**depth - 1))


@pytest.mark.parametrize("path", ["prepared", "regions"])
def test_what_is_not_there_is_said(client: TestClient, truck: bytes, path: str) -> None:
    [image] = stored(client, truck)
    assert client.get(f"/v1/images/{uuid4()}/{path}").status_code == 404
    unknown = client.get(f"/v1/images/{image['id']}/{path}", params={"feature_set": "nothing"})
    assert unknown.status_code == 404
    assert "nothing" in unknown.json()["detail"]


def test_a_region_that_the_scan_has_not_is_not_found(client: TestClient, truck: bytes) -> None:
    [image] = stored(client, truck)
    answer = client.get(f"/v1/images/{image['id']}/prepared", params={"region": 7})
    assert answer.status_code == 404
    assert "1 region" in answer.json()["detail"]


def test_pixels_and_regions_need_a_key(store: TestStore, client: TestClient, truck: bytes) -> None:
    [image] = stored(client, truck)
    for path in ("prepared", "regions"):
        assert client.get(f"/v1/images/{image['id']}/{path}", headers={"Authorization": ""}).status_code == 401
        reader = {"Authorization": f"Bearer {store.key(Role.INSPECTOR, f'reads {path}')}"}
        assert client.get(f"/v1/images/{image['id']}/{path}", headers=reader).status_code == 200


def test_inspect_shows_steps_and_boxes_without_a_store(tmp_path, truck: bytes) -> None:
    from typer.testing import CliRunner

    scan, sheet = tmp_path / "truck.png", tmp_path / "sheet.png"
    scan.write_bytes(truck)
    told = CliRunner().invoke(commands, ["inspect", str(scan), "--json", "--out", str(sheet)])
    assert told.exit_code == 0, told.output
    shown = json.loads(told.stdout)
    assert (shown["feature_set"], shown["profile"], len(shown["regions"])) == (CONTAINER, "container", 2)
    with Image.open(sheet) as picture:
        assert picture.width > picture.height
    words = CliRunner().invoke(commands, ["inspect", str(scan)]).stdout
    assert "polarity/1: inverted" in words
    assert "container/1: containers (count 2)" in words
    assert not (tmp_path / "penumbra-data").exists()


def test_inspect_refuses_what_is_no_scan(tmp_path) -> None:
    from typer.testing import CliRunner

    told = CliRunner().invoke(commands, ["inspect", str(tmp_path / "gone.png")])
    assert "neither a file nor the id" in str(told.exception)
