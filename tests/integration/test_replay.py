"""A replay says every decision that a promotion would flip, and leaves all of that or nothing."""

from collections import Counter
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import numpy as np
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text

import workers.replay
from app import jobs
from app.db import transaction
from app.errors import LeaseLost
from app.features.spec import FeatureSetSpec
from app.models import Kind, Stage
from app.services import feature_sets, prediction
from app.services.prediction import LoadedHeads
from tests.conftest import TestStore, machinery, training
from tests.integration.calls import is_problem
from tests.integration.fabricated import Archive, Rule, archive, register, vectors
from tests.integration.rows import embed
from tests.integration.teaching import ended
from tests.waiting import eventually
from workers.hold import Hold
from workers.runner import Base

ROWS = 250
LIVE, CANDIDATE = Rule(0.5), Rule(0.6, review_from=0.3)


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers.replay, "BATCH_ROWS", 32)


@pytest.fixture
def filled(store: TestStore) -> Archive:
    return archive(store, ROWS)


def replayed(client: TestClient, head: UUID) -> dict[str, Any]:
    """Replay a head and wait: what the replay says."""
    answer = client.post(f"/v1/heads/{head}/replay")
    assert answer.status_code == 202, answer.text
    assert answer.headers["Location"] == f"/v1/jobs/{answer.json()['id']}"
    job = ended(client, answer.json()["id"])
    assert job["state"] == "succeeded", job
    assert job["progress"]["done"] == job["progress"]["total"]
    return dict(client.get(f"/v1/heads/{head}/replay").json())


def pages(client: TestClient, head: UUID, **query: Any) -> list[dict[str, Any]]:
    """Every flip, read page by page."""
    found: list[dict[str, Any]] = []
    while True:
        page = client.get(f"/v1/heads/{head}/replay/flips", params=query).json()
        found += page["items"]
        if page["next"] is None:
            return found
        query["cursor"] = page["next"]


def count(store: TestStore) -> tuple[object, object]:
    return store.scalar("SELECT count(*) FROM replay"), store.scalar("SELECT count(*) FROM replay_flip")


def test_a_replay_counts_and_lists_every_flip_as_brute_force_does(
    client: TestClient, store: TestStore, filled: Archive, trainer: object
) -> None:
    live = register(store, LIVE, stage=Stage.LIVE)
    head = register(store, CANDIDATE)
    said = replayed(client, head)
    before, after = LIVE.decide(filled.light), CANDIDATE.decide(filled.light)
    assert (said["against_id"], said["regions"], said["current"]) == (str(live), ROWS, True)
    counts = Counter(zip(before, after, strict=True))
    assert {(b, a): n for b, row in said["flips"].items() for a, n in row.items()} == counts
    flips = pages(client, head, limit=7)
    wrong = {int(r): (b, a) for r, b, a in zip(filled.regions, before, after, strict=True) if b != a}
    assert {f["region_id"]: (f["before"], f["after"]) for f in flips} == wrong
    assert said["flipped"] == len(flips) == len(wrong) > 20
    light = dict(zip(filled.regions.tolist(), filled.light, strict=True))
    for one in flips:
        assert one["probability_before"] == pytest.approx(float(LIVE.positive(light[one["region_id"]])), abs=1e-5)
        assert one["probability_after"] == pytest.approx(float(CANDIDATE.positive(light[one["region_id"]])), abs=1e-5)


def test_the_furthest_moved_come_first_and_a_filter_keeps_the_order(
    client: TestClient, store: TestStore, filled: Archive, trainer: object
) -> None:
    register(store, LIVE, stage=Stage.LIVE)
    head = register(store, CANDIDATE)
    replayed(client, head)
    flips = pages(client, head)
    moved = [abs(f["probability_after"] - f["probability_before"]) for f in flips]
    assert moved == sorted(moved, reverse=True)
    chosen = pages(client, head, before="light", after="review", limit=3)
    assert chosen == [f for f in flips if (f["before"], f["after"]) == ("light", "review")]
    assert 0 < len(chosen) < len(flips)


def test_a_live_head_of_another_feature_set_is_taken_at_its_stored_word(
    client: TestClient, store: TestStore, spec: FeatureSetSpec, filled: Archive, trainer: object
) -> None:
    other_spec = replace(spec, name="other", weights_digest="1" * 64)
    with transaction(store.sessions) as session:
        other = feature_sets.ensure(session, other_spec, author="test")
    seen = ROWS - 10
    embed(store, other, filled.images[:seen], vectors(other, filled.light[:seen]))
    live = register(store, LIVE, stage=Stage.LIVE, feature_set=other)
    with transaction(store.sessions) as session:
        jobs.enqueue_for_head(session, Kind.RESCORE, live, other.id)
    eventually(lambda: store.scalar("SELECT count(*) FROM prediction WHERE head_id = :h", h=live), lambda n: n == seen)
    head = register(store, CANDIDATE)
    said = replayed(client, head)
    before, after = LIVE.decide(filled.light), CANDIDATE.decide(filled.light)
    assert sum(said["flips"]["(unjudged)"].values()) == 10
    assert said["regions"] == ROWS
    assert said["flipped"] == sum(b != a for b, a in zip(before[:seen], after[:seen], strict=True))
    assert len(pages(client, head)) == said["flipped"]


def test_without_a_live_head_a_replay_says_what_the_head_decides(
    client: TestClient, store: TestStore, filled: Archive, trainer: object
) -> None:
    said = replayed(client, register(store, LIVE))
    assert said["flips"] == {"(unjudged)": dict(Counter(LIVE.decide(filled.light)))}
    assert (said["flipped"], said["against_id"]) == (0, None)


