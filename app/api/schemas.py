"""What goes over the wire. Fields may be added; these stay."""

import re
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictFloat,
    StrictInt,
    StringConstraints,
)

from app.models import ApiKey, AuditEvent, FeatureSet, Head, Job, Label, Role, Stage, Task, Worker
from app.services.images import ImageView, PredictionView
from app.services.ingest import Metadata
from app.vectors import Neighbours


def _storable(value: str) -> str:
    if "\x00" in value:
        raise ValueError("must not contain a NUL character")
    return value


_DATE_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]")


def _written_out(value: object) -> object:
    """Refuse numbers, which would pass as seconds since 1970."""
    if not isinstance(value, str) or not _DATE_TIME.match(value):
        raise ValueError("must be an ISO 8601 time with a time zone, such as 2026-05-01T10:00:00Z")
    return value


def _photographable(value: datetime) -> datetime:
    """Between the discovery of X-rays and the last year that every time zone can write."""
    if not 1895 <= value.year < 9999:
        raise ValueError("must lie between the years 1895 and 9998")
    return value


Moment = Annotated[AwareDatetime, BeforeValidator(_written_out), AfterValidator(_photographable)]
Text = Annotated[str, StringConstraints(max_length=256), AfterValidator(_storable)]
KeyName = Annotated[str, StringConstraints(min_length=1, max_length=128), AfterValidator(_storable)]
LongText = Annotated[str, StringConstraints(max_length=4096), AfterValidator(_storable)]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?$")]
State = Literal["pending", "ready", "failed"]
Number = StrictInt | StrictFloat


class Body(BaseModel):
    """A request body: an unknown field is an error, not a guess."""

    model_config = ConfigDict(extra="forbid")


