"""What the queue has lost, and what was never in it: pending work is derived from what is missing."""

from sqlalchemy import text
from sqlalchemy.orm import Session

from app import jobs
from app.db import JOBS_CHANNEL, notify
from app.models import Kind, Stage
from app.services import audit, augmentation
from app.services.coverage import APPLIES, MISSING
from app.services.feeding import CATCH_UP

_RECONCILE_LOCK = 7_301_003
_MOST_AT_ONCE = 10_000


def reconcile(session: Session, *, max_attempts: int, everything: bool) -> int:
    """Re-create what the queue has lost; how many jobs were released or made.

    Pending work is derived from what is missing. Looks at the last hour, or at `everything`.
    One process at a time does it; the others return at once.
    """
    if not session.scalar(text(f"SELECT pg_try_advisory_xact_lock({_RECONCILE_LOCK})")):
        return 0
    count = jobs.release_expired(session, max_attempts=max_attempts)
    count += _queue_missing(session, everything=everything)
    _abandon_orphans(session)
    if everything:
        count += augmentation.queue_missing(session)
        count += _queue_unjudged(session)
        jobs.prune(session)
    return count


def lock(session: Session) -> None:
    """Keep the reconciler out until this transaction ends."""
    session.execute(text(f"SELECT pg_advisory_xact_lock({_RECONCILE_LOCK})"))


def _queue_missing(session: Session, *, everything: bool) -> int:
    """Queue images that lack an embedding in a live feature set of their kind and have no job.

    Older ones come behind uploads: many may be missing at once, when a feature set has just gone live.
    """
    recent = "TRUE" if everything else "image.received_at > now() - interval '1 hour'"
    made = session.execute(
        text(
            f"""
            INSERT INTO job (id, kind, image_id, feature_set_id, priority)
            SELECT gen_random_uuid(), 'extract', image.id, fs.id,
                CASE WHEN image.received_at > now() - interval '1 hour' THEN 0 ELSE {CATCH_UP} END
            FROM image CROSS JOIN feature_set fs
            WHERE fs.stage = 'live' AND {recent} AND {APPLIES} AND {MISSING}
              AND NOT EXISTS (
                SELECT FROM job j WHERE j.image_id = image.id AND j.feature_set_id = fs.id
                    AND j.kind = 'extract' AND j.state IN ('queued', 'running', 'failed'))
            LIMIT {_MOST_AT_ONCE}
            ON CONFLICT DO NOTHING RETURNING id
            """
        )
    ).all()
    if made:
        notify(session, JOBS_CHANNEL, Kind.EXTRACT)
    return len(made)


def _queue_unjudged(session: Session) -> int:
    """Queue a re-scoring for each live head that has not judged every stored vector.

    One that was refused would be refused again: it waits for the next promotion or rollback.
    """
    heads = session.execute(
        text(
            """
            SELECT h.id, h.feature_set_id FROM head h WHERE h.stage = :live AND EXISTS (
                SELECT FROM embedding e LEFT JOIN prediction p ON p.region_id = e.region_id AND p.head_id = h.id
                WHERE e.feature_set_id = h.feature_set_id AND e.augmentation = 0 AND p.id IS NULL)
            AND NOT EXISTS (
                SELECT FROM job j WHERE j.head_id = h.id AND j.kind = 'rescore'
                AND j.state IN ('queued', 'running'))
            AND NOT coalesce((SELECT (j.error ->> 'permanent')::boolean FROM job j WHERE j.head_id = h.id
                AND j.kind = 'rescore' ORDER BY j.created_at DESC, j.id DESC LIMIT 1), false)
            """
        ),
        {"live": Stage.LIVE},
    ).all()
    for head in heads:
        jobs.enqueue_for_head(session, Kind.RESCORE, head.id, head.feature_set_id)
    return len(heads)


def _abandon_orphans(session: Session) -> None:
    """A head whose training job has ended without it will never be trained."""
    session.execute(
        text(
            "UPDATE head SET stage = 'failed' WHERE stage = 'training' AND NOT EXISTS (SELECT FROM job j "
            "WHERE j.head_id = head.id AND j.kind = 'train' AND j.state IN ('queued', 'running'))"
        )
    )


def retry_failed(session: Session, feature_set_id: int, *, author: str) -> int:
    """Queue every parked extraction again, of copies too, with its tries counted anew."""
    rows = session.execute(
        text(
            "UPDATE job SET state = 'queued', attempts = 0, losses = 0, error = NULL, finished_at = NULL, "
            "run_after = now() WHERE kind IN ('extract', 'augment') AND state = 'failed' AND feature_set_id = :id "
            "RETURNING id"
        ),
        {"id": feature_set_id},
    ).all()
    notify(session, JOBS_CHANNEL, Kind.EXTRACT)
    audit.record(session, author, "extraction.retry", "feature_set", feature_set_id, count=len(rows))
    return len(rows)
