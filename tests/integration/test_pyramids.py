"""Pyramids over HTTP: what they give, that they are made once, kept in bounds, and gone with their scan."""

import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from app.db import transaction
from app.imaging import pyramid
from app.models import Image as Stored
from app.services.pyramids import Pyramids
from tests.conftest import TestStore, calling
from tests.dicom_files import dicom, ramp
from tests.integration.calls import encode, is_problem, stored


def noise(seed: int = 0, width: int = 1300, height: int = 700) -> bytes:
    values = np.random.default_rng(seed).integers(0, 256, (height, width)).astype(np.uint8)
    return encode(Image.fromarray(values))


def folder(store: TestStore) -> Path:
    return store.settings.cache_dir / "pyramids"


def made(store: TestStore) -> list[Path]:
    return sorted(path for path in folder(store).iterdir() if path.suffix == f".v{pyramid.VERSION}")


def described(client: TestClient, image: dict[str, Any], **query: Any) -> dict[str, Any]:
    answer = client.get(f"/v1/images/{image['id']}/pyramid", params=query)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def pixels(client: TestClient, image: dict[str, Any], *place: int) -> np.ndarray[Any, Any]:
    answer = client.get(f"/v1/images/{image['id']}/pyramid/{'/'.join(map(str, place))}")
    assert answer.status_code == 200, answer.text
    return np.asarray(Image.open(io.BytesIO(answer.content)))


def test_a_scan_is_read_tile_by_tile(client: TestClient) -> None:
    content = noise()
    (image,) = stored(client, content)
    found = described(client, image)
    assert (found["width"], found["height"], found["bits"], found["depth"]) == (1300, 700, 8, 8)
    assert [level["columns"] for level in found["levels"]] == [2, 1, 1]
    whole = np.concatenate([pixels(client, image, 0, 0, 0, column) for column in (0, 1)], axis=1)
    assert (whole == np.asarray(Image.open(io.BytesIO(content)))).all()


def test_a_tile_is_kept_by_browsers_and_confirmed_by_its_etag(client: TestClient) -> None:
    (image,) = stored(client, noise())
    address = f"/v1/images/{image['id']}/pyramid/0/1/0/0"
    answer = client.get(address)
    assert "immutable" in answer.headers["Cache-Control"]
    again = client.get(address, headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_frames_of_a_dicom_file_have_sixteen_bits_and_millimetres(client: TestClient) -> None:
    frames = np.stack([ramp(), ramp()[::-1]])
    (image,) = stored(client, dicom(frames, PixelSpacing=[0.2, 0.1]))
    first, second = described(client, image), described(client, image, frame=1)
    assert (first["frames"], first["depth"], first["spacing_mm"]) == (2, 16, [0.2, 0.1])
    assert second["frame"] == 1
    assert (pixels(client, image, 0, 0, 0, 0) == pixels(client, image, 1, 0, 0, 0)[::-1]).all()


@pytest.mark.parametrize("place", ["1/0/0/0", "0/9/0/0", "0/0/1/0", "0/0/0/1"])
def test_what_the_scan_has_not_is_not_found(client: TestClient, place: str) -> None:
    (image,) = stored(client, noise(width=40, height=40))
    is_problem(client.get(f"/v1/images/{image['id']}/pyramid/{place}"), 404)


def test_a_frame_that_the_scan_has_not_is_not_found(client: TestClient) -> None:
    (image,) = stored(client, noise(width=40, height=40))
    problem = is_problem(client.get(f"/v1/images/{image['id']}/pyramid", params={"frame": 3}), 404)
    assert "no frame 3" in problem["detail"]


def test_a_corrupt_scan_says_why_and_leaves_nothing(client: TestClient, store: TestStore) -> None:
    whole = noise()
    (image,) = stored(client, whole[: len(whole) // 2])
    problem = is_problem(client.get(f"/v1/images/{image['id']}/pyramid"), 422)
    assert "damaged" in problem["detail"]
    assert [path for path in folder(store).iterdir() if path.suffix != ".lock"] == []


def test_asked_for_by_many_at_once_it_is_made_once(client: TestClient, store: TestStore) -> None:
    """Every answer names the same file: a second making would have replaced it."""
    (image,) = stored(client, noise(width=3000, height=1000))
    with transaction(store.sessions) as session:
        row = session.get_one(Stored, image["id"])

    def look(_: int) -> int:
        return Pyramids(store.settings, store.blobs).of(row, 0).path.stat().st_ino

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(look, range(24)))) == 1


def test_the_folder_keeps_its_bound_and_what_was_looked_at_last(store: TestStore) -> None:
    with calling(store) as client:
        images = stored(client, *(noise(seed, 600, 400) for seed in range(4)))
        described(client, images[0])
        (first,) = made(store)
        bound = int(3.5 * first.stat().st_size)
    with calling(store, viewer_cache_bytes=bound) as client:
        for image in (*images[1:3], images[0], images[3]):
            described(client, image)
        assert sum(path.stat().st_size for path in made(store)) <= bound
        assert first in made(store)  # looked at again meanwhile
        assert (pixels(client, images[1], 0, 0, 0, 0)).shape == (400, 600)  # made anew


def test_a_pyramid_that_a_power_cut_left_unfinished_is_made_anew(client: TestClient, store: TestStore) -> None:
    (image,) = stored(client, noise(width=40, height=40))
    described(client, image)
    (path,) = made(store)
    path.write_bytes(b"")
    assert pixels(client, image, 0, 0, 0, 0).shape == (40, 40)


def test_a_deleted_scan_takes_its_tiles_with_it(client: TestClient, store: TestStore) -> None:
    (image,) = stored(client, noise())
    described(client, image)
    assert client.delete(f"/v1/images/{image['id']}").status_code == 204
    assert made(store) == []
    is_problem(client.get(f"/v1/images/{image['id']}/pyramid"), 404)
    is_problem(client.get(f"/v1/images/{image['id']}/pyramid/0/0/0/0"), 404)


def test_a_scan_deleted_while_its_pyramid_is_made_leaves_none(client: TestClient, store: TestStore) -> None:
    (image,) = stored(client, noise())
    with transaction(store.sessions) as session:
        row = session.get_one(Stored, image["id"])
    assert client.delete(f"/v1/images/{image['id']}").status_code == 204
    from app.errors import NotFound

    with pytest.raises(NotFound):
        Pyramids(store.settings, store.blobs).of(row, 0)
    is_problem(client.get(f"/v1/images/{uuid4()}/pyramid"), 404)


def test_a_folder_that_cannot_be_written_is_said(store: TestStore) -> None:
    store.settings.cache_dir.mkdir(parents=True)
    folder(store).write_bytes(b"in the way")
    with calling(store) as client:
        (image,) = stored(client, noise(width=40, height=40))
        problem = is_problem(client.get(f"/v1/images/{image['id']}/pyramid"), 503)
    assert "cannot be written" in problem["detail"]
