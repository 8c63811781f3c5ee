"""Jobs as lists."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, Field

from app.api.schemas.heads import JobOut
from app.services.job_lists import AGAIN, ListedJob


class JobImage(BaseModel):
    id: UUID
    name: str | None
    subject: str | None


class JobHead(BaseModel):
    task: str
    version: int


class ListedJobOut(JobOut):
    image: JobImage | None
    head: JobHead | None
    feature_set: str | None
    started_at: datetime | None
    may_retry: bool = Field(description="whether POST /v1/jobs/{id}/retry takes it")

    @classmethod
    def listed(cls, found: ListedJob) -> "ListedJobOut":
        job = found.job
        return cls(
            **JobOut.of(job).model_dump(),
            image=JobImage(id=job.image_id, name=found.file_name, subject=found.subject) if job.image_id else None,
            head=JobHead(task=found.task, version=found.version) if found.task and found.version else None,
            feature_set=found.feature_set, started_at=job.started_at,
            may_retry=job.kind in AGAIN and job.state == "failed",
        )  # fmt: skip


class JobPage(BaseModel):
    items: list[ListedJobOut]
    next: UUID | None = Field(description="`cursor` of the next page; null on the last")
