"""Images, predictions, labels."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import (
    BaseModel,
    Field,
    StringConstraints,
)

from app.api.schemas.common import Body, Moment, Name, Problem, Profile, State, Text
from app.services.images import ImageView, PredictionView
from app.services.ingest import Metadata

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class RegionOut(BaseModel):
    id: int
    box: tuple[int, int, int, int] = Field(description="x, y, width, height in pixels")


class HeadRef(BaseModel):
    id: UUID
    version: int


class PredictionOut(BaseModel):
    task: str
    region: RegionOut
    head: HeadRef
    probabilities: dict[str, float]
    decision: str = Field(description="a class, `review`, or `cannot_judge`")
    reason: str | None = Field(description="why it cannot be judged; null otherwise")
    threshold: float = Field(description="on the positive class's probability")
    feature_set: str
    at: datetime

    @classmethod
    def of(cls, view: PredictionView) -> "PredictionOut":
        return cls(
            task=view.task, region=RegionOut(id=view.region_id, box=view.box),
            head=HeadRef(id=view.head_id, version=view.head_version), probabilities=view.probabilities,
            decision=view.decision, reason=view.reason, threshold=view.threshold, feature_set=view.feature_set,
            at=view.at,
        )  # fmt: skip


class ImageOut(BaseModel):
    id: UUID
    sha256: str
    state: State
    error: dict[str, Any] | None
    width: int
    height: int
    media_type: str
    byte_count: int
    bit_depth: int
    name: str | None
    subject: str | None
    source: str | None
    captured_at: datetime | None
    received_at: datetime
    profile: str | None = Field(description="the kind of scan, where it is known")
    frames: int
    facts: dict[str, Any] = Field(description="what the file says of the picture, and of nobody's identity")
    tags: list[str]
    declared: dict[str, str]
    predictions: list[PredictionOut]
    decisions: dict[str, str] = Field(
        description="by task, the worst of the regions': the positive class, then cannot_judge, then review"
    )
    discrepancies: list[str] = Field(description="tasks whose declaration and decision disagree")

    @classmethod
    def of(cls, view: ImageView) -> "ImageOut":
        image = view.image
        return cls(
            id=image.id, sha256=image.sha256.hex(), state=view.state, error=view.error,
            width=image.width, height=image.height, media_type=image.media_type,
            byte_count=image.byte_count, bit_depth=image.bit_depth, name=image.file_name,
            subject=image.subject, source=image.source, captured_at=image.captured_at,
            received_at=image.received_at, profile=image.profile, frames=image.frames, facts=image.facts,
            tags=image.tags, declared=view.declared,
            predictions=[PredictionOut.of(p) for p in view.predictions], decisions=view.decisions,
            discrepancies=view.discrepancies,
        )  # fmt: skip


class RefusedOut(BaseModel):
    name: str
    problem: Problem
    position: int = Field(description="which of the request's files it is, from 0")


class SentFileOut(BaseModel):
    position: int = Field(description="which of the request's files it is, from 0")
    image_id: UUID
    created: bool = Field(description="false: these bytes were here before")


class UploadOut(BaseModel):
    images: list[ImageOut]
    refused: list[RefusedOut]
    files: list[SentFileOut] = Field(description="every file that was taken, and which image it is")


class LookupIn(Body):
    """Images by id, by the digest of their bytes, or both."""

    ids: list[UUID] = Field(default=[], max_length=1000)
    sha256: list[Sha256] = Field(default=[], max_length=1000)


class LookupOut(BaseModel):
    images: list[ImageOut] = Field(description="those that are here")


class ImagePage(BaseModel):
    items: list[ImageOut]
    next: UUID | None = Field(description="`cursor` of the next page; null on the last")


class MetadataIn(Body):
    """What the sender knows of a scan."""

    subject: Text | None = None
    source: Text | None = None
    captured_at: Moment | None = None
    tags: list[Text] = Field(default=[], max_length=64)
    declared: dict[Name, Name] = Field(default={}, description="task: class")
    profile: Profile | None = Field(
        default=None, description="the kind of scan; if absent, what the declared tasks ask about"
    )

    def to_metadata(self) -> Metadata:
        return Metadata(
            self.subject, self.source, self.captured_at, tuple(self.tags), dict(self.declared), self.profile
        )


class PredictIn(Body):
    image_id: UUID


class PredictOut(BaseModel):
    image: ImageOut
    predictions: list[PredictionOut] = Field(description="of the task asked about; empty while pending")
