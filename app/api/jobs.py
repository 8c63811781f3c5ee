"""`/v1/jobs`: lists of them, how far one is, its events as they happen, cancelling it, trying it again."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Header, Query
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse

from app import jobs
from app.api.problems import problems
from app.api.schemas import JobOut, Text, TrialOut
from app.api.schemas.job_lists import JobPage, ListedJobOut
from app.db import transaction
from app.deps import Admin, CallerDep, Parts, PartsDep, SessionDep
from app.errors import NotFound
from app.models import Job, JobState, Kind
from app.services import audit, job_lists, training, trials
from app.services.job_lists import JobFilter

router = APIRouter(prefix="/jobs", tags=["jobs"])
LOOK_SECONDS = 0.5
MOST_TRIALS = 500
RUNNING = (JobState.QUEUED, JobState.RUNNING)


@router.get("", responses=problems())
def list_jobs(
    session: SessionDep,
    _: CallerDep,
    state: Annotated[list[JobState] | None, Query(description="repeatable")] = None,
    kind: Annotated[list[Kind] | None, Query(description="repeatable")] = None,
    image_id: UUID | None = None,
    feature_set: Text | None = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    cursor: UUID | None = None,
) -> JobPage:
    """Jobs, the latest made first, with the scan or head that each is of; `state=failed` says what failed and why."""
    wanted = JobFilter(states=state or (), kinds=kind or (), image_id=image_id, feature_set=feature_set)
    found = job_lists.page(session, wanted, limit=limit + 1, before=cursor)
    return JobPage(
        items=[ListedJobOut.listed(one) for one in found[:limit]],
        next=found[limit - 1].job.id if len(found) > limit else None,
    )


@router.get("/{job_id}", responses=problems(404))
def read_job(job_id: UUID, session: SessionDep, _: CallerDep) -> JobOut:
    """A job: its state, how far it is, and why it failed."""
    return JobOut.of(_found(session.get(Job, job_id), job_id))


@router.delete("/{job_id}", responses=problems(404, 409))
def cancel_job(job_id: UUID, session: SessionDep, caller: Admin) -> JobOut:
    """Cancel a job that has not ended; a running one stops at its next step."""
    job = jobs.cancel(session, job_id)
    if job.kind == Kind.TRAIN and job.head_id is not None:
        training.abandon(session, job.head_id)
    audit.record(session, caller.name, "job.cancel", "job", job_id, kind=job.kind)
    return JobOut.of(job)


@router.post("/{job_id}/retry", responses=problems(404, 409))
def retry_job(job_id: UUID, session: SessionDep, caller: Admin) -> JobOut:
    """Queue an extraction that was given up again, its tries counted anew."""
    return JobOut.of(job_lists.retry(session, job_id, author=caller.name))


@router.get(
    "/{job_id}/events",
    response_class=StreamingResponse,
    responses={
        200: {"description": "Server-sent events: `trial`, `progress`, `end`", "content": {"text/event-stream": {}}},
        **problems(404),
    },
)
def follow_job(
    job_id: UUID,
    session: SessionDep,
    parts: PartsDep,
    _: CallerDep,
    seconds: Annotated[
        float, Query(ge=0, le=300, description="after which the stream ends, to be taken up again")
    ] = 25,
    last_event_id: Annotated[str | None, Header(description="the `id` of the last event that was heard")] = None,
) -> StreamingResponse:
    """A job's events as they happen; a browser's `EventSource` reconnects and goes on where it was.

    `trial` tells one candidate's AUC on one fold, `progress` how far the job is, `end` how it ended.
    """
    _found(session.get(Job, job_id), job_id)
    return StreamingResponse(_events(parts, job_id, _number(last_event_id), seconds), media_type="text/event-stream")


async def _events(parts: Parts, job_id: UUID, after: int, seconds: float) -> AsyncIterator[str]:
    deadline = time.monotonic() + seconds
    told: dict[str, Any] = {}
    yield "retry: 1000\n\n"
    while True:
        found, job = await run_in_threadpool(_look, parts, job_id, after)
        for trial in found:
            after = trial.id
            yield _event("trial", trial.model_dump(mode="json"), number=trial.id)
        if job is None:
            return
        progress = {"state": job.state, **job.progress.model_dump()}
        if progress != told:
            yield _event("progress", progress)
            told = progress
        if job.state not in RUNNING and len(found) < MOST_TRIALS:
            yield _event("end", job.model_dump(mode="json"))
            return
        if time.monotonic() >= deadline:
            return
        await asyncio.sleep(min(LOOK_SECONDS, max(0.0, deadline - time.monotonic())))


def _look(parts: Parts, job_id: UUID, after: int) -> tuple[list[TrialOut], JobOut | None]:
    """What is new; the job is read first, so that no trial that ended before it can be missed."""
    with transaction(parts.sessions) as session:
        job = session.get(Job, job_id)
        if job is None:
            return [], None
        head_id = job.head_id if job.kind == Kind.TRAIN else None
        now = JobOut.of(job)
        found = trials.of_head(session, head_id, after=after, limit=MOST_TRIALS) if head_id else []
        return [TrialOut.of(trial) for trial in found], now


def _event(name: str, body: dict[str, Any], *, number: int | None = None) -> str:
    identity = "" if number is None else f"id: {number}\n"
    return f"{identity}event: {name}\ndata: {json.dumps(body)}\n\n"


def _number(last_event_id: str | None) -> int:
    """The trial that was heard last; 0, the beginning, for what is no number of ours."""
    given = last_event_id or ""
    return int(given) if given.isascii() and given.isdigit() and len(given) < 19 else 0


def _found(job: Job | None, job_id: UUID) -> Job:
    if job is None:
        raise NotFound(f"There is no job {job_id}.")
    return job
