"""Judging the whole archive from stored vectors: after a promotion, and as a trial before one."""

import logging
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Protocol
from uuid import UUID

from sqlalchemy.orm import Session

from app import jobs, vectors
from app.db import transaction
from app.errors import Cancelled, LeaseLost
from app.heads.scoring import Head as Scorer
from app.jobs import Claim
from app.models import FeatureSet, Head
from app.services import prediction
from app.services import replay as replays
from app.services.prediction import Answers, LoadedHeads
from workers.hold import Hold
from workers.runner import Base

log = logging.getLogger(__name__)
# 32 MiB of vectors at 2 x 1,024 dimensions; one such batch is read while another is scored and a third written.
BATCH_ROWS = 4096


class Read(Protocol):
    def __call__(self, session: Session, *, after: int, limit: int) -> vectors.Rows: ...


Batch = tuple[vectors.Rows, dict[int, str]]  # with what makes some of its regions unusable


@contextmanager
def _batches(base: Base, hold: Hold, loaded: LoadedHeads, feature_set_id: int, read: Read) -> Iterator[Iterator[Batch]]:
    """Batches of the archive, each read while the one before it is worked on. Raise Cancelled when told to stop."""

    def load(after: int) -> Batch:
        with transaction(base.sessions) as session:
            rows = read(session, after=after, limit=BATCH_ROWS)
            return rows, loaded.problems(session, feature_set_id, rows.region_ids)

    def ahead() -> Iterator[Batch]:
        batch = base.persist(partial(load, 0))
        while len(batch[0]):
            if hold.should_stop():
                raise Cancelled("It was interrupted.")
            following = pool.submit(base.persist, partial(load, int(batch[0].region_ids[-1])))
            yield batch
            batch = following.result()

    with ThreadPoolExecutor(1, "archive-read") as pool:
        yield ahead()


def rescore(base: Base, loaded: LoadedHeads, claim: Claim, hold: Hold) -> None:
    """Store a head's prediction on every stored vector that it has not judged."""
    assert claim.head_id is not None
    head_id: UUID = claim.head_id

    def prepare() -> tuple[Head, FeatureSet, list[tuple[Head, Scorer]], int]:
        with transaction(base.sessions) as session:
            head = session.get_one(Head, head_id)
            scorers = loaded.several(session, [head])
            return head, session.get_one(FeatureSet, head.feature_set_id), scorers, prediction.unjudged(session, head)

    def store(rows: vectors.Rows, answers: list[Answers]) -> None:
        with transaction(base.sessions) as session:
            prediction.store(session, rows.region_ids, answers)

    head, feature_set, scorers, total = base.persist(prepare)
    loaded.keep_only({head_id})
    read = partial(prediction.next_unjudged, feature_set=feature_set, head_id=head_id)
    done = 0
    archive = _batches(base, hold, loaded, feature_set.id, read)
    with ThreadPoolExecutor(1, "archive-write") as pool, archive as batches:
        writing: Future[None] | None = None
        for rows, problems in batches:
            answers = prediction.ask(scorers, rows, problems=problems)
            if writing is not None:
                writing.result()
            writing = pool.submit(base.persist, partial(store, rows, answers))
            done += len(rows)
            hold.progress(done, max(done, total))
        if writing is not None:
            writing.result()

    def finish() -> None:
        with transaction(base.sessions) as session:
            jobs.extend(session, claim, base.settings.lease_seconds, done, done)
            jobs.finish(session, [claim.job_id])

    base.persist(finish)
    log.info("head %s (%s, version %d) judged %d stored vectors", head_id, head.task, head.version, done)


def replay(base: Base, loaded: LoadedHeads, claim: Claim, hold: Hold) -> None:
    """Judge every stored vector by a head and by its task's live one; keep what would flip, all of it or nothing."""
    assert claim.head_id is not None
    head_id: UUID = claim.head_id
    started = time.monotonic()

    def prepare() -> tuple[replays.Sides, list[tuple[Head, Scorer]]]:
        with transaction(base.sessions) as session:
            sides = replays.sides(session, head_id)
            heads = [sides.head, sides.against] if sides.same_vectors and sides.against else [sides.head]
            return sides, loaded.several(session, heads)

    sides, scorers = base.persist(prepare)
    loaded.keep_only({head.id for head, _ in scorers})
    tally, positive = replays.Tally(), sides.task.positive

    def before(rows: vectors.Rows) -> replays.Said:
        with transaction(base.sessions) as session:
            return replays.stored(session, sides.against, positive, rows.region_ids, cut=sides.feature_set.cut)

    read = partial(vectors.copy_out_next, feature_set=sides.feature_set)
    with _batches(base, hold, loaded, sides.feature_set.id, read) as batches:
        for rows, problems in batches:
            said = prediction.ask(scorers, rows, problems=problems)
            after, *other = (replays.Said.of(one, positive) for one in said)
            tally.add(rows.region_ids, other[0] if other else base.persist(partial(before, rows)), after)
            hold.progress(tally.regions, max(sides.rows, tally.regions))

    def finish() -> None:
        with transaction(base.sessions) as session:
            if not jobs.hold(session, [claim]):
                raise LeaseLost(f"Job {claim.job_id} was cancelled or given away; its replay is not stored.")
            replays.record(session, sides, tally, seconds=time.monotonic() - started)
            jobs.extend(session, claim, base.settings.lease_seconds, tally.regions, tally.regions)
            jobs.finish(session, [claim.job_id])

    base.persist(finish)
    log.info("head %s replayed: %d of %d decisions would flip", head_id, tally.flipped, tally.regions)
