"""Extraction as the database sees it: what to take, what to store.

The worker brings pixels and features; this module never sees either being made.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import numpy as np
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app import jobs, vectors
from app.db import connection_lost
from app.errors import AppError, UnusableImage
from app.features.spec import Features
from app.imaging.augment import AUGMENTATIONS
from app.imaging.prepare import PreparedRegion
from app.jobs import Claim
from app.models import Embedding, FeatureSet, Head, Image, Job, Kind, Region
from app.services import prediction, regions
from app.services.prediction import LoadedHeads

_LONGEST_MESSAGE = 2_000
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Scan:
    """An image to extract for one feature set, and the claim that allows it.

    `frames` of `pixels` each, as its header said. `codes` says as what: 0 is the scan itself, others are augmented
    copies.
    """

    claim: Claim
    feature_set_id: int
    sha256: bytes
    frames: int = 1
    pixels: int = 0
    codes: tuple[int, ...] = (0,)


@dataclass(frozen=True)
class Prepared:
    """A scan with its regions; each has a row of features for each of the scan's codes."""

    scan: Scan
    regions: Sequence[PreparedRegion]


def take(
    session: Session,
    limits: Mapping[int, int],
    *,
    worker_id: UUID,
    lease_seconds: float,
    below: int | None = None,
    busy: bool = False,
) -> list[Scan]:
    """Claim images for extraction, or for copies, of one feature set and one priority: the most pressing there are.

    `limits`, `below` and `busy` as in `jobs.claim_of`.
    """
    claims = jobs.claim_of(
        session, [Kind.EXTRACT, Kind.AUGMENT], limits, worker_id=worker_id, lease_seconds=lease_seconds,
        below=below, busy=busy,
    )  # fmt: skip
    if not claims:
        return []
    feature_set = session.get_one(FeatureSet, claims[0].feature_set_id)
    rows = session.execute(
        select(Image.id, Image.sha256, Image.frames, (Image.width * Image.height).label("pixels")).where(
            Image.id.in_([claim.image_id for claim in claims])
        )
    )
    images = {row.id: row for row in rows}
    done = _codes_done(session, feature_set, list(images))
    return [
        Scan(
            claim, feature_set.id, image.sha256, image.frames, image.pixels,
            tuple(code for code in _codes(claim) if code not in done.get(image.id, ())),
        )
        for claim in claims
        for image in [images[claim.image_id]]
    ]  # fmt: skip


def _codes(claim: Claim) -> Sequence[int]:
    return (0,) if claim.augmentation is None else AUGMENTATIONS[claim.augmentation].codes(claim.copies)


def _codes_done(session: Session, feature_set: FeatureSet, image_ids: Sequence[UUID]) -> dict[UUID, set[int]]:
    """Which codes have vectors of every region of their image already."""
    rows = session.execute(
        select(Region.image_id, func.array_agg(Embedding.augmentation).label("codes"))
        .outerjoin(Embedding, (Embedding.region_id == Region.id) & (Embedding.feature_set_id == feature_set.id))
        .where(Region.image_id.in_(image_ids), Region.cut == feature_set.cut)
        .group_by(Region.image_id, Region.id)
    )
    done: dict[UUID, set[int]] = {}
    for row in rows:
        done[row.image_id] = done.get(row.image_id, set(row.codes)) & set(row.codes)
    return done


def store(
    session: Session,
    loaded: LoadedHeads,
    feature_set: FeatureSet,
    prepared: Sequence[Prepared],
    features: Features,
    *,
    engine: str,
) -> int:
    """Store features, let every live head judge them, finish the jobs: one transaction, all or nothing.

    Regions that a detector found for the first time are stored with what was found of them. `features` has a row for
    each code of each region of each scan, in order. Heads judge scans, never copies. Scans whose lease was lost, or
    whose image was deleted, are left out, and so are vectors that are there already. How many vectors were stored.
    """
    claims = {one.scan.claim.job_id: one.scan.claim for one in prepared}
    held = jobs.hold(session, list(claims.values()))
    kept = [one for one in prepared if one.scan.claim.job_id in held]
    region_ids = regions.ensure(session, feature_set.cut, {_image(one): one.regions for one in kept})
    known = _stored(session, feature_set.id, list(region_ids.values()))
    rows = [
        (region_ids.get((_image(one), region.ordinal)), code)
        for one in prepared
        for region in one.regions
        for code in one.scan.codes
    ]
    fresh = [i for i, (region, code) in enumerate(rows) if region is not None and (region, code) not in known]
    ids = np.array([rows[i][0] for i in fresh], np.int64)
    codes = np.array([rows[i][1] for i in fresh], np.int16)
    new = vectors.Rows(ids, features.avg[fresh], features.max[fresh])
    if fresh:
        vectors.copy_in(session, feature_set, new, engine=engine, augmentation=codes)
    if len(plain := np.flatnonzero(codes == 0)):
        scans = {_image(one): one.regions for one in kept if 0 in one.scan.codes}
        regions.keep_findings(session, feature_set.id, region_ids, scans)
        _judge(session, loaded, feature_set, vectors.Rows(ids[plain], new.avg[plain], new.max[plain]))
    _finish(session, [claim for job, claim in claims.items() if job in held])
    return len(fresh)


def _image(one: Prepared) -> UUID:
    assert one.scan.claim.image_id is not None
    return one.scan.claim.image_id


def _stored(session: Session, feature_set_id: int, region_ids: Sequence[int]) -> set[tuple[int, int]]:
    """Which (region, code) have vectors already."""
    rows = session.execute(
        select(Embedding.region_id, Embedding.augmentation).where(
            Embedding.feature_set_id == feature_set_id, Embedding.region_id.in_(region_ids)
        )
    )
    return {(row.region_id, row.augmentation) for row in rows}


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
    scorers = loaded.several(session, heads, on_broken=_cannot_judge)
    problems = loaded.problems(session, feature_set.id, rows.region_ids)
    answers = prediction.ask(scorers, rows, problems=problems, on_broken=_cannot_judge)
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
