"""Watching a job from the terminal until it ends."""

import time
from collections.abc import Callable

from sqlalchemy.orm import Session

from app import jobs
from app.cli.output import note, progress_bar
from app.cli.store import Store
from app.db import transaction
from app.errors import Cancelled, HeadRefused, Unavailable
from app.models import Job, JobState, Kind
from app.services import stats, training

LOOK_SECONDS = 0.2


def follow(store: Store, job: Job, what: str, headline: Callable[[Session], str] = lambda _: "") -> None:
    """Return when `job`, a training worker's, has succeeded; `headline` is shown beside the bar.

    Ctrl-C cancels it. Raises what it failed with, Cancelled, or Unavailable when no training worker is alive.
    """
    patience = time.monotonic() + store.settings.alive_seconds
    try:
        with progress_bar(what) as (bar, line):
            while True:
                with transaction(store.sessions) as session:
                    now = session.get_one(Job, job.id)
                    alive = stats.alive_workers(session, within_seconds=store.settings.alive_seconds)
                    bar.update(line, completed=now.done, total=now.total, description=f"{what} {headline(session)}")
                if now.state == JobState.SUCCEEDED:
                    return
                if now.state in (JobState.FAILED, JobState.CANCELLED):
                    raise HeadRefused(f"The {what} {now.state}: {(now.error or {}).get('message', 'no reason given')}")
                if not any(worker.kind == "train" for worker in alive) and time.monotonic() > patience:
                    raise Unavailable(
                        f"Job {job.id} waits, but no training worker runs on this store; "
                        "start `penumbra up` (or `penumbra worker train`): the job stays queued."
                    )
                time.sleep(LOOK_SECONDS)
    except KeyboardInterrupt:
        with transaction(store.sessions) as session:
            cancel(session, job)
        note("")
        raise Cancelled(f"The {what} was cancelled; nothing was registered.") from None


def cancel(session: Session, job: Job) -> None:
    """Cancel a job and give up the head that it would have trained."""
    jobs.cancel(session, job.id)
    if job.kind == Kind.TRAIN and job.head_id is not None:
        training.abandon(session, job.head_id)
