"""Networks trained by the real training worker, on scans of a store, from the request to a head on what they became."""

import json
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text
from typer.testing import CliRunner

from app.cli import app
from app.db import transaction
from app.features.backbones import make_spec
from app.features.spec import Features, FeatureSetSpec
from app.features.weights import resolve_spec
from app.features.weights.arrays import write_arrays
from app.models import BackboneTraining, FeatureStage, Head, Stage
from app.services import backbones, feature_sets, gate
from app.services.reports import report
from tests.conftest import TestStore, _running, extracting, machinery, training
from tests.integration import teaching
from tests.integration.calls import is_problem, scan, stored
from tests.integration.processes import running
from tests.integration.test_training_worker import TRAIN, state
from tests.waiting import PATIENCE, eventually
from workers.extract import ExtractionWorker
from workers.roster import Roster
from workers.runner import beating

SCANS, SIDE = 56, 64
TASK = {"name": "bright", "question": "Is it?", "classes": ["dark", "light"], "positive": "light"}
TINY = {"task": "bright", "dataset": "bright", "epochs": 3, "copies": 1, "rate": 1e-3, "batch": 16}


class Network:
    """A small network as an extractor: what the extraction worker would load from the installed weights."""

    engine = "keras/fp32"

    def __init__(self, store: TestStore, spec: FeatureSetSpec) -> None:
        from app.features import backbone

        self.spec = spec
        body = backbone.load_body(resolve_spec(spec, None, store.settings.weights_dir))
        self._run = backbone.forward(backbone.assemble(body, spec))

    def extract(self, batch: Any) -> Features:
        avg, peak = self._run(batch)
        return Features(avg, peak)

    def feature_map(self, batch: Any) -> Any:
        raise NotImplementedError


def random_network(store: TestStore) -> FeatureSetSpec:
    """A live feature set `tiny` of a network that was never trained."""
    import keras

    from app.features import backbone
    from app.features.finetuning.network import arrays

    keras.utils.set_random_seed(3)
    digest = write_arrays(arrays(backbone.new_body("small-cnn-150", (SIDE, SIDE))), store.settings.weights_dir)
    spec = make_spec("tiny", "small-cnn-150", digest, input_size=SIDE)
    with transaction(store.sessions) as session:
        feature_sets.named(session, "densenet121-xray").stage = FeatureStage.RETIRED
        feature_sets.ensure(session, spec, author="test")
    return spec


