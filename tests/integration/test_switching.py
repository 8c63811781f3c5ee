"""A task changes to another feature set: filled, trained on, judged, replayed, live in one step, and back."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text
from typer.testing import CliRunner

from app import vectors
from app.cli import app
from app.db import transaction
from app.errors import AppError, Conflict, HeadRefused, InvalidInput, NotFound
from app.models import FeatureSet, FeatureStage, Head, Stage
from app.services import feature_set_removal, registry, switching, tasks
from app.services.switching import State, Step, Wish
from tests.conftest import FakeExtractor, TestStore, extracting, training
from tests.integration.fabricated import TASK, Archive, Rule, archive, register
from tests.integration.rows import embed
from tests.integration.second import SECOND, coverage, registered
from tests.integration.teaching import ended, fill, promote, train
from tests.waiting import eventually

FIRST = "densenet121-xray"
GOOD = Rule(0.5)


def advance(store: TestStore, **wish: Any) -> Step:
    with transaction(store.sessions) as session:
        return switching.advance(
            session, Wish(TASK, SECOND.name, **wish), margin=0.005, author="test"
        )  # fmt: skip


def of_task(store: TestStore) -> tuple[str, str, str]:
    """The task's feature set, that set's stage, and the live head's feature set."""
    with transaction(store.sessions) as session:
        task = tasks.named(session, TASK)
        chosen = session.get_one(FeatureSet, task.feature_set_id)
        live = tasks.live_head(session, TASK)
        assert live is not None
        return chosen.name, chosen.stage, session.get_one(FeatureSet, live.feature_set_id).name


@pytest.fixture
def lit(store: TestStore) -> Archive:
    """Labelled images in both sets; a fabricated head is live on the first, a candidate is there on the second."""
    made = archive(store, 40)
    made.label()
    first, second = store.feature_set(), registered(store)
    embed(store, second, made.images, lights(second, made.light))
    register(store, GOOD, stage=Stage.LIVE, evidence=made.evidence(GOOD))
    register(store, GOOD, feature_set=second, evidence=made.evidence(GOOD))
    with transaction(store.sessions) as session:
        tasks.named(session, TASK).feature_set_id = first.id
    return made


def lights(feature_set: FeatureSet, light: Any) -> vectors.Vectors:
    found = np.zeros((len(light), feature_set.avg_dim), np.float32)
    found[:, 0] = light
    return found


def replayed(store: TestStore, step: Step) -> None:
    """Let a training worker do the replay that a step waits for."""
    assert step.job is not None
    job = step.job.id
    with training(store):
        eventually(
            lambda: store.scalar("SELECT state FROM job WHERE id = :id", id=job) == "succeeded", what="the replay"
        )


# A head that is there already


def test_a_candidate_goes_live_after_its_replay_and_agreement(store: TestStore, lit: Archive) -> None:
    step = advance(store, version=2)
    assert (step.state, step.head and step.head.version) == (State.REPLAYING, 2)
    assert advance(store, version=2).job.id == step.job.id  # type: ignore[union-attr]
    replayed(store, step)
    ready = advance(store, version=2)
    assert ready.state is State.READY
    assert ready.standing is not None
    assert ready.standing.replay.regions == 40
    assert of_task(store) == (FIRST, "live", FIRST)
    assert advance(store, version=2, agreed=True).state is State.SWITCHED
    assert of_task(store) == (SECOND.name, "live", SECOND.name)
    again = advance(store, agreed=True)
    assert (again.state, again.head and again.head.version) == (State.SWITCHED, 2)
    assert store.scalar("SELECT count(*) FROM audit_event WHERE action = 'task.switch'") == 1


def switched(store: TestStore) -> None:
    replayed(store, advance(store, version=2))
    assert advance(store, version=2, agreed=True).state is State.SWITCHED


def test_a_rollback_brings_the_former_set_back(store: TestStore, lit: Archive) -> None:
    with transaction(store.sessions) as session:
        head = session.query(Head).filter_by(task=TASK, version=1).one()
        session.execute(
            text("INSERT INTO promotion (task, head_id, author) VALUES (:task, :id, 'test')"),
            {"task": TASK, "id": head.id},
        )
    switched(store)
    with transaction(store.sessions) as session:  # nobody needs the former one meanwhile
        feature_set_removal.retire(session, FIRST, configured=None, author="test") if unused(session) else None
        registry.rollback(session, TASK, author="test")
    assert of_task(store) == (FIRST, "live", FIRST)