class Problem(BaseModel):
    """Problem details (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    reason: str | None = None


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
    decision: str
    threshold: float = Field(description="on the positive class's probability")
    feature_set: str
    at: datetime

    @classmethod
    def of(cls, view: PredictionView) -> "PredictionOut":
        return cls(
            task=view.task, region=RegionOut(id=view.region_id, box=view.box),
            head=HeadRef(id=view.head_id, version=view.head_version), probabilities=view.probabilities,
            decision=view.decision, threshold=view.threshold, feature_set=view.feature_set, at=view.at,
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
    tags: list[str]
    declared: dict[str, str]
    predictions: list[PredictionOut]
    discrepancies: list[str] = Field(description="tasks whose declaration and decision disagree")

    @classmethod
    def of(cls, view: ImageView) -> "ImageOut":
        image = view.image
        return cls(
            id=image.id, sha256=image.sha256.hex(), state=view.state, error=view.error,
            width=image.width, height=image.height, media_type=image.media_type,
            byte_count=image.byte_count, bit_depth=image.bit_depth, name=image.file_name,
            subject=image.subject, source=image.source, captured_at=image.captured_at,
            received_at=image.received_at, tags=image.tags, declared=view.declared,
            predictions=[PredictionOut.of(p) for p in view.predictions], discrepancies=view.discrepancies,
        )  # fmt: skip


class RefusedOut(BaseModel):
    name: str
    problem: Problem


class UploadOut(BaseModel):
    images: list[ImageOut]
    refused: list[RefusedOut]


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

    def to_metadata(self) -> Metadata:
        return Metadata(self.subject, self.source, self.captured_at, tuple(self.tags), dict(self.declared))


class LabelIn(Body):
    class_name: Name = Field(alias="class")
    reason: LongText | None = None


class LabelOut(BaseModel):
    model_config = ConfigDict(populate_by_name=True)

    task: str
    class_name: str = Field(serialization_alias="class")
    author: str
    source: str
    reason: str | None
    at: datetime

    @classmethod
    def of(cls, label: Label) -> "LabelOut":
        return cls(
            task=label.task, class_name=label.class_name, author=label.author, source=label.source,
            reason=label.reason, at=label.at,
        )  # fmt: skip


class PredictIn(Body):
    image_id: UUID


class PredictOut(BaseModel):
    image: ImageOut
    predictions: list[PredictionOut] = Field(description="of the task asked about; empty while pending")


class FilterIn(Body):
    source: Text | None = None
    subject: Text | None = None
    tag: Text | None = None
    captured_from: Moment | None = None
    captured_until: Moment | None = None
    received_from: Moment | None = None
    received_until: Moment | None = None
    state: State | None = None
    task: Name | None = None
    label: Name | None = Field(default=None, description="class of `task` by the label that counts")
    decision: Name | None = Field(default=None, description="class of `task` by its live head")


class SearchIn(Body):
    """One of `image_id` and `vector`; a file is sent as multipart instead."""

    image_id: UUID | None = None
    vector: list[float] | None = Field(default=None, max_length=4096, description="average-pooled")
    feature_set: Text | None = None
    filter: FilterIn = FilterIn()
    limit: int = Field(default=10, ge=1, le=100)
    exact: bool = False


class NeighbourOut(BaseModel):
    image: ImageOut
    distance: float = Field(description="cosine distance, 0 to 2")


class NeighboursOut(BaseModel):
    feature_set: str
    metric: Literal["cosine"] = "cosine"
    approximate: bool
    exhausted: bool = Field(description="fewer images match than were asked for")
    neighbours: list[NeighbourOut]

    @classmethod
    def of(cls, feature_set: FeatureSet, found: Neighbours, views: list[ImageView]) -> "NeighboursOut":
        by_id = {view.image.id: ImageOut.of(view) for view in views}
        return cls(
            feature_set=feature_set.name, approximate=found.approximate, exhausted=found.exhausted,
            neighbours=[
                NeighbourOut(image=by_id[n.image_id], distance=n.distance)
                for n in found.found if n.image_id in by_id
            ],
        )  # fmt: skip


class TaskIn(Body):
    name: Name
    question: Text
    classes: list[Name] = Field(min_length=2, max_length=2)
    positive: Name


class TaskOut(BaseModel):
    name: str
    question: str
    classes: list[str]
    positive: str = Field(description="the class that must not be missed")

    @classmethod
    def of(cls, task: Task) -> "TaskOut":
        return cls(name=task.name, question=task.question, classes=task.classes, positive=task.positive)


class TrainIn(Body):
    """A recipe; what is left out has the documented default."""

    algorithm: Literal["logistic-regression", "rbf-svm", "keras-network"] = "logistic-regression"
    pooling: Literal["avg", "max", "both"] = "both"
    # int first and strict: a whole number that arrived as 200.0 is no `max_iter`, and `true` no number.
    params: dict[str, Number | list[Number]] = Field(default={}, max_length=16)
    class_weight: Literal["balanced"] | dict[Name, float] | None = None
    folds: int = Field(default=5, ge=2, le=20)
    seed: int = Field(default=0, ge=0, lt=2**32)
    policy: Text | None = Field(default=None, description="how the threshold is chosen, such as `recall>=0.95`")
    feature_set: Text | None = None


class HeadOut(BaseModel):
    id: UUID
    task: str
    version: int
    stage: Stage
    algorithm: str
    feature_set: str
    threshold: float | None
    author: str
    created_at: datetime
    trained_at: datetime | None

    @classmethod
    def of(cls, head: Head, feature_set: str) -> "HeadOut":
        return cls(
            id=head.id, task=head.task, version=head.version, stage=Stage(head.stage),
            algorithm=head.algorithm, feature_set=feature_set, threshold=head.threshold,
            author=head.author, created_at=head.created_at, trained_at=head.trained_at,
        )  # fmt: skip


class Progress(BaseModel):
    done: int
    total: int


class JobOut(BaseModel):
    id: UUID
    kind: str
    state: str
    progress: Progress
    error: dict[str, Any] | None
    image_id: UUID | None
    head_id: UUID | None
    attempts: int
    created_at: datetime
    finished_at: datetime | None

    @classmethod
    def of(cls, job: Job) -> "JobOut":
        return cls(
            id=job.id, kind=job.kind, state=job.state, progress=Progress(done=job.done, total=job.total),
            error=job.error, image_id=job.image_id, head_id=job.head_id, attempts=job.attempts,
            created_at=job.created_at, finished_at=job.finished_at,
        )  # fmt: skip


class TrainOut(BaseModel):
    job: JobOut
    head: HeadOut


class PromotedOut(BaseModel):
    head: HeadOut
    previous: HeadOut | None


class FeatureSetOut(BaseModel):
    name: str
    digest: str
    avg_dim: int
    max_dim: int
    live: bool
    spec: dict[str, Any]

    @classmethod
    def of(cls, stored: FeatureSet) -> "FeatureSetOut":
        return cls(
            name=stored.name, digest=stored.digest, avg_dim=stored.avg_dim, max_dim=stored.max_dim,
            live=stored.live, spec=stored.spec,
        )  # fmt: skip


class WorkerOut(BaseModel):
    id: UUID
    kind: str
    host: str
    pid: int
    engine: str | None
    started_at: datetime
    seen_at: datetime

    @classmethod
    def of(cls, worker: Worker) -> "WorkerOut":
        return cls(
            id=worker.id, kind=worker.kind, host=worker.host, pid=worker.pid, engine=worker.engine,
            started_at=worker.started_at, seen_at=worker.seen_at,
        )  # fmt: skip


class StatsOut(BaseModel):
    images: int
    pending: int
    failed: int
    oldest_pending_seconds: float | None
    jobs: dict[str, dict[str, int]]
    embeddings: dict[str, int]
    live_heads: dict[str, int]
    workers: list[WorkerOut]


class KeyIn(Body):
    name: KeyName
    role: Role


class KeyOut(BaseModel):
    id: UUID
    name: str
    role: Role
    created_at: datetime
    revoked_at: datetime | None

    @classmethod
    def of(cls, key: ApiKey) -> "KeyOut":
        return cls(
            id=key.id,
            name=key.name,
            role=Role(key.role),
            created_at=key.created_at,
            revoked_at=key.revoked_at,
        )


class NewKeyOut(BaseModel):
    key: KeyOut
    secret: str = Field(description="shown this once")


class AuditOut(BaseModel):
    id: int
    at: datetime
    actor: str
    action: str
    object_kind: str
    object_id: str
    detail: dict[str, Any]

    @classmethod
    def of(cls, event: AuditEvent) -> "AuditOut":
        return cls(
            id=event.id, at=event.at, actor=event.actor, action=event.action,
            object_kind=event.object_kind, object_id=event.object_id, detail=event.detail,
        )  # fmt: skip


class AuditPage(BaseModel):
    items: list[AuditOut]
    next: int | None
