"""An explanation is asked for at the API, made by the extraction worker, stored once, and adds up."""

import io
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image
from sqlalchemy import text
from typer.testing import CliRunner

from app import jobs
from app.cli import app
from app.db import transaction
from app.features.spec import FeatureSetSpec
from app.features.weights import resolve
from app.models import Kind, Stage
from app.services import explaining, explanations, feature_sets, tasks
from tests.conftest import FakeExtractor, TestStore, extracting
from tests.integration.calls import encode, is_problem, scan, stored, upload
from tests.integration.fabricated import CLASSES, POSITIVE, Rule, register
from tests.integration.rows import WORKER
from tests.waiting import PATIENCE, eventually


@pytest.fixture
def bright(store: TestStore) -> TestStore:
    """A store with a task of our own and a live head: light is where the first average is high."""
    with transaction(store.sessions) as session:
        tasks.create(session, "bright", "Is it?", list(CLASSES), POSITIVE, author="test")
    register(store, Rule(0.5), stage=Stage.LIVE)
    return store


@pytest.fixture
def served(bright: TestStore, client: TestClient, extractor: FakeExtractor) -> Iterator[TestClient]:
    with extracting(bright, extractor):
        yield client


def ask(client: TestClient, image: dict[str, Any], task: str = "bright", wait: int | None = None, **query: Any) -> Any:
    headers = {} if wait is None else {"Prefer": f"wait={wait}"}
    return client.get(f"/v1/images/{image['id']}/explanation/{task}", params=query, headers=headers)


def picture_of(answer: Any) -> Image.Image:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "image/png"
    return Image.open(io.BytesIO(answer.content))


# Numbers


def test_evidence_and_bias_add_up_to_the_log_odds_of_the_prediction(served: TestClient) -> None:
    (image,) = stored(served, scan(1), wait=60)
    answer = ask(served, image)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    (region,) = body["regions"]
    assert (body["positive"], body["unit"], region["method"]) == ("light", "log-odds", "class-activation-map")
    assert (region["rows"], region["columns"]) == (7, 7) == np.shape(region["heat"])
    assert region["exact"]
    assert np.sum(region["heat"]) + region["bias"] == pytest.approx(region["log_odds"], abs=1e-4)
    (said,) = [p for p in image["predictions"] if p["task"] == "bright"]
    p = said["probabilities"]["light"]
    assert region["probability"] == pytest.approx(p, abs=1e-5)
    assert region["log_odds"] == pytest.approx(np.log(p / (1 - p)), abs=1e-3)
    assert body["head"]["id"] == said["head"]["id"]


def test_evidence_lies_where_the_network_saw_it(served: TestClient, spec: FeatureSetSpec) -> None:
    """The heat of a linear head on averages is proportional to the first channel of the map."""
    (image,) = stored(served, scan(2), wait=60)
    (region,) = ask(served, image).json()["regions"]
    heat = np.array(region["heat"])
    cell = region["hottest_cell"]
    assert heat[cell["row"], cell["column"]] == heat.max() == pytest.approx(cell["heat"], abs=1e-6)
    assert (cell["box"][2], cell["box"][3]) == (4, 4)  # a seventh of 28 pixels
    assert cell["box"][:2] == [4 * cell["column"], 4 * cell["row"]]
    window = region["hottest_region"]
    assert (window["rows"], window["columns"]) == (3, 3)
    assert window["box"][2:] == [12, 12]


