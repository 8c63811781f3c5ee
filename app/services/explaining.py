"""Explanations as workers make them: what to take, what to store."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session

from app import jobs
from app.jobs import Claim
from app.models import Explanation, FeatureSet, Image, Kind, Region


@dataclass(frozen=True)
class Assignment:
    """What a worker needs to make the explanations of a claimed job; `region_ids` by ordinal."""

    claim: Claim
    sha256: bytes
    feature_set_id: int
    head_id: UUID
    region_ids: Mapping[int, int]


@dataclass(frozen=True)
class Made:
    """A region's explanation, ready to be stored."""

    region_id: int
    method: str
    heat: list[list[float]]
    facts: dict[str, Any]


def take(
    session: Session, feature_set_ids: Sequence[int], *, worker_id: UUID, lease_seconds: float
) -> Assignment | None:
    """Claim one explanation of a feature set that is served."""
    claims = jobs.claim_of(
        session, [Kind.EXPLAIN], dict.fromkeys(feature_set_ids, 1), worker_id=worker_id, lease_seconds=lease_seconds
    )
    if not claims:
        return None
    claim = claims[0]
    assert claim.head_id is not None
    feature_set = session.get_one(FeatureSet, claim.feature_set_id)
    regions = session.execute(
        select(Region.ordinal, Region.id).where(Region.image_id == claim.image_id, Region.cut == feature_set.cut)
    )
    image = session.get_one(Image, claim.image_id)
    ids = {row.ordinal: row.id for row in regions}
    return Assignment(claim, image.sha256, feature_set.id, claim.head_id, ids)


def store(session: Session, claim: Claim, made: Sequence[Made]) -> bool:
    """Store explanations and finish their job; whether it was still ours. What is stored already stays."""
    if not jobs.hold(session, [claim]):
        return False
    rows = [{**asdict(one), "head_id": claim.head_id} for one in made]
    session.execute(upsert(Explanation).on_conflict_do_nothing(), rows)
    jobs.finish(session, [claim.job_id])
    return True