def unused(session: Any) -> bool:
    """Let no other task need the first set."""
    session.execute(text("UPDATE task SET feature_set_id = NULL WHERE name <> :task"), {"task": TASK})
    session.execute(text("UPDATE head SET stage = 'archived' WHERE stage = 'live' AND task <> :task"), {"task": TASK})
    return True


def test_an_incomplete_set_needs_a_reason(store: TestStore, lit: Archive) -> None:
    with transaction(store.sessions) as session:
        session.execute(
            text(
                "DELETE FROM embedding WHERE feature_set_id = (SELECT id FROM feature_set WHERE name = :name) "
                "AND region_id = :region"
            ),
            {"name": SECOND.name, "region": int(lit.regions[0])},
        )
    with pytest.raises(Conflict, match="1 of 40 images are still to be extracted"):
        advance(store, version=2)
    with pytest.raises(InvalidInput, match="State a reason"):
        advance(store, version=2, incomplete="  ")
    assert advance(store, version=2, incomplete="the last one is on its way").state is State.REPLAYING


def test_images_that_failed_here_and_not_there_make_a_set_incomplete(store: TestStore, lit: Archive) -> None:
    second = registered(store)
    with transaction(store.sessions) as session:
        session.execute(
            text("DELETE FROM embedding WHERE feature_set_id = :fs AND region_id = :region"),
            {"fs": second.id, "region": int(lit.regions[0])},
        )
        session.execute(
            text(
                "INSERT INTO job (id, kind, state, image_id, feature_set_id) "
                "VALUES (gen_random_uuid(), 'extract', 'failed', :image, :fs)"
            ),
            {"image": lit.images[0], "fs": second.id},
        )
    with pytest.raises(Conflict, match="1 failed that the task's present set has"):
        advance(store, version=2)
    with transaction(store.sessions) as session:  # what no set can read is nothing that the new one lacks
        session.execute(text("DELETE FROM embedding WHERE region_id = :region"), {"region": int(lit.regions[0])})
    assert advance(store, version=2).state is State.REPLAYING


def test_a_set_of_another_kind_or_that_is_retired_is_refused(store: TestStore, lit: Archive) -> None:
    with transaction(store.sessions) as session:
        tasks.named(session, TASK).profile = "chest"
        session.execute(text("UPDATE feature_set SET profile = 'container' WHERE name = :name"), {"name": SECOND.name})
    with pytest.raises(Conflict, match="about chest scans"):
        advance(store, version=2)
    with transaction(store.sessions) as session:
        session.execute(text("UPDATE feature_set SET stage = 'retired' WHERE name = :name"), {"name": SECOND.name})
    with pytest.raises(Conflict, match="is retired"):
        advance(store, version=2)


def test_heads_that_cannot_go_live_there_are_refused(store: TestStore, lit: Archive) -> None:
    with pytest.raises(Conflict, match="does not read feature set"):
        advance(store, version=1)
    with pytest.raises(NotFound, match="version 9"):
        advance(store, version=9)
    inverted = register(store, Rule(0.5, direction=-1), feature_set=registered(store))
    assert inverted
    with pytest.raises(HeadRefused, match="polarity"):
        advance(store, version=3)
    with transaction(store.sessions) as session:
        failed = session.query(Head).filter_by(task=TASK, version=3).one()
        failed.stage = Stage.FAILED
    with pytest.raises(HeadRefused, match="is failed"):
        advance(store, version=3)


def test_a_plain_promotion_into_a_set_that_is_being_filled_is_refused(store: TestStore, lit: Archive) -> None:
    with transaction(store.sessions) as session, pytest.raises(Conflict, match="features switch bright second"):
        registry.promote(session, registry.numbered(session, TASK, 2).id, author="test")


def test_a_task_without_a_live_head_changes_at_once(store: TestStore) -> None:
    archive(store, 2, feature_set=registered(store))
    step = advance(store)
    assert (step.state, step.head) == (State.SWITCHED, None)
    with transaction(store.sessions) as session:
        chosen = session.get_one(FeatureSet, tasks.named(session, TASK).feature_set_id)
        assert (chosen.name, chosen.stage) == (SECOND.name, FeatureStage.LIVE)