def test_augmented_copies_are_not_replayed(
    client: TestClient, store: TestStore, filled: Archive, trainer: object
) -> None:
    from app import vectors as stored

    feature_set = store.feature_set()
    with transaction(store.sessions) as session:
        avg = vectors(feature_set, 1 - filled.light)
        rows = stored.Rows(filled.regions, avg, np.zeros((ROWS, feature_set.max_dim), np.float32))
        stored.copy_in(session, feature_set, rows, engine="test", augmentation=1)
    assert replayed(client, register(store, LIVE))["regions"] == ROWS


def test_a_deleted_image_takes_its_flip_along(
    client: TestClient, store: TestStore, filled: Archive, trainer: object
) -> None:
    register(store, LIVE, stage=Stage.LIVE)
    head = register(store, CANDIDATE)
    replayed(client, head)
    first = pages(client, head)[0]
    assert client.delete(f"/v1/images/{first['image_id']}").status_code == 204
    assert first["region_id"] not in {one["region_id"] for one in pages(client, head)}


# Interrupted


def test_a_cancelled_replay_leaves_nothing(
    client: TestClient, store: TestStore, filled: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(store, LIVE, stage=Stage.LIVE)
    head = register(store, CANDIDATE)
    job = client.post(f"/v1/heads/{head}/replay").json()
    really_ask = prediction.ask

    def cancel_in_between(*arguments: Any, **options: Any) -> Any:
        client.delete(f"/v1/jobs/{job['id']}")
        return really_ask(*arguments, **options)

    monkeypatch.setattr(prediction, "ask", cancel_in_between)
    with training(store):
        eventually(lambda: client.get(f"/v1/jobs/{job['id']}").json()["state"], lambda state: state == "cancelled")
    assert count(store) == (0, 0)
    is_problem(client.get(f"/v1/heads/{head}/replay"), 404)


def test_a_worker_that_lost_its_lease_hands_nothing_in_and_the_next_one_does(
    client: TestClient, store: TestStore, filled: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a kill and a restart, or a pause longer than the lease."""
    register(store, LIVE, stage=Stage.LIVE)
    head = register(store, CANDIDATE)
    job = client.post(f"/v1/heads/{head}/replay").json()
    with machinery(store) as base:
        _lose_the_lease(store, base, monkeypatch)
    assert count(store) == (0, 0)
    with training(store):
        assert ended(client, job["id"])["state"] == "succeeded"
    assert count(store)[0] == 1


def _lose_the_lease(store: TestStore, base: Base, monkeypatch: pytest.MonkeyPatch) -> None:
    with transaction(store.sessions) as session:
        (claim,) = jobs.claim(session, [Kind.REPLAY], worker_id=base.worker_id, limit=1, lease_seconds=60)

    def steal(*arguments: Any, **options: Any) -> set[UUID]:
        monkeypatch.setattr(jobs, "hold", really_hold)
        with transaction(store.sessions) as other:
            other.execute(
                text("UPDATE job SET state = 'queued', lease_token = NULL, lease_until = NULL WHERE id = :id"),
                {"id": claim.job_id},
            )
        return really_hold(*arguments, **options)

    really_hold = jobs.hold
    monkeypatch.setattr(jobs, "hold", steal)
    with pytest.raises(LeaseLost, match="not stored"):
        workers.replay.replay(base, LoadedHeads(), claim, Hold(base, claim))


def test_a_replay_that_cannot_be_stored_is_not_half_stored(
    client: TestClient, store: TestStore, filled: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(store, LIVE, stage=Stage.LIVE)
    head = register(store, CANDIDATE)
    job = client.post(f"/v1/heads/{head}/replay").json()
    monkeypatch.setattr(jobs, "finish", lambda *_: (_ for _ in ()).throw(RuntimeError("no room")))
    with training(store):
        assert "no room" in ended(client, job["id"])["error"]["message"]
    assert count(store) == (0, 0)


# Asking


def test_a_replay_that_waits_is_not_queued_twice(client: TestClient, store: TestStore, filled: Archive) -> None:
    head = register(store, CANDIDATE)
    first, second = (client.post(f"/v1/heads/{head}/replay").json() for _ in range(2))
    assert first["id"] == second["id"]
    assert (first["kind"], first["state"]) == ("replay", "queued")


def test_what_cannot_be_replayed_says_why(client: TestClient, store: TestStore, filled: Archive) -> None:
    live = register(store, LIVE, stage=Stage.LIVE)
    assert "is live" in is_problem(client.post(f"/v1/heads/{live}/replay"), 409)["detail"]
    for path in ("replay", "replay/flips"):
        is_problem(client.get(f"/v1/heads/{uuid4()}/{path}"), 404)
        assert "never replayed" in is_problem(client.get(f"/v1/heads/{live}/{path}"), 404)["detail"]
    is_problem(client.post(f"/v1/heads/{uuid4()}/replay"), 404)


def test_a_broken_head_fails_its_replay_with_the_reason(
    client: TestClient, store: TestStore, filled: Archive, trainer: object
) -> None:
    head = register(store, b"no graph at all")
    job = ended(client, client.post(f"/v1/heads/{head}/replay").json()["id"])
    assert (job["state"], job["error"]["code"], job["attempts"]) == ("failed", "head-refused", 1)
    assert count(store) == (0, 0)
