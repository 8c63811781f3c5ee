"""The queue: every job is done once, by one worker, and none is forgotten."""

import threading
import time
from collections import Counter
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from app import jobs
from app.db import JOBS_CHANNEL, Listener, transaction
from app.errors import Conflict, LeaseLost, NotFound
from app.jobs import Claim, Priority
from app.models import Head, Job, Kind, Stage
from app.models.ids import uuid7
from app.services import extraction, reconciling
from tests.conftest import TestStore
from tests.integration.rows import WORKER, add_numbered, claimed, explained, job_states, queue, second_feature_set
from tests.waiting import PATIENCE

BROKEN = {"code": "internal", "message": "broken"}


def queued(store: TestStore, count: int, **options: int) -> list[UUID]:
    ids = add_numbered(store.sessions, count)
    queue(store, ids, **options)
    return ids


def finish(store: TestStore, claims: list[Claim]) -> set[UUID]:
    """What a worker's report is accepted for."""
    with transaction(store.sessions) as session:
        held = jobs.hold(session, claims)
        jobs.finish(session, held)
    return held


def fail(store: TestStore, claim: Claim, error: dict[str, Any] = BROKEN, *, delay: float = 0.0, most: int = 3) -> bool:
    with transaction(store.sessions) as session:
        assert jobs.hold(session, [claim]) == {claim.job_id}
        return jobs.fail(session, claim, error, max_attempts=most, delay_seconds=delay)


def lose_leases(store: TestStore, *, most: int = 3) -> int:
    """The workers that hold jobs die, and their leases end."""
    with transaction(store.sessions) as session:
        session.execute(text("UPDATE job SET lease_until = now() - interval '1 second' WHERE state = 'running'"))
        return jobs.release_expired(session, max_attempts=most)


def job(store: TestStore, job_id: UUID) -> Job:
    with transaction(store.sessions) as session:
        return session.get_one(Job, job_id)


def head_job(store: TestStore, kind: Kind = Kind.TRAIN) -> UUID:
    feature_set = store.feature_set()
    with transaction(store.sessions) as session:
        version = (session.scalar(text("SELECT max(version) FROM head WHERE task = 'empty-container'")) or 0) + 1
        head = Head(
            task="empty-container", version=version, stage=Stage.TRAINING, feature_set_id=feature_set.id,
            algorithm="none", author="test",
        )  # fmt: skip
        session.add(head)
        session.flush()
        made = jobs.enqueue_for_head(session, kind, head.id, feature_set.id)
    assert made is not None
    return made


def claim_head_job(store: TestStore) -> Claim:
    with transaction(store.sessions) as session:
        (claim,) = jobs.claim(session, [Kind.TRAIN, Kind.RESCORE], worker_id=WORKER, limit=1, lease_seconds=60)
    return claim


# Claiming


def test_a_claim_takes_as_many_as_asked_for_and_leaves_the_rest(store: TestStore) -> None:
    ids = queued(store, 5)
    first, second = claimed(store, 3), claimed(store, 3)
    assert (len(first), len(second), claimed(store, 3)) == (3, 2, [])
    assert {claim.image_id for claim in first + second} == set(ids)


def test_an_image_is_queued_once_a_feature_set_however_often_it_is_asked_for(store: TestStore) -> None:
    ids = queued(store, 3)
    queue(store, ids)
    (claim, *_) = claimed(store)
    queue(store, ids)
    fail(store, claim, {**BROKEN, "permanent": True})
    queue(store, ids)
    assert job_states(store) == {"running": 2, "failed": 1}


def test_the_database_itself_refuses_a_second_open_extraction_of_an_image(store: TestStore) -> None:
    (image,) = queued(store, 1)
    with pytest.raises(IntegrityError, match="uq_job_extract"), transaction(store.sessions) as session:
        session.add(Job(kind=Kind.EXTRACT, image_id=image, feature_set_id=store.feature_set().id))