def test_an_explanation_is_made_once_for_all_who_ask(served: TestClient, bright: TestStore) -> None:
    (image,) = stored(served, scan(4), wait=60)
    answers: list[Any] = []
    threads = [threading.Thread(target=lambda: answers.append(ask(served, image))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answer.status_code for answer in answers] == [200] * 6
    answers.append(ask(served, image, wait=0))
    assert len({answer.text for answer in answers}) == 1
    assert bright.scalar("SELECT count(*) FROM explanation") == 1


def test_a_new_head_is_explained_anew(served: TestClient, bright: TestStore) -> None:
    (image,) = stored(served, scan(5), wait=60)
    before = ask(served, image).json()
    with transaction(bright.sessions) as session:
        session.execute(text("UPDATE head SET stage = 'archived' WHERE task = 'bright'"))
    register(bright, Rule(0.5, direction=-1), stage=Stage.LIVE)
    after = ask(served, image).json()
    assert after["head"]["version"] == before["head"]["version"] + 1
    np.testing.assert_allclose(after["regions"][0]["heat"], -np.array(before["regions"][0]["heat"]), atol=1e-5)
    assert bright.scalar("SELECT count(*) FROM explanation") == 2


def test_an_explanation_goes_with_its_image(served: TestClient, bright: TestStore) -> None:
    (image,) = stored(served, scan(6), wait=60)
    assert ask(served, image).status_code == 200
    assert served.delete(f"/v1/images/{image['id']}").status_code == 204
    assert bright.scalar("SELECT count(*) FROM explanation") == 0
    is_problem(ask(served, image), 404)


def test_every_page_of_a_file_is_explained(served: TestClient) -> None:
    pages = [Image.open(io.BytesIO(scan(seed, light=light))) for seed, light in ((7, 0.3), (8, 0.6), (9, 0.5))]
    content = encode(pages[0], "TIFF", save_all=True, append_images=pages[1:])
    (image,) = stored(served, content, wait=60)
    body = ask(served, image).json()
    assert [one["region"]["frame"] for one in body["regions"]] == [0, 1, 2]
    numbers = np.load(io.BytesIO(ask(served, image, format="npy").content))
    assert numbers.dtype == np.float32
    np.testing.assert_allclose(numbers, [one["heat"] for one in body["regions"]], atol=1e-6)
    loudest = max(body["regions"], key=lambda one: one["log_odds"])["region"]["frame"]
    assert ask(served, image, format="png").content == ask(served, image, format="png", frame=loudest).content
    assert "Frame 3" in is_problem(ask(served, image, format="png", frame=3), 422)["detail"]


# Pictures


def test_a_picture_is_what_was_asked_for(served: TestClient) -> None:
    (image,) = stored(served, scan(10), wait=60)
    shown = picture_of(ask(served, image, format="png", width=300))
    assert shown.width == 300
    assert shown.height > 300  # square, with a legend below
    assert picture_of(ask(served, image, format="png")).width == 448
    url = f"/v1/images/{image['id']}/explanation/bright"
    assert picture_of(served.get(url, headers={"Accept": "image/png"})).mode == "RGB"
    assert served.get(url, headers={"Accept": "*/*"}).json()["task"] == "bright"
    over, alone = (ask(served, image, format="png", overlay=overlay).content for overlay in ("true", "false"))
    assert over != alone


# What cannot be explained


def test_without_a_live_head_there_is_nothing_to_explain(client: TestClient, bright: TestStore) -> None:
    with transaction(bright.sessions) as session:
        tasks.create(session, "dull", "Is it?", list(CLASSES), POSITIVE, author="test")
    (image,) = stored(client, scan(1))
    assert "no live head" in is_problem(ask(client, image, task="dull"), 409)["detail"]


def test_an_unknown_image_or_task_is_named(client: TestClient, bright: TestStore) -> None:
    (image,) = stored(client, scan(1))
    is_problem(ask(client, image, task="no-such-task"), 404)
    is_problem(ask(client, {"id": "00000000-0000-7000-8000-000000000000"}), 404)


def test_without_a_worker_the_remedy_is_named(client: TestClient, bright: TestStore) -> None:
    (image,) = stored(client, scan(1))
    answer = ask(client, image)
    assert "penumbra worker" in is_problem(answer, 503)["detail"]
    assert "Retry-After" in answer.headers


def test_a_scan_that_cannot_be_decoded_cannot_be_explained(served: TestClient) -> None:
    half = encode(Image.open(io.BytesIO(scan(1))).resize((96, 96)))
    answer = upload(served, half[: len(half) // 2], wait=60)
    (image,) = answer.json()["images"]
    assert image["state"] == "failed"
    assert "no features to explain" in is_problem(ask(served, image), 409)["detail"]


def test_who_does_not_wait_is_told_where_to_look_again(bright: TestStore, client: TestClient) -> None:
    going = threading.Event()

    def hold(batch: Any) -> None:
        assert going.wait(PATIENCE)

    with extracting(bright, FakeExtractor(FeatureSetSpec.from_dict(bright.feature_set().spec), hold)):
        (image,) = stored(client, scan(12))
        answer = ask(client, image, wait=0)
        assert answer.status_code == 202
        assert answer.json()["state"] == "pending"
        assert answer.headers["Location"] == f"/v1/images/{image['id']}/explanation/bright"
        assert answer.headers["Retry-After"] == "1"
        going.set()
        # Its vectors come first; who waits sees to it that the explanation is asked for then.
        assert ask(client, image, wait=60).status_code == 200


def test_a_failed_explanation_says_why(served: TestClient, bright: TestStore) -> None:
    (image,) = stored(served, scan(13), wait=60)
    for path in bright.settings.blobs.rglob("*"):
        if path.is_file():
            path.write_bytes(b"\x89PNG\r\n\x1a\n nothing more")
    said = is_problem(ask(served, image, wait=60), 409)["detail"]
    assert "The explanation failed" in said
    assert is_problem(ask(served, image, wait=0), 409)["detail"] == said


def test_a_worker_that_was_too_slow_stores_nothing(bright: TestStore, client: TestClient) -> None:
    with extracting(bright, FakeExtractor(FeatureSetSpec.from_dict(bright.feature_set().spec))):
        (image,) = stored(client, scan(14), wait=60)
    feature_set = bright.feature_set()
    with transaction(bright.sessions) as session:
        explanations.enqueue(session, image["id"], explanations.question(session, image["id"], "bright").head)
    with transaction(bright.sessions) as session:
        taken = explaining.take(session, [feature_set.id], worker_id=WORKER, lease_seconds=60)
    assert taken is not None
    with transaction(bright.sessions) as session:
        jobs.cancel(session, taken.claim.job_id)
    made = explaining.Made(taken.region_ids[0], "hirescam", [[1.0]], {})
    with transaction(bright.sessions) as session:
        assert not explaining.store(session, taken.claim, [made])
        assert explaining.take(session, [feature_set.id], worker_id=WORKER, lease_seconds=60) is None
    assert bright.scalar("SELECT count(*) FROM explanation") == 0
    assert bright.scalar("SELECT count(*) FROM job WHERE kind = :kind", kind=Kind.EXPLAIN) == 1


# The command


@pytest.fixture
def command(bright: TestStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Any]:
    monkeypatch.setenv("PENUMBRA_DATABASE_URL", bright.url)
    monkeypatch.setenv("PENUMBRA_DATA_DIR", str(bright.settings.data_dir))
    monkeypatch.chdir(tmp_path)
    return lambda *words: CliRunner().invoke(app, ["explain", *map(str, words), "--task", "bright"])


def test_the_command_explains_a_file_and_writes_a_picture(
    served: TestClient, command: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "scan.png").write_bytes(scan(15))
    ended = command("scan.png", "--out", "heat.png", "--width", 200)
    assert ended.exit_code == 0, ended.output
    assert "class-activation-map" in ended.stdout
    assert Image.open(io.BytesIO((tmp_path / "heat.png").read_bytes())).width == 200
    image = json.loads(command("scan.png", "--json").stdout)["image_id"]
    again = json.loads(command(image, "--json").stdout)
    assert again == ask(served, {"id": image}, wait=0).json()


def test_the_command_names_what_is_missing(client: TestClient, command: Callable[..., Any]) -> None:
    (image,) = stored(client, scan(16))
    assert "neither the id of an image nor a file" in command("nothing.png").exception.message
    assert "penumbra worker" in command(image["id"]).exception.message


# Regions


def test_a_container_is_explained_where_it_stands_in_its_frame(
    bright: TestStore, client: TestClient, sample: Callable[..., bytes]
) -> None:
    """A cut of its own: boxes are in pixels of the whole frame."""
    chosen = resolve("densenet121-container", None).spec
    with transaction(bright.sessions) as session:
        feature_set = feature_sets.ensure(session, chosen, author="test")
        session.execute(text("UPDATE head SET stage = 'archived' WHERE task = 'bright'"))
    register(bright, Rule(0.5), stage=Stage.LIVE, feature_set=feature_set)
    plain = FeatureSetSpec.from_dict(bright.feature_set().spec)
    with extracting(bright, FakeExtractor(plain), FakeExtractor(chosen)):
        (image,) = stored(client, sample(3), wait=60)
        eventually(lambda: bright.scalar("SELECT max(cardinality(serves)) FROM worker") == 2, what="a report of both")
        body = ask(client, image, wait=60).json()
    (region,) = body["regions"]
    (said,) = [p for p in image["predictions"] if p["task"] == "bright"]
    assert region["region"]["id"] == said["region"]["id"]
    assert region["region"]["box"] == said["region"]["box"]
    x, y, width, height = region["region"]["box"]
    for place in (region["hottest_cell"], region["hottest_region"]):
        left, top, wide, high = place["box"]
        assert x <= left < left + wide <= x + width
        assert y <= top < top + high <= y + height
        assert left == x + round(place["column"] * width / 7)
