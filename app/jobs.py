"""The job queue in Postgres: enqueue, claim a batch, finish, fail, release.

A claim carries a token. Whoever reports on a job must hold its present token, so a worker that
was too slow, and whose lease went to another, is refused. A job whose lease was lost to a dead
worker is suspect: it is claimed alone, and worked on alone, so that a poison image cannot take
others along.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import bindparam, text
from sqlalchemy.orm import Session

from app.db import DONE_CHANNEL, JOBS_CHANNEL, notify
from app.errors import Conflict, LeaseLost, NotFound
from app.models import Job, Kind
from app.models.ids import uuid7


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


def enqueue_extractions(
    session: Session, image_ids: Sequence[UUID], feature_set_ids: Sequence[int], *, priority: int = 0
) -> int:
    """Queue the extraction of images that have none under way; how many were queued."""
    if not image_ids or not feature_set_ids:
        return 0
    rows = [
        {"id": uuid7(), "image": image, "feature_set": feature_set, "priority": priority}
        for image in image_ids
        for feature_set in feature_set_ids
    ]
    session.execute(
        text(
            "INSERT INTO job (id, kind, image_id, feature_set_id, priority) "
            "VALUES (:id, 'extract', :image, :feature_set, :priority) ON CONFLICT DO NOTHING"
        ),
        rows,
    )
    notify(session, JOBS_CHANNEL, Kind.EXTRACT)
    return len(rows)


def enqueue_for_head(session: Session, kind: Kind, head_id: UUID, feature_set_id: int) -> UUID | None:
    """Queue a training or a re-scoring; None when the same re-scoring already waits."""
    inserted = session.execute(
        text(
            "INSERT INTO job (id, kind, head_id, feature_set_id) VALUES (:id, :kind, :head, :feature_set) "
            "ON CONFLICT DO NOTHING RETURNING id"
        ),
        {"id": uuid7(), "kind": kind, "head": head_id, "feature_set": feature_set_id},
    ).scalar()
    notify(session, JOBS_CHANNEL, kind)
    return inserted


# IN, not ANY, and no further column to sort by: so that of one kind the index gives the order. Otherwise
# each claim sorts the whole queue, 125 ms at 200,000 jobs (2026-11).
_READY = """
    state = 'queued' AND kind IN :kinds AND run_after <= now()
    AND (CAST(:feature_set AS int) IS NULL OR feature_set_id = :feature_set)