def test_an_image_whose_extraction_succeeded_can_be_queued_again(store: TestStore) -> None:
    ids = queued(store, 1)
    finish(store, claimed(store))
    queue(store, ids)
    assert job_states(store) == {"succeeded": 1, "queued": 1}


def test_lower_priority_numbers_go_first_and_equals_in_the_order_they_came(store: TestStore) -> None:
    late, first, second, urgent = add_numbered(store.sessions, 4)
    queue(store, [late], priority=10)
    queue(store, [first])
    queue(store, [second])
    queue(store, [urgent], priority=-1)
    assert [claimed(store, 1)[0].image_id for _ in range(4)] == [urgent, first, second, late]


def test_a_worker_only_gets_jobs_of_its_kind_and_feature_set(store: TestStore) -> None:
    queued(store, 1)
    head_job(store)
    with transaction(store.sessions) as session:
        other = store.feature_set().id + 1
        assert not jobs.claim_of(session, [Kind.EXTRACT], {other: 9}, worker_id=WORKER, lease_seconds=60)
    assert claim_head_job(store).image_id is None
    assert claimed(store)[0].head_id is None


def test_a_job_is_not_claimed_before_its_time(store: TestStore) -> None:
    queued(store, 1)
    fail(store, claimed(store)[0], delay=0.5)
    assert claimed(store) == []
    time.sleep(0.55)
    assert len(claimed(store)) == 1


def test_many_threads_that_claim_at_once_get_every_job_exactly_once(store: TestStore) -> None:
    ids = queued(store, 300)
    taken: list[list[Claim]] = []
    start = threading.Barrier(8)

    def work() -> None:
        worker = uuid7()
        start.wait()
        while claims := claimed(store, 7, worker=worker):
            taken.append(claims)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=PATIENCE)
    assert Counter(claim.image_id for claims in taken for claim in claims) == Counter(ids)
    assert len({claims[0].token for claims in taken}) == len(taken)


def test_a_claim_does_not_wait_for_jobs_that_another_worker_is_just_taking(store: TestStore) -> None:
    ids = queued(store, 4)
    with transaction(store.sessions) as other:
        first = jobs.claim(other, [Kind.EXTRACT], worker_id=WORKER, limit=2, lease_seconds=60)
        started = time.monotonic()
        assert {claim.image_id for claim in first + claimed(store)} == set(ids)
        assert time.monotonic() - started < 2


def test_queueing_wakes_a_listener_when_it_commits(store: TestStore) -> None:
    listener = Listener(store.engine, JOBS_CHANNEL)
    try:
        assert not listener.wait(0.01)
        queued(store, 1)
        assert listener.wait(PATIENCE)
    finally:
        listener.close()


# Reporting


def test_finished_jobs_are_done(store: TestStore) -> None:
    queued(store, 2)
    claims = claimed(store)
    assert finish(store, claims) == {claim.job_id for claim in claims}
    done = job(store, claims[0].job_id)
    assert (done.state, done.done, done.total, done.lease_token, done.error) == ("succeeded", 1, 1, None, None)
    assert done.finished_at is not None
    assert claimed(store) == []


def test_a_late_workers_result_is_refused(store: TestStore) -> None:
    queued(store, 1)
    late = claimed(store)
    lose_leases(store)
    assert finish(store, late) == set()
    again = claimed(store)
    assert finish(store, late) == set()
    assert finish(store, again) == {again[0].job_id}


def test_a_late_workers_failure_changes_nothing(store: TestStore) -> None:
    queued(store, 1)
    (late,) = claimed(store)
    lose_leases(store)
    (again,) = claimed(store)
    with transaction(store.sessions) as session:
        assert not extraction.give_up(session, late, ValueError("late"), max_attempts=1, delay_seconds=0)
        jobs.fail(session, late, BROKEN, max_attempts=1, delay_seconds=0)
        jobs.release(session, late)
    now = job(store, again.job_id)
    assert (now.state, now.lease_token, now.error) == ("running", again.token, None)


