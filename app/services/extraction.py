"""Extraction as the database sees it: what to take, what to store, what is missing.

The worker brings pixels and features; this module never sees either being made.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import numpy as np
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from app import jobs, vectors
from app.db import JOBS_CHANNEL, connection_lost, notify
from app.errors import AppError, UnusableImage
from app.features.spec import Features
from app.jobs import Claim
from app.models import Embedding, FeatureSet, Image, Kind, Region, Stage
from app.services import audit, prediction
from app.services.prediction import LoadedHeads

_RECONCILE_LOCK = 7_301_003
_MOST_AT_ONCE = 10_000
_LONGEST_MESSAGE = 2_000
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Scan:
    """A region to extract, and the claim that allows it."""

    claim: Claim
    region_id: int
    sha256: bytes


def take(
    session: Session, feature_set_id: int, *, worker_id: UUID, limit: int, lease_seconds: float, busy: bool = False
) -> list[Scan]:
    """Claim up to `limit` images for extraction; their regions. `busy` as in `jobs.claim`."""
    claims = jobs.claim(
        session, [Kind.EXTRACT], worker_id=worker_id, limit=limit, lease_seconds=lease_seconds,
        feature_set_id=feature_set_id, busy=busy,
    )  # fmt: skip
    by_image = {claim.image_id: claim for claim in claims}
    rows = session.execute(
        select(Image.id, Image.sha256, Region.id.label("region_id"))
        .join(Region, Region.image_id == Image.id)
        .where(Image.id.in_(by_image))
        .order_by(Region.id)
    )
    return [Scan(by_image[row.id], row.region_id, row.sha256) for row in rows]


def store(
    session: Session,
    loaded: LoadedHeads,
    feature_set: FeatureSet,
    scans: Sequence[Scan],
    features: Features,
    *,
    engine: str,
) -> int:
    """Store features, let every live head judge them, finish the jobs: one transaction, all or nothing.

    Scans whose lease was lost, or whose image was deleted, are left out. How many were stored.
    """
    held = jobs.hold(session, list({scan.claim.job_id: scan.claim for scan in scans}.values()))
    known = set(
        session.scalars(
            select(Embedding.region_id).where(
                Embedding.feature_set_id == feature_set.id,
                Embedding.augmentation == 0,
                Embedding.region_id.in_([scan.region_id for scan in scans]),
            )
        )
    )
    fresh = [i for i, s in enumerate(scans) if s.claim.job_id in held and s.region_id not in known]
    rows = vectors.Rows(
        np.array([scans[i].region_id for i in fresh], np.int64), features.avg[fresh], features.max[fresh]
    )
    if fresh:
        vectors.copy_in(session, feature_set, rows, engine=engine)
        _judge(session, loaded, feature_set, rows)
    jobs.finish(session, held)
    return len(fresh)


def _judge(session: Session, loaded: LoadedHeads, feature_set: FeatureSet, rows: vectors.Rows) -> None:
    """Let every live head judge new vectors. A head that cannot must not stop the extraction of every scan:
    the reconciler finds what it has not judged, and its failed re-scoring job says why."""
    heads = prediction.live_heads(session, feature_set.id)
    loaded.keep_only({head.id for head in heads})
    for head in heads:
        try:
            with session.begin_nested():
                prediction.score(session, loaded, [head], rows)
        except Exception as error:
            if connection_lost(error):
                raise
            log.exception("head %s (%s, version %d) cannot judge new vectors", head.id, head.task, head.version)


def give_up(session: Session, claim: Claim, error: Exception, *, max_attempts: int, delay_seconds: float) -> bool:
    """Record why a scan could not be extracted; whether it was parked.

    Bytes that cannot be decoded today cannot be decoded tomorrow: those are parked at once.
    """
    described = describe_error(error)
    if not jobs.hold(session, [claim]):
        return False
    return jobs.fail(session, claim, described, max_attempts=max_attempts, delay_seconds=delay_seconds)


def describe_error(error: Exception) -> dict[str, Any]:
    """An error as it is stored on a job and shown to a reader."""
    if isinstance(error, UnusableImage):
        return {"code": error.code, "reason": error.reason, "message": _storable(error.message), "permanent": True}
    if isinstance(error, AppError):
        return {"code": error.code, "message": _storable(error.message)}
    return {"code": "internal", "message": _storable(f"{type(error).__name__}: {error}")}


def _storable(message: str) -> str:
    """jsonb takes neither NUL nor lone surrogates, which a message may quote from a hostile file."""
    return message.encode(errors="replace").decode().replace("\x00", "\ufffd")[:_LONGEST_MESSAGE]


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
        count += _queue_unjudged(session)
        jobs.prune(session)
    return count


def _queue_missing(session: Session, *, everything: bool) -> int:
    """Queue regions that lack an embedding in a live feature set and have no job."""
    recent = "TRUE" if everything else "image.received_at > now() - interval '1 hour'"
    made = session.execute(
        text(
            f"""
            INSERT INTO job (id, kind, image_id, feature_set_id)
            SELECT gen_random_uuid(), 'extract', image.id, fs.id FROM image CROSS JOIN feature_set fs
            WHERE fs.live AND {recent}
              AND EXISTS (
                SELECT FROM region r LEFT JOIN embedding e ON e.region_id = r.id
                    AND e.feature_set_id = fs.id AND e.augmentation = 0
                WHERE r.image_id = image.id AND e.region_id IS NULL)
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
    """Queue a re-scoring for each live head that has not judged every stored vector."""
    heads = session.execute(
        text(
            """
            SELECT h.id, h.feature_set_id FROM head h WHERE h.stage = :live AND EXISTS (
                SELECT FROM embedding e LEFT JOIN prediction p ON p.region_id = e.region_id AND p.head_id = h.id
                WHERE e.feature_set_id = h.feature_set_id AND e.augmentation = 0 AND p.id IS NULL)
            AND NOT EXISTS (
                SELECT FROM job j WHERE j.head_id = h.id AND j.kind = 'rescore'
                AND j.state IN ('queued', 'running'))
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
    """Queue every parked extraction again, with its tries counted anew."""
    rows = session.execute(
        text(
            "UPDATE job SET state = 'queued', attempts = 0, losses = 0, error = NULL, finished_at = NULL, "
            "run_after = now() WHERE kind = 'extract' AND state = 'failed' AND feature_set_id = :id RETURNING id"
        ),
        {"id": feature_set_id},
    ).all()
    notify(session, JOBS_CHANNEL, Kind.EXTRACT)
    audit.record(session, author, "extraction.retry", "feature_set", feature_set_id, count=len(rows))
    return len(rows)
