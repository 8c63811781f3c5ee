"""Taking jobs from the queue: a batch at a time, by one worker each, under a lease.

A claim carries a token. Whoever reports on a job must hold its present token, so a worker that
was too slow, and whose lease went to another, is refused. A job whose lease was lost to a dead
worker is suspect: it is claimed alone, and worked on alone, so that a poison image cannot take
others along.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Executable, bindparam, text
from sqlalchemy.orm import Session

from app.models import Kind


class Priority(IntEnum):
    """Of extractions; lower goes first. What is below `COPIES` is waited for."""

    UPLOAD = 0
    COPIES = 5
    BACKFILL = 10


@dataclass(frozen=True)
class Claim:
    """A job that is this worker's until its lease ends."""

    job_id: UUID
    token: UUID
    attempts: int
    image_id: UUID | None
    head_id: UUID | None
    suspect: bool = False
    augmentation: str | None = None
    copies: int = 0
    feature_set_id: int | None = None
    priority: int = 0


# IN, not ANY, and no further column to sort by: so that of one kind the index gives the order. Otherwise
# each claim sorts the whole queue, 125 ms at 200,000 jobs (2026-11).
_READY = "state = 'queued' AND kind IN :kinds AND run_after <= now()"
_FIRST = text(
    f"SELECT losses > 0 AS suspect, coalesce(copies, 1) AS copies FROM job WHERE {_READY} "
    "ORDER BY priority, run_after LIMIT 1"
).bindparams(bindparam("kinds", expanding=True))
# The first of each kind and feature set by a look at the index of its own: were all read in one order, those of a
# set that is paused would have to be passed over one by one.
_FIRSTS = text(
    """
    SELECT first.* FROM unnest(CAST(:kinds AS text[])) AS k (kind)
    CROSS JOIN unnest(CAST(:feature_sets AS int[])) AS f (id)
    CROSS JOIN LATERAL (
        SELECT job.kind, feature_set_id, priority, run_after, losses > 0 AS suspect, coalesce(copies, 1) AS copies
        FROM job WHERE state = 'queued' AND job.kind = k.kind AND feature_set_id = f.id AND run_after <= now()
        AND priority < :below ORDER BY priority, run_after LIMIT 1
    ) first
    """
)
_HANDED = """
    UPDATE job SET state = 'running', lease_token = :token, worker_id = :worker, attempts = attempts + 1,
        lease_until = now() + make_interval(secs => :lease), started_at = coalesce(started_at, now())
    FROM chosen WHERE job.id = chosen.id
    RETURNING job.id, job.attempts, job.image_id, job.head_id, job.feature_set_id, job.priority, job.augmentation,
        coalesce(job.copies, 0) AS copies
"""
_CHOSEN = "(losses > 0) = :suspect AND coalesce(copies, 1) <= :copies"
_CLAIM = text(
    f"""
    WITH chosen AS (
        SELECT id FROM job WHERE {_READY} AND {_CHOSEN}
        ORDER BY priority, run_after LIMIT :limit FOR UPDATE SKIP LOCKED
    ) {_HANDED}
    """
).bindparams(bindparam("kinds", expanding=True))
_CLAIM_OF = text(
    f"""
    WITH chosen AS (
        SELECT id FROM job WHERE state = 'queued' AND kind = :kind AND feature_set_id = :feature_set
        AND priority = :priority AND run_after <= now() AND {_CHOSEN}
        ORDER BY run_after LIMIT :limit FOR UPDATE SKIP LOCKED
    ) {_HANDED}
    """
)
_ANY_PRIORITY = 2**15