def test_a_job_that_was_deleted_with_its_image_is_not_held(store: TestStore) -> None:
    queued(store, 2)
    claims = claimed(store)
    with transaction(store.sessions) as session:
        session.execute(text("DELETE FROM image WHERE id = :id"), {"id": claims[0].image_id})
    assert finish(store, claims) == {claims[1].job_id}


def test_a_failed_job_waits_twice_as_long_each_time_and_is_then_parked(store: TestStore) -> None:
    queued(store, 1)
    waits = []
    for attempt in (1, 2, 3):
        (claim,) = claimed(store)
        assert claim.attempts == attempt
        assert fail(store, claim, delay=100, most=4) is False
        with transaction(store.sessions) as session:
            waits.append(session.scalar(text("SELECT run_after - now() FROM job")))
            session.execute(text("UPDATE job SET run_after = now()"))
    assert [round(wait / timedelta(seconds=10)) * 10 for wait in waits] == [100, 200, 400]
    (claim,) = claimed(store)
    assert fail(store, claim, delay=100, most=4) is True
    parked = job(store, claim.job_id)
    assert (parked.state, parked.error, parked.attempts) == ("failed", BROKEN, 4)
    assert claimed(store) == []


def test_a_permanent_error_parks_at_the_first_try(store: TestStore) -> None:
    queued(store, 1)
    assert fail(store, claimed(store)[0], {**BROKEN, "permanent": True}) is True
    assert job_states(store) == {"failed": 1}


def test_a_message_with_nul_and_lone_surrogates_can_be_stored(store: TestStore) -> None:
    queued(store, 1)
    (claim,) = claimed(store)
    with transaction(store.sessions) as session:
        error = ValueError("bad tag \x00 \ud800 " + "x" * 10_000)
        extraction.give_up(session, claim, error, max_attempts=1, delay_seconds=0)
    stored = job(store, claim.job_id).error
    assert stored is not None
    assert stored["message"].startswith("ValueError: bad tag \ufffd ? xxx")
    assert len(stored["message"]) == 2000


def test_a_released_job_is_as_it_was_and_next_in_line(store: TestStore) -> None:
    for image in add_numbered(store.sessions, 2):
        queue(store, [image])
    (claim,) = claimed(store, 1)
    with transaction(store.sessions) as session:
        jobs.release(session, claim)
    (again,) = claimed(store, 1)
    assert (again.job_id, again.attempts, again.suspect) == (claim.job_id, 1, False)


def test_extending_a_lease_keeps_the_job_and_shows_progress(store: TestStore) -> None:
    head_job(store)
    claim = claim_head_job(store)
    with transaction(store.sessions) as session:
        session.execute(text("UPDATE job SET lease_until = now() - interval '1 second'"))
        jobs.extend(session, claim, 60, 3, 10)
        assert jobs.release_expired(session, max_attempts=3) == 0
    now = job(store, claim.job_id)
    assert (now.done, now.total) == (3, 10)


def test_extending_a_lost_lease_tells_the_worker(store: TestStore) -> None:
    head_job(store)
    claim = claim_head_job(store)
    lose_leases(store)
    with pytest.raises(LeaseLost), transaction(store.sessions) as session:
        jobs.extend(session, claim, 60, 3, 10)


# Lost workers


def test_a_lease_that_still_runs_is_left_alone(store: TestStore) -> None:
    queued(store, 1)
    claimed(store)
    with transaction(store.sessions) as session:
        assert jobs.release_expired(session, max_attempts=3) == 0


def test_what_a_dead_worker_held_is_claimed_one_by_one(store: TestStore) -> None:
    ids = queued(store, 4)
    claimed(store)
    assert lose_leases(store) == 4
    claims = [claimed(store) for _ in ids]
    assert [len(each) for each in claims] == [1, 1, 1, 1]
    assert {each[0].image_id for each in claims if each[0].suspect} == set(ids)


