"""One worker, several feature sets, overlapping stages: what presses goes first, and nothing slow holds up the rest."""

import threading
from collections.abc import Callable
from dataclasses import replace
from uuid import UUID

import numpy as np
import pytest
from sqlalchemy import text

import workers.decoding
from app import jobs
from app.claims import Priority
from app.db import transaction
from app.features.spec import FeatureSetSpec
from app.imaging.prepare import prepare_scan
from app.models import FeatureStage
from app.services import extraction
from app.services.extraction import Prepared
from app.services.prediction import LoadedHeads
from tests.conftest import FakeExtractor, TestStore, calling, extracting
from tests.integration.calls import scan
from tests.integration.rows import (
    WORKER,
    add_images,
    embed,
    job_states,
    keep_file,
    queue,
    second_feature_set,
    second_spec,
    stored_images,
)
from tests.waiting import PATIENCE, Gate, eventually
from workers.hand import DEPTH


def vectors_of(store: TestStore, feature_set: int) -> int:
    return int(str(store.scalar("SELECT count(*) FROM embedding WHERE feature_set_id = :id", id=feature_set)))


def queued_for(store: TestStore, feature_set: int, ids: list[UUID], priority: int = 0) -> None:
    with transaction(store.sessions) as session:
        jobs.enqueue_extractions(session, ids, [feature_set], priority=priority)


def set_column(store: TestStore, feature_set: int, assignment: str) -> None:
    with transaction(store.sessions) as session:
        session.execute(text(f"UPDATE feature_set SET {assignment} WHERE id = :id"), {"id": feature_set})


# Several feature sets


def test_one_worker_serves_two_live_feature_sets(store: TestStore, spec: FeatureSetSpec) -> None:
    other = second_feature_set(store)
    ids = stored_images(store, [scan(seed) for seed in range(12)])
    queued_for(store, other, ids)
    second = FakeExtractor(second_spec(spec))
    second.engine = "second/fp32"
    with extracting(store, FakeExtractor(spec), second):
        eventually(lambda: job_states(store) == {"succeeded": 24}, what="all extractions")
        both = "SELECT cardinality(serves) = 2 AND engine = 'fake/fp32, second/fp32' FROM worker"
        eventually(lambda: store.scalar(both), what="a report of both")
    for feature_set, engine in ((store.feature_set().id, "fake/fp32"), (other, "second/fp32")):
        made = "SELECT count(*) FROM embedding WHERE feature_set_id = :id AND engine = :engine"
        assert store.scalar(made, id=feature_set, engine=engine) == 12


def test_a_feature_set_that_is_added_while_the_worker_runs_is_noticed_and_a_retired_one_left_alone(
    store: TestStore, spec: FeatureSetSpec
) -> None:
    ids = stored_images(store, [scan(0)])
    with extracting(store, FakeExtractor(spec), FakeExtractor(second_spec(spec))):
        eventually(lambda: job_states(store) == {"succeeded": 1})
        other = second_feature_set(store, stage=FeatureStage.FILLING)
        queued_for(store, other, ids, Priority.BACKFILL)
        eventually(lambda: vectors_of(store, other) == 1, what="the new feature set's vector")
        set_column(store, other, "stage = 'retired'")
        more = stored_images(store, [scan(1)])
        queued_for(store, other, more)
        eventually(lambda: job_states(store) == {"succeeded": 3, "queued": 1})
        eventually(lambda: store.scalar("SELECT cardinality(serves) FROM worker") == 1)
    assert vectors_of(store, other) == 1


def test_a_paused_feature_set_waits_and_goes_on_when_it_is_resumed(store: TestStore, spec: FeatureSetSpec) -> None:
    other = second_feature_set(store, stage=FeatureStage.FILLING)
    set_column(store, other, "paused = true")
    ids = stored_images(store, [scan(seed) for seed in range(4)])
    queued_for(store, other, ids, Priority.BACKFILL)
    with extracting(store, FakeExtractor(spec), FakeExtractor(second_spec(spec))):
        eventually(lambda: vectors_of(store, store.feature_set().id) == 4)
        assert job_states(store) == {"succeeded": 4, "queued": 4}
        set_column(store, other, "paused = false")
        eventually(lambda: job_states(store) == {"succeeded": 8}, what="the resumed feature set")


def test_weights_that_are_missing_here_stop_only_their_own_feature_set_and_are_told_of(
    store: TestStore, extractor: FakeExtractor
) -> None:
    other = second_feature_set(store)
    ids = stored_images(store, [scan(seed) for seed in range(3)])
    queued_for(store, other, ids)
    with extracting(store, extractor), calling(store) as client:
        eventually(lambda: job_states(store) == {"succeeded": 3, "queued": 3})
        eventually(lambda: "weights" in str(client.get("/readyz").json()["checks"]["feature_sets"]))
        answer = client.get("/readyz")
    assert answer.status_code == 200
    assert answer.json()["checks"]["feature_sets"] == "other: The weights of other are not here."


