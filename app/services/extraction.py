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
from app.imaging.augment import AUGMENTATIONS
from app.jobs import Claim
from app.models import Embedding, FeatureSet, Head, Image, Job, Kind, Region, Stage
from app.services import audit, augmentation, prediction
from app.services.prediction import LoadedHeads

_RECONCILE_LOCK = 7_301_003
_MOST_AT_ONCE = 10_000
_LONGEST_MESSAGE = 2_000
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Scan:
    """A region to extract, and the claim that allows it. `codes` says as what: 0 is the scan itself, others are
    augmented copies."""

    claim: Claim
    region_id: int
    sha256: bytes
    codes: tuple[int, ...] = (0,)


def take(
    session: Session, feature_set_id: int, *, worker_id: UUID, limit: int, lease_seconds: float, busy: bool = False
) -> list[Scan]:
    """Claim up to `limit` images for extraction, or copies of images when no extraction waits; their regions.

    `busy` as in `jobs.claim`: a suspect extraction that waits for this worker holds up the copies too.
    """
    lease: Any = {
        "worker_id": worker_id, "limit": limit, "lease_seconds": lease_seconds,
        "feature_set_id": feature_set_id, "busy": busy,
    }  # fmt: skip
    claims = jobs.claim(session, [Kind.EXTRACT], **lease)
    if not claims and not jobs.waiting(session, [Kind.EXTRACT], feature_set_id=feature_set_id):
        claims = jobs.claim(session, [Kind.AUGMENT], **lease)
    by_image = {claim.image_id: claim for claim in claims}
    rows = session.execute(
        select(Image.id, Image.sha256, Region.id.label("region_id"))
        .join(Region, Region.image_id == Image.id)
        .where(Image.id.in_(by_image))
        .order_by(Region.id)
    ).all()
    stored = _stored(session, feature_set_id, [row.region_id for row in rows])
    return [
        Scan(claim, row.region_id, row.sha256, tuple(c for c in _codes(claim) if (row.region_id, c) not in stored))
        for row in rows
        for claim in [by_image[row.id]]
    ]


def _codes(claim: Claim) -> Sequence[int]:
    return (0,) if claim.augmentation is None else AUGMENTATIONS[claim.augmentation].codes(claim.copies)


def _stored(session: Session, feature_set_id: int, region_ids: Sequence[int]) -> set[tuple[int, int]]:
    """Which (region, code) have vectors already."""
    rows = session.execute(
        select(Embedding.region_id, Embedding.augmentation).where(
            Embedding.feature_set_id == feature_set_id, Embedding.region_id.in_(region_ids)
        )
    )
    return {(row.region_id, row.augmentation) for row in rows}


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

    `features` has a row for each code of each scan, in order. Heads judge scans, never copies. Scans whose lease was
    lost, or whose image was deleted, are left out. How many vectors were stored.
    """
    claims = {scan.claim.job_id: scan.claim for scan in scans}
    held = jobs.hold(session, list(claims.values()))
    known = _stored(session, feature_set.id, [scan.region_id for scan in scans])
    rows = [(scan.claim.job_id, scan.region_id, code) for scan in scans for code in scan.codes]
    fresh = [i for i, (job, *vector) in enumerate(rows) if job in held and tuple(vector) not in known]
    regions = np.array([rows[i][1] for i in fresh], np.int64)
    codes = np.array([rows[i][2] for i in fresh], np.int16)
    new = vectors.Rows(regions, features.avg[fresh], features.max[fresh])
    if fresh:
        vectors.copy_in(session, feature_set, new, engine=engine, augmentation=codes)
    if len(plain := np.flatnonzero(codes == 0)):
        _judge(session, loaded, feature_set, vectors.Rows(regions[plain], new.avg[plain], new.max[plain]))
    _finish(session, [claim for job, claim in claims.items() if job in held])
    return len(fresh)


def _finish(session: Session, held: Sequence[Claim]) -> None:
    """Finish jobs; one that was asked for more copies meanwhile waits again."""
    copies = [claim.job_id for claim in held if claim.augmentation is not None]
    rows = session.execute(select(Job.id, Job.copies).where(Job.id.in_(copies))) if copies else ()
    asked = {row.id: row.copies for row in rows}
    grown = [claim for claim in held if asked.get(claim.job_id, 0) > claim.copies]
    jobs.finish(session, {claim.job_id for claim in held} - {claim.job_id for claim in grown})
    for claim in grown:
        jobs.release(session, claim)


def _judge(session: Session, loaded: LoadedHeads, feature_set: FeatureSet, rows: vectors.Rows) -> None:
    """Let every live head judge new vectors. A head that cannot must not stop the extraction of every scan:
    the reconciler finds what it has not judged, and its failed re-scoring job says why."""
    heads = prediction.live_heads(session, feature_set.id)
    loaded.keep_only({head.id for head in heads})
    answers = prediction.ask(loaded.several(session, heads, on_broken=_cannot_judge), rows, on_broken=_cannot_judge)
    try:
        with session.begin_nested():
            prediction.store(session, rows.region_ids, answers)
    except Exception as error:
        if connection_lost(error):
            raise
        log.exception("predictions on %d new vectors cannot be stored", len(rows))


def _cannot_judge(head: Head, error: Exception) -> None:
    log.error("head %s (%s, version %d) cannot judge: %s", head.id, head.task, head.version, error, exc_info=error)


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
        count += augmentation.queue_missing(session)
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