def test_a_suspect_keeps_its_place_before_what_came_later(store: TestStore) -> None:
    """Were suspects claimed only when nothing else waits, a steady stream of uploads would starve them."""
    (old,) = queued(store, 1)
    claimed(store)
    lose_leases(store)
    queue(store, add_numbered(store.sessions, 3, start=10))
    assert [claim.image_id for claim in claimed(store)] == [old]
    assert len(claimed(store)) == 3


def test_a_busy_worker_takes_nothing_while_a_suspect_is_first_in_line(store: TestStore) -> None:
    queued(store, 1)
    claimed(store)
    lose_leases(store)
    queue(store, add_numbered(store.sessions, 3, start=10))
    assert claimed(store, busy=True) == []
    assert claimed(store)[0].suspect
    assert len(claimed(store, busy=True)) == 3


def test_a_job_that_killed_its_worker_too_often_is_parked_and_its_mates_are_not(store: TestStore) -> None:
    poison, *_ = queued(store, 4)
    claimed(store)
    lose_leases(store)
    done = []
    while claims := claimed(store):
        if claims[0].image_id == poison:
            lose_leases(store)
        else:
            done += finish(store, claims)
    with transaction(store.sessions) as session:
        parked = session.scalars(text("SELECT image_id FROM job WHERE state = 'failed'")).all()
        error = session.scalar(text("SELECT error FROM job WHERE state = 'failed'"))
    assert (parked, len(done)) == ([poison], 3)
    assert error["code"] == "worker-died"
    assert "3 times" in error["message"]


# Cancelling and pruning


def test_a_queued_training_can_be_cancelled(store: TestStore) -> None:
    job_id = head_job(store)
    with transaction(store.sessions) as session:
        assert jobs.cancel(session, job_id).state == "cancelled"
    with transaction(store.sessions) as session:
        assert not jobs.claim(session, [Kind.TRAIN], worker_id=WORKER, limit=1, lease_seconds=60)


def test_cancelling_a_running_training_takes_it_from_its_worker(store: TestStore) -> None:
    head_job(store)
    claim = claim_head_job(store)
    with transaction(store.sessions) as session:
        jobs.cancel(session, claim.job_id)
    assert finish(store, [claim]) == set()
    with pytest.raises(LeaseLost), transaction(store.sessions) as session:
        jobs.extend(session, claim, 60, 1, 2)
    with pytest.raises(Conflict, match="already cancelled"), transaction(store.sessions) as session:
        jobs.cancel(session, claim.job_id)


def test_an_extraction_cannot_be_cancelled_nor_what_is_not_there(store: TestStore) -> None:
    queued(store, 1)
    (claim,) = claimed(store)
    with pytest.raises(Conflict, match="found missing again"), transaction(store.sessions) as session:
        jobs.cancel(session, claim.job_id)
    with pytest.raises(NotFound), transaction(store.sessions) as session:
        jobs.cancel(session, uuid7())


def test_only_one_rescoring_of_a_head_waits(store: TestStore) -> None:
    made = head_job(store, Kind.RESCORE)
    head = job(store, made).head_id
    assert head is not None
    with transaction(store.sessions) as session:
        assert jobs.enqueue_for_head(session, Kind.RESCORE, head, store.feature_set().id) is None
    claim_head_job(store)
    with transaction(store.sessions) as session:
        assert jobs.enqueue_for_head(session, Kind.RESCORE, head, store.feature_set().id) is not None


def test_old_successes_are_forgotten_and_nothing_else(store: TestStore) -> None:
    queued(store, 4)
    old, young, parked = claimed(store, 3)
    finish(store, [old, young])
    fail(store, parked, {**BROKEN, "permanent": True})
    with transaction(store.sessions) as session:
        session.execute(
            text("UPDATE job SET finished_at = now() - interval '8 days' WHERE id = ANY (:ids)"),
            {"ids": [old.job_id, parked.job_id]},
        )
        assert jobs.prune(session, keep_days=7) == 1
    assert job_states(store) == {"succeeded": 1, "failed": 1, "queued": 1}