"""
_FIRST = text(
    f"SELECT losses > 0 AS suspect, coalesce(copies, 1) AS copies FROM job WHERE {_READY} "
    "ORDER BY priority, run_after LIMIT 1"
).bindparams(bindparam("kinds", expanding=True))
_CLAIM = text(
    f"""
    WITH chosen AS (
        SELECT id FROM job WHERE {_READY} AND (losses > 0) = :suspect AND coalesce(copies, 1) <= :copies
        ORDER BY priority, run_after LIMIT :limit FOR UPDATE SKIP LOCKED
    )
    UPDATE job SET state = 'running', lease_token = :token, worker_id = :worker, attempts = attempts + 1,
        lease_until = now() + make_interval(secs => :lease), started_at = coalesce(started_at, now())
    FROM chosen WHERE job.id = chosen.id
    RETURNING job.id, job.attempts, job.image_id, job.head_id, job.augmentation, coalesce(job.copies, 0) AS copies
    """
).bindparams(bindparam("kinds", expanding=True))


def claim(
    session: Session,
    kinds: Iterable[Kind],
    *,
    worker_id: UUID,
    limit: int,
    lease_seconds: float,
    feature_set_id: int | None = None,
    busy: bool = False,
) -> list[Claim]:
    """Take up to `limit` queued jobs, or one suspect when that is first in line.

    Jobs of augmented copies: as many as make up to `limit` copies, but at least one.
    `busy`: the caller still works on other jobs. Then nothing is taken while a suspect is first in line:
    if it kills the worker, it must not cost the others a lease. First in line, not last: under a steady
    stream of uploads its turn would never come.
    """
    queue = {"kinds": list(kinds), "feature_set": feature_set_id}
    first = session.execute(_FIRST, queue).first()
    if first is None or (first.suspect and busy):
        return []
    token = uuid4()
    lease = {"token": token, "worker": worker_id, "lease": lease_seconds}
    most = 1 if first.suspect else max(1, limit // first.copies)
    count = {"suspect": first.suspect, "limit": most, "copies": first.copies}
    rows = session.execute(_CLAIM, {**queue, **lease, **count}).all()
    return [
        Claim(row.id, token, row.attempts, row.image_id, row.head_id, first.suspect, row.augmentation, row.copies)
        for row in rows
    ]


def waiting(session: Session, kinds: Iterable[Kind], *, feature_set_id: int | None = None) -> bool:
    """Whether a job could be claimed now."""
    return session.execute(_FIRST, {"kinds": list(kinds), "feature_set": feature_set_id}).first() is not None


def hold(session: Session, claims: Sequence[Claim]) -> set[UUID]:
    """Lock the jobs that are still this worker's, until the transaction ends; their ids.

    A job that was released, cancelled or deleted with its image is missing from the answer.
    """
    if not claims:
        return set()
    rows = session.execute(
        text(
            "SELECT id FROM job WHERE id = ANY (:ids) AND lease_token = :token AND state = 'running' "
            "ORDER BY id FOR UPDATE"
        ),
        {"ids": [claim.job_id for claim in claims], "token": claims[0].token},
    )
    return {row.id for row in rows}


def finish(session: Session, job_ids: Iterable[UUID]) -> None:
    """Mark jobs that are held as succeeded."""
    session.execute(
        text(
            "UPDATE job SET state = 'succeeded', lease_token = NULL, lease_until = NULL, error = NULL, "
            "finished_at = now(), done = total WHERE id = ANY (:ids)"
        ),
        {"ids": list(job_ids)},
    )
    notify(session, DONE_CHANNEL)


def fail(session: Session, claim: Claim, error: dict[str, Any], *, max_attempts: int, delay_seconds: float) -> bool:
    """Queue a held job again with doubling delay, or park it after `max_attempts`; whether it was parked.

    `error["permanent"]` parks at once: trying again cannot help.
    """
    parked = bool(error.get("permanent")) or claim.attempts >= max_attempts
    session.execute(
        text(
            """
            UPDATE job SET state = CASE WHEN :parked THEN 'failed' ELSE 'queued' END,
                error = CAST(:error AS jsonb), lease_token = NULL, lease_until = NULL,
                run_after = now() + make_interval(secs => :delay),
                finished_at = CASE WHEN :parked THEN now() END
            WHERE id = :id AND lease_token = :token
            """
        ),
        {
            "parked": parked, "error": json.dumps(error), "id": claim.job_id, "token": claim.token,
            "delay": delay_seconds * 2 ** (claim.attempts - 1),
        },
    )  # fmt: skip
    if parked:
        notify(session, DONE_CHANNEL)
    return parked


def extend(session: Session, claim: Claim, lease_seconds: float, done: int, total: int) -> None:
    """Renew the lease and record progress. Raise LeaseLost when the job is no longer ours."""
    updated = session.execute(
        text(
            "UPDATE job SET lease_until = now() + make_interval(secs => :lease), done = :done, total = :total "
            "WHERE id = :id AND lease_token = :token RETURNING id"
        ),
        {"lease": lease_seconds, "done": done, "total": total, "id": claim.job_id, "token": claim.token},
    ).first()
    if updated is None:
        raise LeaseLost(f"Job {claim.job_id} was cancelled or given to another worker.")


def release(session: Session, claim: Claim) -> None:
    """Put a job back as it was before it was claimed: its worker stops, nothing is wrong with it."""
    session.execute(
        text(
            "UPDATE job SET state = 'queued', lease_token = NULL, lease_until = NULL, attempts = attempts - 1 "
            "WHERE id = :id AND lease_token = :token"
        ),
        {"id": claim.job_id, "token": claim.token},
    )
    notify(session, JOBS_CHANNEL)


def release_expired(session: Session, *, max_attempts: int) -> int:
    """Queue again what dead workers held, marked suspect; park what killed them too often."""
    rows = session.execute(
        text(
            """
            UPDATE job SET losses = losses + 1, lease_token = NULL, lease_until = NULL, run_after = now(),
                state = CASE WHEN losses + 1 >= :tries THEN 'failed' ELSE 'queued' END,
                finished_at = CASE WHEN losses + 1 >= :tries THEN now() END,
                error = CASE WHEN losses + 1 >= :tries THEN jsonb_build_object('code', 'worker-died', 'message',
                    format('A worker died %s times while it worked on this; see its log.', losses + 1)) END
            WHERE state = 'running' AND lease_until < now() RETURNING kind
            """
        ),
        {"tries": max_attempts},
    ).all()
    for kind in {row.kind for row in rows}:
        notify(session, JOBS_CHANNEL, kind)
    return len(rows)


def cancel(session: Session, job_id: UUID) -> Job:
    """Cancel a job that has not ended; a running one is stopped at its next report."""
    job = session.get(Job, job_id, with_for_update=True)
    if job is None:
        raise NotFound(f"There is no job {job_id}.")
    if job.kind == Kind.EXTRACT:
        raise Conflict("An extraction cannot be cancelled: it would only be found missing again.")
    if job.state not in ("queued", "running"):
        raise Conflict(f"Job {job_id} has already {job.state}.")
    session.execute(
        text(
            "UPDATE job SET state = 'cancelled', lease_token = NULL, lease_until = NULL, finished_at = now() "
            "WHERE id = :id"
        ),
        {"id": job_id},
    )
    session.refresh(job)
    return job


def prune(session: Session, *, keep_days: int = 7) -> int:
    """Forget extractions, of copies too, that succeeded long ago; the embedding is their record."""
    rows = session.execute(
        text(
            "DELETE FROM job WHERE kind IN ('extract', 'augment') AND state = 'succeeded' "
            "AND finished_at < now() - make_interval(days => :days) RETURNING id"
        ),
        {"days": keep_days},
    ).all()
    return len(rows)