def claim(
    session: Session, kinds: Iterable[Kind], *, worker_id: UUID, limit: int, lease_seconds: float, busy: bool = False
) -> list[Claim]:
    """Take up to `limit` queued jobs, or one suspect when that is first in line.

    Jobs of augmented copies: as many as make up to `limit` copies, but at least one.
    `busy`: the caller still works on other jobs. Then nothing is taken while a suspect is first in line:
    if it kills the worker, it must not cost the others a lease. First in line, not last: under a steady
    stream of uploads its turn would never come.
    """
    queue = {"kinds": list(kinds)}
    first = session.execute(_FIRST, queue).first()
    if first is None or (first.suspect and busy):
        return []
    return _taken(session, _CLAIM, queue, first, limit, worker_id, lease_seconds)


def claim_of(
    session: Session,
    kinds: Sequence[Kind],
    limits: Mapping[int, int],
    *,
    worker_id: UUID,
    lease_seconds: float,
    below: int | None = None,
    busy: bool = False,
) -> list[Claim]:
    """Take queued jobs of one kind, feature set and priority: those of the job that is first in line.

    `limits`: the feature sets that may be taken from, and how many jobs (or copies) at most of each. `below`: only
    jobs of a priority number below this. `busy` as in `claim`.
    """
    asked = {"kinds": list(kinds), "feature_sets": list(limits), "below": _ANY_PRIORITY if below is None else below}
    firsts = session.execute(_FIRSTS, asked).all()
    if not firsts:
        return []
    first = min(firsts, key=lambda row: (row.priority, row.run_after))
    if first.suspect and busy:
        return []
    queue = {"kind": first.kind, "feature_set": first.feature_set_id, "priority": first.priority}
    return _taken(session, _CLAIM_OF, queue, first, limits[first.feature_set_id], worker_id, lease_seconds)


def _taken(
    session: Session,
    statement: Executable,
    queue: Mapping[str, Any],
    first: Any,
    limit: int,
    worker_id: UUID,
    lease_seconds: float,
) -> list[Claim]:
    """The jobs that are in line with `first`, handed to a worker under a new token."""
    token = uuid4()
    most = 1 if first.suspect else max(1, limit // first.copies)
    rows = session.execute(
        statement,
        {
            **queue, "token": token, "worker": worker_id, "lease": lease_seconds,
            "suspect": first.suspect, "limit": most, "copies": first.copies,
        },
    ).all()  # fmt: skip
    return [
        Claim(
            row.id, token, row.attempts, row.image_id, row.head_id, first.suspect, row.augmentation, row.copies,
            row.feature_set_id, row.priority,
        )
        for row in rows
    ]  # fmt: skip


# Claims of several tokens may be reported on at once: a batch is made of whatever is ready.
_OURS = """
    unnest(CAST(:ids AS uuid[]), CAST(:tokens AS uuid[])) AS ours (id, token)
    WHERE job.id = ours.id AND job.lease_token = ours.token AND job.state = 'running'
"""


def hold(session: Session, claims: Sequence[Claim]) -> set[UUID]:
    """Lock the jobs that are still this worker's, until the transaction ends; their ids.

    A job that was released, cancelled or deleted with its image is missing from the answer.
    """
    if not claims:
        return set()
    rows = session.execute(text(f"SELECT job.id FROM job, {_OURS} ORDER BY job.id FOR UPDATE OF job"), _given(claims))
    return {row.id for row in rows}


def renew(session: Session, claims: Sequence[Claim], lease_seconds: float) -> int:
    """Let the leases of jobs that are still this worker's last so many seconds from now; of how many."""
    if not claims:
        return 0
    # In the order of `hold`: two who lock the same rows must not wait for each other.
    renewed = session.execute(
        text(
            f"""
            WITH held AS (SELECT job.id FROM job, {_OURS} ORDER BY job.id FOR UPDATE OF job)
            UPDATE job SET lease_until = now() + make_interval(secs => :lease)
            FROM held WHERE job.id = held.id RETURNING job.id
            """
        ),
        {**_given(claims), "lease": lease_seconds},
    ).all()
    return len(renewed)


def _given(claims: Sequence[Claim]) -> dict[str, Any]:
    return {"ids": [claim.job_id for claim in claims], "tokens": [claim.token for claim in claims]}
