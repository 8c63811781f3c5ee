"""The job queue in Postgres: enqueue, claim a batch (see `app.claims`), finish, fail, release."""

import json
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.claims import Claim, Priority, claim, claim_of, hold, renew
from app.db import DONE_CHANNEL, JOBS_CHANNEL, notify
from app.errors import Conflict, LeaseLost, NotFound
from app.models import Job, Kind
from app.models.ids import uuid7

__all__ = [
    "Claim", "Priority", "cancel", "claim", "claim_of", "enqueue_extractions", "enqueue_for_head", "extend", "fail",
    "finish", "hold", "prune", "release", "release_expired", "renew",
]  # fmt: skip


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
    """Forget extractions, of copies too, and explanations that succeeded long ago; what they stored is their record."""
    rows = session.execute(
        text(
            "DELETE FROM job WHERE kind IN ('extract', 'augment', 'explain') AND state = 'succeeded' "
            "AND finished_at < now() - make_interval(days => :days) RETURNING id"
        ),
        {"days": keep_days},
    ).all()
    return len(rows)
