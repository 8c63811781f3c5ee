"""The gate, replays, promotion."""

from dataclasses import asdict
from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, Field, StringConstraints

from app.api.schemas.common import Body
from app.models import ReplayFlip
from app.services.gate import Check, failures
from app.services.replay import Standing

# Something to read in it, and no NUL, which the audit trail cannot keep.
Reason = Annotated[str, StringConstraints(min_length=3, max_length=1024, pattern=r"^[^\x00]*[^\s\x00][^\x00]*$")]


class PromoteIn(Body):
    override: Reason | None = Field(
        default=None, description="why to promote although a check fails that may be weighed; the audit trail keeps it"
    )


class CheckOut(BaseModel):
    name: str
    passed: bool | None = Field(description="null: there was nothing to measure on, and nothing is stopped")
    says: str
    measured: float | None
    bound: float | None
    overridable: bool


class GateOut(BaseModel):
    head_id: UUID
    passed: bool
    margin: float
    checks: list[CheckOut]

    @classmethod
    def of(cls, head_id: UUID, margin: float, checks: list[Check]) -> "GateOut":
        return cls(
            head_id=head_id, passed=not failures(checks), margin=margin,
            checks=[CheckOut(**asdict(check)) for check in checks],
        )  # fmt: skip


class ReplayOut(BaseModel):
    """What a promotion would change: regions by decision before and after, `(unjudged)` where no live head spoke."""

    id: UUID
    head_id: UUID
    against_id: UUID | None = Field(description="the head that was live")
    regions: int
    flipped: int
    flips: dict[str, dict[str, int]]
    seconds: float
    at: datetime
    newcomers: int = Field(description="regions extracted since")
    current: bool = Field(description="whether a promotion may rest on it now")
    outdated: str | None = Field(description="why it may not")

    @classmethod
    def of(cls, standing: Standing) -> "ReplayOut":
        replay = standing.replay
        return cls(
            id=replay.id, head_id=replay.head_id, against_id=replay.against_id, regions=replay.regions,
            flipped=replay.flipped, flips=replay.flips, seconds=replay.seconds, at=replay.at,
            newcomers=standing.newcomers, current=standing.outdated is None, outdated=standing.outdated,
        )  # fmt: skip


class FlipOut(BaseModel):
    rank: int = Field(description="0 is the region whose probability moved furthest")
    image_id: UUID
    region_id: int
    before: str
    after: str
    probability_before: float = Field(description="of the positive class")
    probability_after: float

    @classmethod
    def of(cls, flip: ReplayFlip) -> "FlipOut":
        return cls(
            rank=flip.rank, image_id=flip.image_id, region_id=flip.region_id, before=flip.before, after=flip.after,
            probability_before=flip.probability_before, probability_after=flip.probability_after,
        )  # fmt: skip


class FlipPage(BaseModel):
    items: list[FlipOut]
    next: int | None