def test_a_replay_across_cuts_holds_an_images_regions_against_its_worst_decision(
    store: TestStore, lit: Archive
) -> None:
    other = registered(store, replace(SECOND, name="cutting", weights_digest="8" * 64), cut="container-1")
    with transaction(store.sessions) as session:
        session.execute(
            text(
                """
                INSERT INTO region (image_id, cut, ordinal, x, y, width, height)
                SELECT image_id, 'container-1', n, 0, 0, 9, 9 FROM region, generate_series(0, 1) n WHERE cut = 'frame'
                """
            )
        )
        rows = session.execute(
            text(
                "SELECT c.id, f.id AS frame FROM region c JOIN region f ON f.image_id = c.image_id AND f.cut = 'frame' "
                "WHERE c.cut = 'container-1' ORDER BY c.id"
            )
        ).all()
        light = dict(zip(lit.regions.tolist(), lit.light.tolist(), strict=True))
        avg = lights(other, np.array([light[row.frame] for row in rows]))
        regions = np.array([row.id for row in rows])
        vectors.copy_in(session, other, vectors.Rows(regions, avg, np.zeros_like(avg)), engine="test")
        other.stage = FeatureStage.LIVE
        session.merge(other)
        from app.services import prediction

        live = tasks.live_head(session, TASK)
        assert live is not None
        stored = vectors.copy_out(session, store.feature_set())
        assert prediction.score(session, prediction.LoadedHeads(), [live], stored) == 40
    head = register(store, Rule(0.6), feature_set=other)
    with transaction(store.sessions) as session:
        from app.services import replay

        job = replay.request(session, head, author="test")
    replayed(store, Step(State.REPLAYING, job=job))
    with transaction(store.sessions) as session:
        found = replay.latest(session, head)
    moved = int(((lit.light > 0.5) & (lit.light < 0.6)).sum())
    assert (found.regions, found.flips["light"]["dark"], found.flipped) == (80, 2 * moved, 2 * moved)


# The whole way, with workers


@pytest.fixture
def house(store: TestStore, client: TestClient, extractor: FakeExtractor) -> Iterator[TestClient]:
    """Both workers, labelled scans, and a trained live head on the first set."""
    with extracting(store, extractor, FakeExtractor(SECOND)), training(store):
        fill(client)
        assert promote(client, train(client), override="few rows").status_code == 200
        yield client


def test_the_live_heads_recipe_is_trained_on_the_new_set_and_goes_live(store: TestStore, house: TestClient) -> None:
    registered(store)
    eventually(lambda: coverage(store).pending == 0, what="the backfill")
    url = f"/v1/feature-sets/{SECOND.name}/switch"
    body: dict[str, Any] = {"task": TASK, "override": "few rows"}
    seen = []
    for _ in range(10):
        answer = house.post(url, json=body)
        step = answer.json()
        seen.append((answer.status_code, step["state"]))
        if step["state"] == "ready":
            break
        assert ended(house, step["job"]["id"])["state"] == "succeeded"
    assert seen == [(202, "training"), (202, "replaying"), (200, "ready")]
    assert step["replay"]["current"]
    done = house.post(url, json=body | {"agreed": True}).json()
    assert (done["state"], done["head"]["feature_set"]) == ("switched", SECOND.name)
    with transaction(store.sessions) as session:
        first, second = registry.numbered(session, TASK, 1), registry.numbered(session, TASK, 2)
        assert first.recipe == second.recipe
    rows = "SELECT array_agg((sha256, class_name, split) ORDER BY sha256) FROM dataset_row WHERE dataset_id = :id"
    assert store.scalar(rows, id=first.dataset_id) == store.scalar(rows, id=second.dataset_id)
    assert of_task(store) == (SECOND.name, "live", SECOND.name)
    assert house.post(f"/v1/tasks/{TASK}/rollback").status_code == 200
    assert of_task(store) == (FIRST, "live", FIRST)


def test_switching_from_the_command_line(store: TestStore, house: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENUMBRA_DATABASE_URL", store.url)
    monkeypatch.setenv("PENUMBRA_DATA_DIR", str(store.settings.data_dir))
    registered(store)
    eventually(lambda: coverage(store).pending == 0, what="the backfill")

    def run(*words: str) -> Any:
        return CliRunner().invoke(app, ["features", "switch", TASK, SECOND.name, "--override", "few rows", *words])

    asked = run()
    assert isinstance(asked.exception, AppError)
    assert "decisions would flip" in asked.output
    assert isinstance(run("--json").exception, InvalidInput)
    done = run("--yes", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["live"] == 2
    assert "version 2 is live" in run("--yes").stdout
