"""Filling a feature set behind the live one: from what is missing, in portions, slowed, paused, never twice."""

import time
from datetime import timedelta
from uuid import UUID

import numpy as np
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text

from app.claims import Priority
from app.db import transaction
from app.errors import Conflict, InvalidInput, NotFound
from app.models import FeatureSet, FeatureStage
from app.services import backfill, feature_sets, feeding
from app.services.backfill import Coverage
from app.services.feeding import Laps
from tests.conftest import FakeExtractor, TestStore, extracting
from tests.integration.calls import scan, stored
from tests.integration.rows import add_images, add_numbered, embed, keep_file, queue
from tests.integration.second import SECOND, coverage, registered, vectors_in
from tests.waiting import eventually


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def feed(store: TestStore, laps: Laps | None = None, priority: int = Priority.BACKFILL) -> int:
    """Feed all sets once; how many jobs of a priority that made: what the live set lacks comes with another one."""
    count = "SELECT count(*) FROM job WHERE priority = :priority"
    before = int(str(store.scalar(count, priority=int(priority))))
    with transaction(store.sessions) as session:
        feeding.feed(session, laps or Laps())
    return int(str(store.scalar(count, priority=int(priority)))) - before


def queued(store: TestStore, feature_set: FeatureSet) -> list[UUID]:
    """Images that wait for a feature set, in the order in which they are due."""
    query = text(
        "SELECT image_id FROM job WHERE kind = 'extract' AND state = 'queued' AND feature_set_id = :id "
        "ORDER BY priority, run_after, image_id"
    )
    with transaction(store.sessions) as session:
        return list(session.scalars(query, {"id": feature_set.id}))


def numbered(store: TestStore, count: int, **columns: object) -> list[UUID]:
    """Images in the order of their ids: those of one millisecond are numbered at random."""
    return sorted(add_numbered(store.sessions, count, **columns))  # type: ignore[arg-type]


@pytest.fixture
def first(store: TestStore) -> FeatureSet:
    return store.feature_set()