@pytest.fixture
def labelled(store: TestStore, client: TestClient) -> FeatureSetSpec:
    """Scans of two lights, two of each subject, with vectors by `tiny`, frozen as `bright`."""
    spec = random_network(store)
    assert client.post("/v1/tasks", json=TASK).status_code == 201
    with extracting(store, Network(store, spec)):  # type: ignore[arg-type]
        images = stored(client, *(scan(n, light=(0.42, 0.58)[n // 2 % 2]) for n in range(SCANS)))
        unready = "SELECT count(*) FROM embedding"
        eventually(lambda: store.scalar(unready) == SCANS, what="the vectors")
    with transaction(store.sessions) as session:
        for number, image in enumerate(images):
            session.execute(
                text("UPDATE image SET subject = :subject WHERE id = :id"),
                {"subject": f"s{number // 2}", "id": image["id"]},
            )
    for number, image in enumerate(images):
        teaching.label(client, image, ("dark", "light")[number // 2 % 2])
    body = {
        "name": "bright", "task": "bright", "feature_set": "tiny", "duplicate_bound": None,
        "split": {"method": "subject", "train": 0.6, "validation": 0.2, "test": 0.2},
    }  # fmt: skip
    frozen = client.post("/v1/datasets", json=body)
    assert frozen.status_code == 201, frozen.text
    return spec


@pytest.fixture
def trainer(store: TestStore) -> Iterator[Any]:
    with training(store) as base:
        yield base


def ask(client: TestClient, name: str, **changes: Any) -> dict[str, Any]:
    answer = client.post("/v1/backbones", json={"name": name, **TINY, **changes})
    assert answer.status_code == 202, answer.text
    return dict(answer.json())


def made(client: TestClient, name: str, **changes: Any) -> dict[str, Any]:
    job = teaching.ended(client, ask(client, name, **changes)["job"]["id"])
    assert job["state"] == "succeeded", job
    return dict(client.get(f"/v1/backbones/{name}").json())


@contextmanager
def extracting_all(store: TestStore) -> Iterator[None]:
    """An extraction worker that serves every feature set, those too that come to be meanwhile."""
    with machinery(store) as base:
        roster = Roster(
            lambda stored: (Network(store, FeatureSetSpec.from_dict(stored.spec)), 16), ThreadPoolExecutor(1, "build")
        )
        with transaction(base.sessions) as session:
            roster.open(roster.wanted(session))
        worker = ExtractionWorker(base, roster, store.blobs)
        with beating(base, "extract", report=worker.report), _running(base, worker.run):
            yield


def test_one_command_tunes_fills_trains_and_compares_where_nothing_has_looked(
    store: TestStore, client: TestClient, labelled: FeatureSetSpec, trainer: object, monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:  # fmt: skip
    monkeypatch.setenv("PENUMBRA_DATABASE_URL", store.url)
    monkeypatch.setenv("PENUMBRA_DATA_DIR", str(store.settings.data_dir))
    before = teaching.train(client, dataset="bright")  # gone on from: the dataset validates on rows of its own
    words = "backbone train tuned --task bright --dataset bright --epochs 3 --copies 1 --rate 1e-3 --batch 16"
    with extracting_all(store):
        told = json.loads(command(*words.split(), "--wait", "--json"))
    zero = told["report"]["step_zero"]
    assert zero["decisions_changed"] == 0
    assert zero["accuracy"] == zero["stored_accuracy"]
    assert [point["epoch"] for point in told["epochs"]] == list(range(len(told["epochs"])))
    assert [one["when"] for one in told["heads"]] == ["before", "after"]
    assert told["heads"][0]["version"] == before["version"]
    tested = {one["figures"]["rows"] for one in told["heads"]}
    with transaction(store.sessions) as session:
        feature_set = feature_sets.named(session, "tuned")
        source = backbones.dataset_of(session, backbones.named(session, "tuned"))
    assert tested == {sum(source.counts["test"].values())}
    spec = FeatureSetSpec.from_dict(feature_set.spec)
    assert replace(spec, name="tiny", weights_digest=labelled.weights_digest) == labelled
    assert (feature_set.stage, feature_set.origin["kind"]) == ("filling", "fine-tuned")
    assert (feature_set.origin["parent"], feature_set.origin["dataset"]) == ("tiny", "bright@1")
    says_so(store, client)
    judges_by_test_rows(store, [before["id"], client.get("/v1/tasks/bright/heads").json()[0]["id"]])
    refuses_leaks(client)
    assert "tuned" in command("backbone", "list")
    assert "Step zero: accuracy" in command("backbone", "show", "tuned", "--plot", str(tmp_path / "curve.png"))
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")


def command(*words: str) -> str:
    ended = CliRunner().invoke(app, words)
    assert ended.exit_code == 0, (ended.output, ended.exception)
    return ended.stdout


def says_so(store: TestStore, client: TestClient) -> None:
    """The report and the card of a head on a network that has seen the labels."""
    newest = client.get("/v1/tasks/bright/heads").json()[0]
    with transaction(store.sessions) as session:
        notes = report(session, newest["id"])["notes"]
    assert any("fine-tuned on labels of" in note for note in notes)
    card = store.scalar("SELECT card FROM head WHERE id = :id", id=newest["id"])
    assert "figure to trust is that of test rows" in str(card)


def judges_by_test_rows(store: TestStore, heads: list[str]) -> None:
    """The gate compares the two on the rows that neither they nor the network have seen, and on no others."""
    with transaction(store.sessions) as session:
        live, tuned = (session.get_one(Head, UUID(one)) for one in heads)
        live.stage = Stage.LIVE
        session.flush()
        by_name = {check.name: check for check in gate.checks(session, tuned)}
        rows = session.scalar(text("SELECT count(*) FROM dataset_row WHERE split = 'test' AND dataset_id = :id"),
                              {"id": tuned.dataset_id})  # fmt: skip
        assert f"on {rows} rows (the shared test)" in by_name["auc"].says
        session.execute(text("DELETE FROM test_score WHERE head_id = :id"), {"id": tuned.id})
        by_name = {check.name: check for check in gate.checks(session, tuned)}
        assert by_name["auc"].passed is None  # out of fold nothing is left that the network has not seen
        session.rollback()


def refuses_leaks(client: TestClient) -> None:
    """No head is tested, and no network trained, where the network has learned from the test rows."""
    leaking = {"name": "other", "task": "bright", "feature_set": "tuned", "duplicate_bound": None, "split": {"seed": 5}}
    assert client.post("/v1/datasets", json=leaking).status_code == 201
    refused = is_problem(client.post("/v1/tasks/bright/heads", json=teaching.RECIPE | {"dataset": "other"}), 409)
    assert "was trained on" in refused["detail"]
    assert "--like bright@1" in refused["detail"]
    is_problem(client.post("/v1/backbones", json={"name": "further", **TINY, "dataset": "other"}), 409)


def test_a_network_from_scratch_can_be_cancelled_and_its_name_used_again(
    store: TestStore, client: TestClient, labelled: FeatureSetSpec, trainer: object
) -> None:
    scratch = {"scratch": "small-cnn-150", "rate": 3e-3}
    job = ask(client, "small", **scratch, epochs=200, patience=200)["job"]["id"]
    curve = lambda: len(client.get("/v1/backbones/small").json()["epochs"])  # noqa: E731
    eventually(lambda: curve() >= 2, what="an epoch")
    is_problem(client.post("/v1/backbones", json={"name": "small", **TINY}), 409)
    assert client.delete(f"/v1/jobs/{job}").json()["state"] == "cancelled"
    told = made(client, "small", **scratch, epochs=2)
    assert curve() == 3
    assert told["report"]["step_zero"] is None
    assert told["recipe"]["architecture"] == "small-cnn-150"
    assert [one["name"] for one in client.get("/v1/backbones").json()] == ["small"]
    if told["feature_set"]:  # two epochs need not beat chance
        with transaction(store.sessions) as session:
            feature_set = feature_sets.named(session, "small")
        assert feature_set.origin["kind"] == "from-scratch"
        assert feature_set.origin["parent"] is None
        assert feature_set.spec["input_size"] == 150


def test_a_training_that_was_killed_goes_on_from_its_last_checkpoint(
    store: TestStore, client: TestClient, labelled: FeatureSetSpec, tmp_path: Path
) -> None:
    asked = ask(client, "tuned", epochs=15, patience=40)
    training_id, job = asked["id"], asked["job"]["id"]

    def seconds() -> list[float]:
        with transaction(store.sessions) as session:
            points = session.get_one(BackboneTraining, training_id).epochs
        return [point["seconds"] for point in points if point["epoch"]]

    with running(TRAIN, store.settings, tmp_path / "log", lease_seconds="2") as first:
        eventually(lambda: len(seconds()) >= 2, what="two epochs", every=0.02)
        first.send_signal(signal.SIGKILL)
        first.wait(timeout=PATIENCE)
    kept = seconds()
    with training(store):
        eventually(lambda: state(store, job)[0] == "succeeded", what="the training")
    assert len(seconds()) == 15
    assert seconds()[: len(kept)] == kept  # measured once, by the first worker
    assert "Traceback" not in (tmp_path / "log").read_text()


def test_what_cannot_be_trained_is_refused_at_once(
    client: TestClient, store: TestStore, labelled: FeatureSetSpec
) -> None:
    refusals: list[tuple[dict[str, Any], int, str]] = [
        ({"scratch": "small-cnn-99"}, 422, "small-cnn-150 or small-cnn-224"),
        ({"feature_set": "densenet121-xray"}, 422, "is not of feature set"),
        ({"name": "tiny"}, 409, "There is a feature set tiny already"),
        ({"blocks": 4}, 422, "blocks"),
        ({"dataset": "none"}, 404, "no dataset none"),
        ({"dataset": "few"}, 422, "label 8 scans or more of each class and 20 in all"),
    ]
    few = {"name": "few", "task": "bright", "feature_set": "tiny", "selection": {"limit": 12}}
    assert client.post("/v1/datasets", json=few | {"allow_leaks": True, "duplicate_bound": None}).status_code == 201
    for changes, status, says in refusals:
        refused = is_problem(client.post("/v1/backbones", json={"name": "tuned", **TINY, **changes}), status)
        assert says in refused["detail"]
