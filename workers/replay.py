"""Judging the whole archive from stored vectors: after a promotion, and as a trial before one."""

import logging
from functools import partial
from uuid import UUID

from app import jobs
from app.db import transaction
from app.errors import Cancelled, Unavailable
from app.jobs import Claim
from app.services import prediction
from app.services.prediction import LoadedHeads
from workers.hold import Hold
from workers.runner import Base

log = logging.getLogger(__name__)


def rescore(base: Base, loaded: LoadedHeads, claim: Claim, hold: Hold) -> None:
    """Store a head's prediction on every stored vector that it has not judged."""
    assert claim.head_id is not None
    head_id: UUID = claim.head_id
    after, total = 0, 0
    while True:
        if hold.should_stop():
            raise Cancelled("The re-scoring was interrupted.")
        last, count = base.persist(partial(_rescore_some, base, loaded, head_id, after))
        total += count
        hold.progress(total, total)
        if last is None:
            break
        after = last

    def finish() -> None:
        with transaction(base.sessions) as session:
            jobs.finish(session, jobs.hold(session, [claim]))

    base.persist(finish)
    log.info("head %s judged %d stored vectors", head_id, total)


def _rescore_some(base: Base, loaded: LoadedHeads, head_id: UUID, after: int) -> tuple[int | None, int]:
    with transaction(base.sessions) as session:
        return prediction.rescore_some(session, loaded, head_id, after=after)


def replay(base: Base, loaded: LoadedHeads, claim: Claim, hold: Hold) -> None:
    """Judge every stored vector by a head and by its task's live one; keep what would flip."""
    raise Unavailable(f"Replays are not built yet ({base}, {loaded}, {claim}, {hold}).")