def test_parked_extractions_are_tried_anew_when_asked(store: TestStore) -> None:
    queued(store, 2)
    for claim in claimed(store):
        fail(store, claim, most=1)
    with transaction(store.sessions) as session:
        assert reconciling.retry_failed(session, store.feature_set().id, author="test") == 2
    assert [(claim.attempts, claim.suspect) for claim in claimed(store)] == [(1, False)] * 2


def test_a_claim_reads_the_queue_in_the_order_of_its_index(store: TestStore) -> None:
    """Without, each claim sorts the whole queue: 125 ms instead of 3 at 200,000 jobs (2026-11)."""
    queued(store, 5_000)
    with transaction(store.sessions) as session:
        session.execute(text("ANALYZE job"))
    served = {store.feature_set().id: 32}
    with explained(store) as plans, transaction(store.sessions) as session:
        claims = jobs.claim_of(session, [Kind.EXTRACT, Kind.AUGMENT], served, worker_id=WORKER, lease_seconds=60)
        assert len(claims) == 32
    assert len(plans) == 2
    for plan in plans:
        assert "ix_job_queue" in plan
        assert "Sort" not in plan


def test_jobs_of_a_feature_set_that_may_not_be_taken_do_not_slow_down_a_claim(store: TestStore) -> None:
    """They stand before the others in line, and are not looked at."""
    other = second_feature_set(store)
    ids = queued(store, 3_000)
    with transaction(store.sessions) as session:
        jobs.enqueue_extractions(session, ids[:5], [other], priority=Priority.BACKFILL)
        session.execute(text("ANALYZE job"))
    with explained(store) as plans, transaction(store.sessions) as session:
        claims = jobs.claim_of(session, [Kind.EXTRACT], {other: 8}, worker_id=WORKER, lease_seconds=60)
    assert {claim.feature_set_id for claim in claims} == {other}
    assert len(claims) == 5
    for plan in plans:
        assert "ix_job_queue" in plan
        assert "feature_set_id = " in plan.partition("Index Cond:")[2].partition("Filter")[0]


def test_a_claim_is_of_the_feature_set_and_the_priority_that_is_first_in_line(store: TestStore) -> None:
    other = second_feature_set(store)
    mine = store.feature_set().id
    ids = add_numbered(store.sessions, 6)
    with transaction(store.sessions) as session:
        jobs.enqueue_extractions(session, ids[:3], [other], priority=Priority.BACKFILL)
        jobs.enqueue_extractions(session, ids[3:5], [other])
    with transaction(store.sessions) as session:
        jobs.enqueue_extractions(session, ids, [mine])
    taken = [_taken(store, {mine: 4, other: 4}) for _ in range(5)]
    assert taken == [(other, 0, 2), (mine, 0, 4), (mine, 0, 2), (other, 10, 3), None]


def test_only_pressing_jobs_are_claimed_when_there_is_room_for_no_other(store: TestStore) -> None:
    mine = store.feature_set().id
    ids = add_numbered(store.sessions, 2)
    queue(store, ids[:1], priority=Priority.BACKFILL)
    assert _taken(store, {mine: 4}, below=Priority.COPIES) is None
    queue(store, ids[1:])
    assert _taken(store, {mine: 4}, below=Priority.COPIES) == (mine, 0, 1)
    assert _taken(store, {mine: 4}) == (mine, 10, 1)


def test_a_renewed_lease_is_that_of_its_present_holder_only(store: TestStore) -> None:
    queued(store, 2)
    late = claimed(store)
    lose_leases(store)
    (again,) = claimed(store)
    with transaction(store.sessions) as session:
        assert jobs.renew(session, late, 1_000) == 0
        assert jobs.renew(session, [again], 1_000) == 1
    left = store.scalar("SELECT max(lease_until) - now() > interval '900 seconds' FROM job WHERE state = 'running'")
    assert left is True


