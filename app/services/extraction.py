"""Extraction as the database sees it: what to take, what to store.

The worker brings pixels and features; this module never sees either being made.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from app import jobs, vectors
from app.db import connection_lost
from app.errors import AppError, UnusableImage
from app.features.spec import Features
from app.imaging.augment import AUGMENTATIONS
from app.jobs import Claim
from app.models import Embedding, FeatureSet, Head, Image, Job, Kind, Region
from app.services import prediction
from app.services.prediction import LoadedHeads

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
    claims = jobs.claim_of(
        session, [Kind.EXTRACT, Kind.AUGMENT], {feature_set_id: limit}, worker_id=worker_id,
        lease_seconds=lease_seconds, busy=busy,
    )  # fmt: skip
    by_image = {claim.image_id: claim for claim in claims}
    rows = session.execute(
        select(Image.id, Image.sha256, Region.id.label("region_id"))
        .join(Region, Region.image_id == Image.id)
        .join(FeatureSet, FeatureSet.id == feature_set_id)
        .where(Image.id.in_(by_image), Region.cut == FeatureSet.cut)
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
