"""Probable label errors and the decisions on them."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from app.api.schemas.common import Body
from app.api.schemas.images import HeadRef
from app.services.label_review import Bound, Decided, Review, State, Suspect
from app.services.suspect_neighbours import LabelledNeighbour

Share = Annotated[float, Field(ge=0, le=1)]


class LabelledNeighbourOut(BaseModel):
    image_id: UUID
    name: str | None
    label: str = Field(description="the class that counts")
    distance: float = Field(description="cosine distance, 0 to 2")
    thumbnail: str


class ReviewedOut(BaseModel):
    """The review label that settled a suspect."""

    label_id: int = Field(description="what POST /v1/labels/withdrawals takes back")
    author: str
    at: datetime


class LabelErrorOut(BaseModel):
    rank: int = Field(description="1 is the most suspect")
    image_id: UUID
    given: str = Field(description="the class that the head was told")
    suggested: str
    label: str = Field(description="the class that counts now")
    state: State
    decided: ReviewedOut | None = Field(description="who accepted or confirmed it")
    likely: bool = Field(description="the confident joint counts it as an error")
    self_confidence: float = Field(description="out-of-fold probability of the given class, at the rows' own mix")
    probabilities: dict[str, float] = Field(description="out of fold, as the head states them")
    thumbnail: str
    neighbours: list[LabelledNeighbourOut] = Field(description="the nearest images with a label")

    @classmethod
    def of(cls, one: Suspect, near: list[LabelledNeighbour]) -> "LabelErrorOut":
        return cls(
            rank=one.rank, image_id=one.image_id, given=one.given, suggested=one.suggested, label=one.label,
            state=one.state, decided=_reviewed(one), likely=one.likely, self_confidence=one.self_confidence,
            probabilities=one.probabilities, thumbnail=_thumbnail(one.image_id),
            neighbours=[
                LabelledNeighbourOut(
                    image_id=n.image_id, name=n.file_name, label=n.class_name, distance=n.distance,
                    thumbnail=_thumbnail(n.image_id),
                )
                for n in near
            ],
        )  # fmt: skip


def _reviewed(one: Suspect) -> ReviewedOut | None:
    label = one.decided
    return None if label is None else ReviewedOut(label_id=label.id, author=label.author, at=label.at)


def _thumbnail(image_id: UUID) -> str:
    return f"/v1/images/{image_id}/thumbnail"


class LabelErrorPage(BaseModel):
    head: HeadRef
    rows: int = Field(description="rows that the head answered out of fold")
    suspects: int = Field(description="those where it speaks for another class")
    likely: int
    states: dict[State, int] = Field(description="how many suspects are in each state")
    estimated_errors: float
    noise: dict[str, dict[str, float]] = Field(description="by true class, the estimated share of each given class")
    items: list[LabelErrorOut]
    next: int | None = Field(description="`cursor` of the next page; null on the last")

    @classmethod
    def of(cls, found: Review, items: list[LabelErrorOut], next_rank: int | None) -> "LabelErrorPage":
        return cls(
            head=HeadRef(id=found.head.id, version=found.head.version), rows=found.rows, likely=found.likely,
            suspects=len(found.suspects), states=found.states, estimated_errors=found.estimated_errors,
            noise=found.noise, items=items, next=next_rank,
        )  # fmt: skip


class BoundIn(Body):
    """One of the three: which open suspects are meant."""

    first: int | None = Field(default=None, ge=1, le=2**31 - 1, description="those of the first ranks")
    below: Share | None = Field(default=None, description="those with at most this self-confidence")
    likely: bool = Field(default=False, description="all that are likely")

    def to_bound(self) -> Bound:
        return Bound(first=self.first, below=self.below, likely=self.likely)


class LabelDecisionIn(Body):
    """One of `image_ids` and `bulk`."""

    decision: Literal["accept", "reject"]
    image_ids: list[UUID] | None = Field(default=None, min_length=1, max_length=1000)
    bulk: BoundIn | None = None
    dry_run: bool = Field(default=False, description="count, and store nothing")


class LabelDecisionOut(BaseModel):
    decision: str
    dry_run: bool
    suspects: int = Field(description="how many the decision is on")
    stored: int = Field(description="new review labels; the same reviewer's same word is stored once")
    changes: dict[str, int] = Field(description="given -> stated: how many")
    label_ids: list[int] = Field(description="the caller's labels that say so: what an undo withdraws")

    @classmethod
    def of(cls, decision: str, done: Decided, *, dry_run: bool) -> "LabelDecisionOut":
        return cls(
            decision=decision, dry_run=dry_run, suspects=done.suspects, stored=done.stored, changes=done.changes,
            label_ids=done.label_ids,
        )  # fmt: skip