def test_claims_of_several_tokens_are_reported_on_at_once(store: TestStore) -> None:
    queued(store, 4)
    first, second = claimed(store, 2), claimed(store, 2)
    assert finish(store, [first[0], second[1]]) == {first[0].job_id, second[1].job_id}
    assert job_states(store) == {"succeeded": 2, "running": 2}


def _taken(store: TestStore, limits: dict[int, int], **more: int) -> tuple[int | None, int, int] | None:
    """Feature set, priority and number of the jobs of one claim."""
    with transaction(store.sessions) as session:
        claims = jobs.claim_of(session, [Kind.EXTRACT], limits, worker_id=WORKER, lease_seconds=60, **more)
    assert len({(claim.feature_set_id, claim.priority) for claim in claims}) <= 1
    return (claims[0].feature_set_id, claims[0].priority, len(claims)) if claims else None


class QueueMachine(RuleBasedStateMachine):
    """Workers that claim, finish, fail, are late and die, in any order, against what must hold."""

    store: TestStore

    def __init__(self) -> None:
        super().__init__()
        with transaction(self.store.sessions) as session:
            session.execute(text("TRUNCATE image CASCADE"))
        self.images: list[UUID] = []
        self.in_hand: list[list[Claim]] = []  # as workers see it, who may be late
        self.finished: Counter[UUID] = Counter()
        self.made = 0

    @rule(count=st.integers(1, 4))
    def upload(self, count: int) -> None:
        self.images += (ids := add_numbered(self.store.sessions, count, start=self.made))
        self.made += count
        queue(self.store, ids)

    @rule(limit=st.integers(1, 5), busy=st.booleans())
    def claim(self, limit: int, busy: bool) -> None:
        claims = claimed(self.store, limit, busy=busy)
        assert len(claims) <= limit
        assert not any(claim.suspect for claim in claims) or (len(claims) == 1 and not busy)
        if claims:
            self.in_hand.append(claims)

    @rule(which=st.randoms(use_true_random=False))
    def hand_in(self, which: Any) -> None:
        if self.in_hand:
            claims = self.in_hand.pop(which.randrange(len(self.in_hand)))
            held = finish(self.store, claims)
            self.finished.update(claim.image_id for claim in claims if claim.job_id in held)

    @rule(which=st.randoms(use_true_random=False), permanent=st.booleans())
    def give_up(self, which: Any, permanent: bool) -> None:
        if self.in_hand:
            for claim in self.in_hand.pop(which.randrange(len(self.in_hand))):
                with transaction(self.store.sessions) as session:
                    if jobs.hold(session, [claim]):
                        error = {**BROKEN, "permanent": permanent}
                        jobs.fail(session, claim, error, max_attempts=3, delay_seconds=0)

    @rule()
    def leases_end(self) -> None:
        lose_leases(self.store)

    @invariant()
    def every_image_has_one_open_job_or_one_success(self) -> None:
        with transaction(self.store.sessions) as session:
            rows = session.execute(text("SELECT image_id, state, attempts, losses FROM job")).all()
        assert Counter(row.image_id for row in rows) == Counter(self.images)
        succeeded = {row.image_id for row in rows if row.state == "succeeded"}
        assert succeeded == set(self.finished)
        assert all(count == 1 for count in self.finished.values())
        assert all(row.attempts <= 3 + row.losses and row.losses <= 3 for row in rows if row.state != "failed")


def test_whatever_workers_do_each_image_is_finished_at_most_once_and_never_lost(store: TestStore) -> None:
    class Machine(QueueMachine):
        pass

    Machine.store = store
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=25, stateful_step_count=20, deadline=None, derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )  # fmt: skip