# What presses goes first


def test_an_upload_waits_for_the_batch_in_the_engine_and_for_no_other(store: TestStore, spec: FeatureSetSpec) -> None:
    other = second_feature_set(store, stage=FeatureStage.FILLING)
    contents = [scan(seed) for seed in range(60)]
    for content in contents:
        keep_file(store, content)
    ids = add_images(store.sessions, contents)
    embed(store, store.feature_set(), ids, np.ones((len(ids), store.feature_set().avg_dim), np.float32))
    queued_for(store, other, ids, Priority.BACKFILL)
    gate, order = Gate(), list[str]()
    backfill = FakeExtractor(second_spec(spec), lambda batch: (order.append("backfill"), gate(batch))[0])
    uploads = FakeExtractor(spec, lambda _: order.append("upload"))
    with extracting(store, uploads, backfill):
        assert gate.reached.wait(PATIENCE)
        # Everything that there is room for is in hand, and decoded.
        full = "SELECT count(*) >= :n FROM job WHERE state = 'running'"
        eventually(lambda: store.scalar(full, n=(DEPTH - 1) * 8), what="a full hand")
        stored_images(store, [scan(100)])
        taken = "SELECT count(*) FROM job WHERE priority = 0 AND state = 'running'"
        eventually(lambda: store.scalar(taken) == 1, what="the claim of the upload")
        eventually(lambda: store.scalar("SELECT (stages -> 'stages' -> 'decode' ->> 'queue')::int = 0 FROM worker"))
        assert order == ["backfill"]
        gate.opened.set()
        eventually(lambda: vectors_of(store, other) >= 60, what="the backfill")
    assert order[1] == "upload"


def test_copies_go_before_a_backfill_and_behind_uploads() -> None:
    assert Priority.UPLOAD < Priority.COPIES < Priority.BACKFILL


# Nothing slow holds up the rest


