"""Jobs as lists: what waits, what failed and why, of which scan; and one more try for what was given up."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select, text, tuple_
from sqlalchemy.orm import Session

from app.db import JOBS_CHANNEL, notify
from app.errors import Conflict, InvalidInput, NotFound
from app.models import FeatureSet, Head, Image, Job, JobState, Kind
from app.services import audit

AGAIN = (Kind.EXTRACT, Kind.AUGMENT)


@dataclass(frozen=True, kw_only=True)
class JobFilter:
    """Conditions that must all hold."""

    states: Sequence[str] = ()
    kinds: Sequence[str] = ()
    image_id: UUID | None = None
    feature_set: str | None = None


@dataclass(frozen=True)
class ListedJob:
    """A job with what names its scan, its feature set and its head."""

    job: Job
    file_name: str | None
    subject: str | None
    feature_set: str | None
    task: str | None
    version: int | None


def page(session: Session, wanted: JobFilter, *, limit: int, before: UUID | None = None) -> list[ListedJob]:
    """Jobs, the latest made first; `before` is the one that ended the page before."""
    query = (
        select(Job, Image.file_name, Image.subject, FeatureSet.name, Head.task, Head.version)
        .outerjoin(Image, Image.id == Job.image_id)
        .outerjoin(FeatureSet, FeatureSet.id == Job.feature_set_id)
        .outerjoin(Head, Head.id == Job.head_id)
    )
    if wanted.states:
        query = query.where(Job.state.in_(wanted.states))
    if wanted.kinds:
        query = query.where(Job.kind.in_(wanted.kinds))
    if wanted.image_id is not None:
        query = query.where(Job.image_id == wanted.image_id)
    if wanted.feature_set is not None:
        query = query.where(FeatureSet.name == wanted.feature_set)
    if before is not None:
        last = session.get(Job, before)
        if last is None:
            raise InvalidInput("The cursor is of no page of these jobs any more; begin again without it.")
        query = query.where(tuple_(Job.created_at, Job.id) < (last.created_at, last.id))
    rows = session.execute(query.order_by(Job.created_at.desc(), Job.id.desc()).limit(limit))
    return [ListedJob(*row) for row in rows]


def retry(session: Session, job_id: UUID, *, author: str) -> Job:
    """Queue a given-up extraction again, its tries counted anew; one that waits or runs already stays as it is.

    Raise NotFound, or Conflict for another kind of job and for one that has ended otherwise.
    """
    job = session.get(Job, job_id, with_for_update=True)
    if job is None:
        raise NotFound(f"There is no job {job_id}; its scan may have been deleted, or it succeeded long ago.")
    if job.kind not in AGAIN:
        raise Conflict(f"A job of kind {job.kind} is not tried again: ask anew for what it was to do.")
    if job.state in (JobState.QUEUED, JobState.RUNNING):
        return job
    if job.state != JobState.FAILED:
        raise Conflict(f"Job {job_id} has {job.state}; only what failed is tried again.")
    session.execute(
        text(
            "UPDATE job SET state = 'queued', attempts = 0, losses = 0, error = NULL, finished_at = NULL, "
            "run_after = now() WHERE id = :id"
        ),
        {"id": job_id},
    )
    session.refresh(job)
    notify(session, JOBS_CHANNEL, job.kind)
    audit.record(session, author, "job.retry", "job", job_id, kind=job.kind, image=str(job.image_id))
    return job
