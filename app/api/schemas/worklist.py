"""Worklists, claims and opinions as they go over the wire."""

import json
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from app.api.schemas.common import Body, LongText, Moment, Name, Text
from app.api.schemas.images import HeadRef
from app.services.filters import ImageFilter
from app.services.opinions import Given, Verdict, Wanted
from app.services.worklist import Counts, Order, State, WorklistFilter
from app.services.worklist_items import Item

Pile = Literal["looks_positive", "looks_negative", "positive", "review", "cannot_judge", "agrees"]
_MOST_SHOWN = 16 * 1024


def _keepable(value: dict[str, Any]) -> dict[str, Any]:
    """What jsonb takes: no NUL, no half a surrogate pair, no number that is none; and not too much of it."""
    try:
        written = json.dumps(value, allow_nan=False, ensure_ascii=False)
        size = len(written.encode())
    except ValueError as error:
        raise ValueError("must be JSON that can be stored: finite numbers, whole characters") from error
    if size > _MOST_SHOWN or "\\u0000" in written:
        raise ValueError(f"must have at most {_MOST_SHOWN:,} bytes as JSON, and no NUL character")
    return value


Shown = Annotated[dict[str, Any], AfterValidator(_keepable)]
Share = Annotated[float, Field(ge=0, le=1)]
_CONDITIONS = (
    "source", "subject", "tag", "captured_from", "captured_until", "received_from", "received_until",
)  # fmt: skip


class WorklistFilterIn(Body):
    """Which images of the task are meant; all conditions must hold, and any of the piles."""

    pile: list[Pile] = Field(default=[], max_length=6)
    source: Text | None = None
    subject: Text | None = None
    tag: Text | None = None
    received_from: Moment | None = None
    received_until: Moment | None = None
    captured_from: Moment | None = None
    captured_until: Moment | None = None
    risk_from: Share | None = None
    risk_until: Share | None = Field(default=None, description="below this risk; 1 is no bound")
    state: State = Field(default=State.OPEN, description="open, done, skipped (by the caller) or all")

    def wanted(self, order: Order = Order.PILES) -> WorklistFilter:
        return WorklistFilter(
            where=ImageFilter(**{name: getattr(self, name) for name in _CONDITIONS}), piles=tuple(self.pile),
            risk_from=self.risk_from, risk_until=self.risk_until, state=self.state, order=order,
        )  # fmt: skip


class WorklistQuery(WorklistFilterIn):
    model_config = ConfigDict(extra="ignore")  # of an address, as everywhere in HTTP

    order: Order = Field(default=Order.PILES, description="pile by pile, or by expected finding alone")
    limit: int = Field(default=50, ge=1, le=200)
    cursor: Text | None = None


class CountsQuery(WorklistFilterIn):
    model_config = ConfigDict(extra="ignore")

    since: Moment | None = Field(default=None, description="when the caller's day began; midnight UTC without it")


class ClaimOut(BaseModel):
    author: str
    until: datetime
    mine: bool = Field(description="held by this browser or key")


class OpinionWithdrawalOut(BaseModel):
    author: str
    at: datetime


class OpinionOut(BaseModel):
    id: UUID
    image_id: UUID
    task: str
    verdict: Verdict
    class_name: str | None
    reason: str | None
    blind: bool
    author: str
    at: datetime
    withdrawn: OpinionWithdrawalOut | None

    @classmethod
    def of(cls, given: Given) -> "OpinionOut":
        one, taken_back = given.opinion, given.withdrawn
        return cls(
            id=one.id, image_id=one.image_id, task=one.task, verdict=Verdict(one.verdict), class_name=one.class_name,
            reason=one.reason, blind=one.blind, author=one.author, at=one.at,
            withdrawn=taken_back and OpinionWithdrawalOut(author=taken_back.author, at=taken_back.at),
        )  # fmt: skip


class WorklistItemOut(BaseModel):
    image_id: UUID
    task: str
    pile: str | None = Field(description="`hidden` in a blind task; null where the live head has not judged it")
    finding: float | None = Field(description="probability that opening it finds something")
    risk: float | None = Field(description="probability of the positive class, the greatest of its regions")
    decision: str | None
    declared: str | None
    probabilities: dict[str, float] | None
    reason: str | None = Field(description="why it cannot be judged")
    head: HeadRef | None
    subject: str | None
    source: str | None
    file_name: str | None
    width: int
    height: int
    frames: int
    captured_at: datetime | None
    received_at: datetime
    claim: ClaimOut | None
    opinion: OpinionOut | None

    @classmethod
    def of(cls, item: Item) -> "WorklistItemOut":
        image, said, held = item.image, item.said, item.claim
        return cls(
            image_id=image.id, task=item.task, pile=item.pile, finding=_plain(item.finding), risk=_plain(item.risk),
            decision=said and said.decision, declared=item.declared, probabilities=said and said.probabilities,
            reason=said and said.reason, head=item.head and HeadRef(id=item.head.id, version=item.head.version),
            subject=image.subject, source=image.source, file_name=image.file_name, width=image.width,
            height=image.height, frames=image.frames, captured_at=image.captured_at, received_at=image.received_at,
            claim=held and ClaimOut(author=held.author, until=held.until, mine=item.mine),
            opinion=item.opinion and OpinionOut.of(item.opinion),
        )  # fmt: skip


def _plain(value: float | None) -> float | None:
    """A float32 as it is written, not as the double that it becomes."""
    return None if value is None else round(value, 7)


class WorklistPage(BaseModel):
    items: list[WorklistItemOut]
    next: str | None = Field(description="`cursor` of the next page; null on the last")
    expected_findings: float | None = Field(description="sum over these items; null where one is hidden")
    blind: bool


class WorklistItems(BaseModel):
    items: list[WorklistItemOut]


class CountsOut(BaseModel):
    piles: dict[str, int] = Field(description="open images by pile")
    open: int = Field(description="without those that agree")
    done_today: int
    mine_today: int
    claimed: int = Field(description="images that somebody looks at now")

    @classmethod
    def of(cls, found: Counts) -> "CountsOut":
        return cls(**vars(found))


class ClaimsIn(Body):
    filter: WorklistFilterIn = WorklistFilterIn()
    order: Order = Order.PILES
    count: int = Field(default=1, ge=1, le=10)
    without: list[UUID] = Field(default=[], max_length=1000, description="images that the caller does not want")


class OpinionIn(Body):
    id: UUID = Field(description="the caller's own; sent again, it is the same opinion")
    image_id: UUID
    verdict: Verdict
    class_name: Name | None = Field(default=None, description="with confirm and correct")
    reason: LongText | None = None
    blind: bool = Field(default=False, description="the head's answer was hidden")
    shown: Shown = Field(default={}, description="what was on the screen")
    anyway: bool = Field(default=False, description="though somebody else looks at it or has decided")

    def wanted(self) -> Wanted:
        return Wanted(**self.model_dump())


class OpinionPage(BaseModel):
    items: list[OpinionOut]
    next: UUID | None = Field(description="`cursor` of the next page; null on the last")