@pytest.fixture
def second(store: TestStore) -> FeatureSet:
    return registered(store)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Portions of four images, found in windows of three."""
    monkeypatch.setattr(feeding, "MOST_QUEUED", 4)
    monkeypatch.setattr(feeding, "WINDOW", 3)


def test_old_images_are_extracted_into_a_filling_set_and_nobody_waits_for_it(
    store: TestStore, client: TestClient, extractor: FakeExtractor
) -> None:
    with extracting(store, extractor, FakeExtractor(SECOND)):
        images = stored(client, *(scan(seed) for seed in range(10)), wait=60)
        second = registered(store)
        assert {client.get(f"/v1/images/{image['id']}").json()["state"] for image in images} == {"ready"}
        eventually(lambda: coverage(store).done == 10, what="the backfill")
        # A new upload is ready as soon as the live set has it, and comes to the other set by itself.
        stored(client, scan(99), wait=60)
        eventually(lambda: coverage(store).done == 11, what="the new upload in the filling set")
    assert coverage(store) == Coverage(11, 11, 0)
    assert vectors_in(store, second) == 11
    assert store.scalar(
        "SELECT count(*) FROM job WHERE feature_set_id = :id AND priority <> :priority",
        id=second.id, priority=int(Priority.BACKFILL),
    ) == 0  # fmt: skip


def test_a_portion_at_a_time_is_queued_oldest_first(store: TestStore, second: FeatureSet, small: None) -> None:
    ids = numbered(store, 10)
    laps = Laps()
    assert feed(store, laps) == 4
    assert queued(store, second) == ids[:4]
    assert feed(store, laps) == 0
    store_done(store, second, ids[:3])
    assert feed(store, laps) == 3
    assert queued(store, second) == ids[3:7]


def store_done(store: TestStore, feature_set: FeatureSet, ids: list[UUID]) -> None:
    """What a worker leaves that has extracted images."""
    embed(store, feature_set, ids, np.ones((len(ids), feature_set.avg_dim), np.float32))
    with transaction(store.sessions) as session:
        session.execute(
            text(
                "UPDATE job SET state = 'succeeded', finished_at = now() "
                "WHERE image_id = ANY (:ids) AND feature_set_id = :fs"
            ),
            {"ids": ids, "fs": feature_set.id},
        )


def test_what_is_stored_queued_or_failed_is_not_queued_again(store: TestStore, second: FeatureSet) -> None:
    ids = numbered(store, 6)
    store_done(store, second, ids[:2])
    assert feed(store) == 4
    with transaction(store.sessions) as session:
        session.execute(text("UPDATE job SET state = 'failed' WHERE image_id = :id"), {"id": ids[2]})
    assert feed(store) == 0
    assert coverage(store) == Coverage(6, 2, 1)
    assert coverage(store).pending == 3


def test_jobs_that_were_lost_are_found_missing_again_by_the_next_lap(
    store: TestStore, second: FeatureSet, small: None
) -> None:
    ids = numbered(store, 4)
    laps = Laps()
    assert feed(store, laps) == 4
    with transaction(store.sessions) as session:
        session.execute(text("DELETE FROM job WHERE priority = 10"))
    assert feed(store, laps) + feed(store, laps) == 4
    assert queued(store, second) == ids


def test_a_set_that_lacks_nothing_is_not_searched_over_and_over(store: TestStore, second: FeatureSet) -> None:
    ids = numbered(store, 3)
    clock = Clock()
    laps = Laps(clock)
    store_done(store, second, ids)
    feed(store, laps)
    lap = laps.of[second.id]
    assert lap.rested > clock.now
    assert lap.after is not None
    # Images that arrive meanwhile are found at once all the same.
    add_numbered(store.sessions, 1, start=3)
    assert feed(store, laps) == 1
    # An old gap is found when the rest is over.
    with transaction(store.sessions) as session:
        session.execute(text("DELETE FROM job"))
        session.execute(text("DELETE FROM embedding WHERE feature_set_id = :id"), {"id": second.id})
    lap.after = UUID(int=2**128 - 1)
    assert feed(store, laps) == 0
    clock.now = lap.rested + 1
    assert feed(store, laps) == 4


def test_only_images_of_its_kind_or_of_none_are_for_a_set(store: TestStore) -> None:
    chest = registered(store, profile="chest")
    films = numbered(store, 2, profile="chest")
    anything = numbered(store, 2, start=2)
    add_numbered(store.sessions, 2, start=4, profile="container")
    feed(store)
    assert queued(store, chest) == films + anything
    assert coverage(store).applicable == 4


def test_a_cut_without_regions_is_missing(store: TestStore) -> None:
    other = registered(store, cut="container-1")
    ids = numbered(store, 2)
    assert feed(store) == 2
    assert queued(store, other) == ids
    assert coverage(store) == Coverage(2, 0, 0)


def test_a_live_set_catches_up_behind_uploads(store: TestStore, first: FeatureSet) -> None:
    ids = numbered(store, 3)
    queue(store, ids[1:2])
    assert feed(store, priority=feeding.CATCH_UP) == 2
    assert queued(store, first) == [ids[1], ids[0], ids[2]]


# Rate


def due_seconds(store: TestStore, feature_set: FeatureSet) -> list[float]:
    """When the queued jobs of a set are due, in seconds from the first."""
    query = text("SELECT run_after FROM job WHERE feature_set_id = :id AND state = 'queued' ORDER BY 1")
    with transaction(store.sessions) as session:
        times = list(session.scalars(query, {"id": feature_set.id}))
    return [(at - times[0]).total_seconds() for at in times]


def test_a_rate_spaces_the_jobs_and_bounds_how_many_wait(store: TestStore, second: FeatureSet) -> None:
    add_numbered(store.sessions, 30)
    with transaction(store.sessions) as session:
        backfill.start(session, SECOND.name, rate=2, author="test")
    assert feed(store) == 20
    assert due_seconds(store, second) == pytest.approx([i / 2 for i in range(20)], abs=0.001)


def test_the_next_portion_is_spaced_from_the_last_one(store: TestStore, second: FeatureSet) -> None:
    ids = numbered(store, 6)
    with transaction(store.sessions) as session:
        backfill.start(session, SECOND.name, rate=0.2, author="test")
    assert feed(store) == 2
    first_due = store.scalar("SELECT max(run_after) FROM job WHERE feature_set_id = :id", id=second.id)
    store_done(store, second, ids[:2])
    assert feed(store) == 2
    waiting = "SELECT min(run_after) FROM job WHERE state = 'queued' AND feature_set_id = :id"
    next_due = store.scalar(waiting, id=second.id)
    assert next_due - first_due == timedelta(seconds=5)  # type: ignore[operator]


def test_a_new_rate_counts_for_what_waits_already(store: TestStore, second: FeatureSet) -> None:
    add_numbered(store.sessions, 5)
    feed(store)
    assert due_seconds(store, second) == [0] * 5
    with transaction(store.sessions) as session:
        backfill.limit(session, SECOND.name, 4, author="test")
    assert due_seconds(store, second) == pytest.approx([0, 0.25, 0.5, 0.75, 1.0], abs=0.001)
    with transaction(store.sessions) as session:
        backfill.limit(session, SECOND.name, None, author="test")
    assert due_seconds(store, second) == [0] * 5


@pytest.mark.parametrize("rate", [0, -1, 1e9, float("nan")])
def test_a_rate_that_is_none_is_refused(store: TestStore, second: FeatureSet, rate: float) -> None:
    with transaction(store.sessions) as session, pytest.raises(InvalidInput, match="images a second"):
        backfill.limit(session, SECOND.name, rate, author="test")


# Pause and resume


def test_a_paused_set_is_left_alone_until_it_is_resumed(store: TestStore, extractor: FakeExtractor) -> None:
    contents = [scan(seed) for seed in range(6)]
    for content in contents:
        keep_file(store, content)
    add_images(store.sessions, contents)
    registered(store)
    with transaction(store.sessions) as session:
        assert backfill.pause(session, SECOND.name, author="test").paused
    with extracting(store, extractor, FakeExtractor(SECOND)):
        eventually(lambda: coverage(store, "densenet121-xray").done == 6, what="the live set")
        time.sleep(1.2)
        assert coverage(store).done == 0
        with transaction(store.sessions) as session:
            backfill.resume(session, SECOND.name, author="test")
        eventually(lambda: coverage(store).done == 6, what="the rest")


def test_pausing_and_resuming_twice_says_so_once(store: TestStore, second: FeatureSet) -> None:
    with transaction(store.sessions) as session:
        for act in (backfill.pause, backfill.pause, backfill.resume, backfill.resume):
            act(session, SECOND.name, author="test")
    told = "SELECT count(*) FROM audit_event WHERE action = :action"
    assert store.scalar(told, action="feature_set.pause") == 1
    assert store.scalar(told, action="feature_set.resume") == 1


def test_what_is_not_being_filled_has_no_backfill_to_pause(store: TestStore) -> None:
    with transaction(store.sessions) as session:
        for act in (backfill.pause, backfill.resume):
            with pytest.raises(Conflict, match="is live"):
                act(session, "densenet121-xray", author="test")
        with pytest.raises(Conflict, match="has no rate"):
            backfill.start(session, "densenet121-xray", rate=5, author="test")
        with pytest.raises(NotFound, match="no feature set nothing"):
            backfill.start(session, "nothing", author="test")
        assert backfill.start(session, "densenet121-xray", author="test").stage == FeatureStage.LIVE


def test_a_retired_set_is_filled_again(store: TestStore) -> None:
    retired = registered(store, stage=FeatureStage.RETIRED)
    ids = numbered(store, 2)
    assert feed(store) == 0
    with transaction(store.sessions) as session:
        assert backfill.start(session, SECOND.name, author="test").stage == FeatureStage.FILLING
    feed(store)
    assert queued(store, retired) == ids


def test_one_process_feeds_at_a_time(store: TestStore, second: FeatureSet) -> None:
    add_numbered(store.sessions, 2)
    with transaction(store.sessions) as session:
        feeding.lock(session)
        assert feed(store) == 0
    assert feed(store) == 2


def test_sets_are_looked_up_by_name(store: TestStore, second: FeatureSet) -> None:
    with transaction(store.sessions) as session:
        assert feature_sets.named(session, SECOND.name).id == second.id
        assert [one.name for one in feature_sets.stored(session)] == ["densenet121-xray", SECOND.name]