def test_scans_that_are_slow_to_decode_do_not_hold_up_the_others(
    store: TestStore, extractor: FakeExtractor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two large scans are first in line, and nothing of them is done until all others are."""
    slow = [scan(seed) for seed in (200, 201)]
    for content in slow:
        keep_file(store, content)
    queue(store, large := add_images(store.sessions, slow, width=10_000, height=10_000))
    others = threading.Event()

    def decode(*given: object, sha256: bytes, **more: object) -> object:
        if store.scalar("SELECT width FROM image WHERE sha256 = :sha", sha=sha256) == 10_000:
            assert others.wait(2 * PATIENCE)
        return prepare_scan(*given, sha256=sha256, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(workers.decoding, "prepare_scan", decode)
    stored_images(store, [scan(seed) for seed in range(40)])
    with extracting(store, extractor):
        eventually(lambda: job_states(store) == {"succeeded": 40, "running": 2}, what="all small scans")
        others.set()
        eventually(lambda: job_states(store) == {"succeeded": 42})
    last = "SELECT max(finished_at) FROM job WHERE NOT image_id = ANY (:ids)"
    assert store.scalar(f"SELECT bool_and(finished_at > ({last})) FROM job WHERE image_id = ANY (:ids)", ids=large)


def test_what_is_in_hand_is_bounded_whatever_the_queue_holds(store: TestStore, spec: FeatureSetSpec) -> None:
    ids = stored_images(store, [scan(seed) for seed in range(60)])
    gate = Gate()
    with extracting(store, FakeExtractor(spec, gate)) as base:
        assert gate.reached.wait(PATIENCE)
        eventually(lambda: store.scalar("SELECT (stages -> 'in_hand' ->> 'scans')::int > 16 FROM worker"))
        told = store.scalar("SELECT stages FROM worker WHERE id = :id", id=base.worker_id)
        gate.opened.set()
        eventually(lambda: job_states(store) == {"succeeded": len(ids)})
    assert isinstance(told, dict)
    assert told["in_hand"]["scans"] <= DEPTH * 8
    assert told["in_hand"]["pixel_bytes"] <= DEPTH * 8 * 224 * 224 * 4


def test_scans_that_wait_keep_their_lease_and_those_in_a_hanging_engine_do_not(
    store: TestStore, spec: FeatureSetSpec
) -> None:
    short = replace(store, settings=store.settings.model_copy(update={"lease_seconds": 3.0}))
    stored_images(store, [scan(seed) for seed in range(24)])
    gate = Gate()
    with extracting(short, FakeExtractor(spec, gate)):
        assert gate.reached.wait(PATIENCE)
        in_engine = gate.batches[0]
        lost = "SELECT count(*) FROM job WHERE losses > 0"
        eventually(lambda: store.scalar(lost) == in_engine, what="the loss of the leases in the engine")
        renewed = "SELECT count(*) FROM job WHERE lease_until > started_at + interval '4 seconds'"
        eventually(lambda: store.scalar(renewed) == 24 - in_engine, what="the renewal of the others")
        gate.opened.set()
        eventually(lambda: job_states(store) == {"succeeded": 24})
    assert vectors_of(store, store.feature_set().id) == 24


# What the stages report


def test_the_stages_figures_add_up_and_are_exported(store: TestStore, spec: FeatureSetSpec) -> None:
    stored_images(store, [scan(seed) for seed in range(20)])
    broken = stored_images(store, [b"no picture"])
    with extracting(store, FakeExtractor(spec)), calling(store) as client:
        eventually(lambda: job_states(store) == {"succeeded": 20, "failed": len(broken)})
        done = "SELECT (stages -> 'stages' -> 'store' ->> 'items')::int FROM worker"
        eventually(lambda: store.scalar(done) == 21, what="a report of all")
        told = client.get("/v1/stats").json()["workers"][0]["stages"]
        metrics = client.get("/metrics").text
    items = {name: stage["items"] for name, stage in told["stages"].items()}
    assert items == {"claim": 21, "decode": 21, "forward": 20, "store": 21}
    assert all(stage["seconds"] > 0 and stage["queue"] == 0 for stage in told["stages"].values())
    assert 0 <= told["engine"]["idle_ratio"] <= 1
    assert told["engine"]["busy_seconds"] == told["stages"]["forward"]["seconds"]
    assert told["in_hand"] == {"scans": 0, "pixel_bytes": 0}
    for name in ("stage_seconds_total", "stage_items_total", "stage_queue_length"):
        assert f'penumbra_{name}{{stage="forward",worker="' in metrics
    assert 'penumbra_engine_idle_ratio{worker="' in metrics


# Regions


def cut_in_two(store: TestStore, content: bytes, feature_set: int) -> list[Prepared]:
    """A claimed scan with two regions of the feature set's cut, one of them not fit to be judged."""
    from app.imaging.prepare import Box, PreparedRegion

    image = add_images(store.sessions, [content])
    queued_for(store, feature_set, image)
    with transaction(store.sessions) as session:
        (taken,) = extraction.take(session, {feature_set: 1}, worker_id=WORKER, lease_seconds=60)
    pixels = np.zeros((1, 224, 224), np.float32)
    dark = {"steps": [], "quality": {}, "problems": [{"code": "too-dark", "message": "It is too dark."}]}
    nothing: dict[str, object] = {"steps": [], "quality": {}, "problems": []}
    regions = [
        PreparedRegion(0, 0, Box(0, 0, 30, 64), pixels, nothing),
        PreparedRegion(1, 0, Box(32, 0, 32, 64), pixels, dark),
    ]
    return [Prepared(taken, regions)]


def test_regions_of_a_cut_are_stored_once_with_what_was_found_of_them(
    store: TestStore, extractor: FakeExtractor
) -> None:
    feature_set = second_feature_set(store, profile="container")
    prepared = cut_in_two(store, b"a truck", feature_set)
    features = extractor.extract(np.random.default_rng(0).random((2, 224, 224), np.float32))
    for _ in range(2):  # as when its result is handed in, the lease is lost, and another hands in the same
        with transaction(store.sessions) as session:
            session.execute(
                text("UPDATE job SET state = 'running', lease_token = :token"), {"token": prepared[0].scan.claim.token}
            )
            stored = session.get_one(extraction.FeatureSet, feature_set)
            extraction.store(session, LoadedHeads(), stored, prepared, features, engine="e")
    assert job_states(store) == {"succeeded": 1}
    assert vectors_of(store, feature_set) == 2
    boxes = "SELECT string_agg(x || '+' || width, ' ' ORDER BY ordinal) FROM region WHERE cut = 'container-1'"
    assert store.scalar(boxes) == "0+30 32+32"
    assert store.scalar("SELECT count(*) FROM preparation") == 1
    assert store.scalar("SELECT findings -> 'problems' -> 0 ->> 'code' FROM preparation") == "too-dark"


def test_a_real_profile_goes_through_the_worker(
    store: TestStore, spec: FeatureSetSpec, sample: Callable[..., bytes]
) -> None:
    from app.imaging import Preprocessing

    feature_set = second_feature_set(store, profile="container")
    ids = stored_images(store, [sample(seed) for seed in range(3)])
    queued_for(store, feature_set, ids)
    container = replace(second_spec(spec), preprocessing=Preprocessing.of_profile("container"))
    with extracting(store, FakeExtractor(spec), FakeExtractor(container)):
        eventually(lambda: job_states(store) == {"succeeded": 6})
    regions = int(str(store.scalar("SELECT count(*) FROM region WHERE cut = 'container-1'")))
    assert regions >= 3
    assert vectors_of(store, feature_set) == regions
    assert store.scalar("SELECT count(*) FROM preparation WHERE feature_set_id = :id", id=feature_set) == regions
    with transaction(store.sessions) as session:
        queued = jobs.enqueue_extractions(session, ids, [feature_set])
        scans = extraction.take(session, {feature_set: 8}, worker_id=WORKER, lease_seconds=60)
    assert (queued, [one.codes for one in scans]) == (3, [()] * 3)
