"""Tasks, recipes, heads, and the jobs that train them."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import (
    BaseModel,
    Field,
)

from app.api.schemas.common import Body, Name, Text
from app.models import Head, Job, Stage, Task


class TaskIn(Body):
    name: Name
    question: Text
    classes: list[Name] = Field(min_length=2, max_length=2)
    positive: Name


class TaskPatch(Body):
    """What the task's next heads decide by; null takes a statement back, and what is left out stays."""

    policy: Text | None = Field(
        default=None, description="such as `recall>=0.99@0.95` or `cost: miss=100, false-alarm=1`"
    )
    abstain: Text | None = Field(default=None, description="such as `review<=0.05` or `false-alarms<=0.01@0.95`")
    prevalence: float | None = Field(default=None, gt=0, lt=1, description="share of the positive class at work")
    blind: bool = Field(default=False, description="hide the heads' answers at the desk until an opinion is given")


class TaskOut(BaseModel):
    name: str
    question: str
    classes: list[str]
    positive: str = Field(description="the class that must not be missed")
    policy: str | None = Field(description="what its heads decide by unless a recipe says otherwise")
    abstain: str | None = Field(description="when its heads say `review`")
    prevalence: float | None = Field(description="share of the positive class where its heads work")
    blind: bool = Field(description="the desk hides its heads' answers until an opinion is given")

    @classmethod
    def of(cls, task: Task) -> "TaskOut":
        return cls(
            name=task.name, question=task.question, classes=task.classes, positive=task.positive,
            policy=task.policy, abstain=task.abstain, prevalence=task.prevalence, blind=task.blind,
        )  # fmt: skip


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


class PromotedOut(BaseModel):
    head: HeadOut
    previous: HeadOut | None
