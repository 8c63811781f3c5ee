"""Heads as lists for people: versions with their figures, what works on them, what they can be trained on."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from app.models import FeatureSet, Head, Image, Job, JobState, Kind, Promotion
from app.services.filters import EFFECTIVE_LABEL

# What a list shows of a report, which is up to some 50 kB: only this is read.
_SHOWN = ("out_of_fold", "contract", "rows", "dataset", "policy", "abstain", "pooling", "params", "prevalence")
_UNFINISHED = (JobState.QUEUED, JobState.RUNNING)


@dataclass(frozen=True)
class ListedHead:
    """A head version, what a list shows of its report (None while it has none), and its feature set's name."""

    head: Head
    report: dict[str, Any] | None
    feature_set: str


def versions(session: Session, task: str) -> list[ListedHead]:
    """Every head version of a task, newest first."""
    parts = [Head.report[name].label(name) for name in _SHOWN]
    rows = session.execute(
        select(Head, FeatureSet.name, *parts)
        .join(FeatureSet, FeatureSet.id == Head.feature_set_id)
        .where(Head.task == task)
        .order_by(Head.version.desc())
    )
    return [ListedHead(row[0], _told(row[2:]), row[1]) for row in rows]


def _told(values: Sequence[Any]) -> dict[str, Any] | None:
    told = dict(zip(_SHOWN, values, strict=True))
    return told if told["out_of_fold"] else None


def jobs(session: Session, head_ids: Sequence[UUID], *kinds: Kind) -> dict[UUID, Job]:
    """The latest job of these kinds for each of the heads that has one."""
    query = select(Job).where(Job.head_id.in_(head_ids), Job.kind.in_(kinds)).order_by(Job.created_at)
    return {job.head_id: job for job in session.scalars(query) if job.head_id is not None}


def at_work(session: Session, head_ids: Sequence[UUID], *kinds: Kind) -> dict[UUID, Job]:
    """The same, of jobs that have not ended."""
    return {head: job for head, job in jobs(session, head_ids, *kinds).items() if job.state in _UNFINISHED}


def live_since(session: Session, head_id: UUID) -> datetime | None:
    """When a head went live, the last time."""
    return session.scalar(select(func.max(Promotion.at)).where(Promotion.head_id == head_id))


def labelled(session: Session, task: str) -> dict[str, int]:
    """How many images are labelled as each class, by the labels that count."""
    counted = f"SELECT class_name, count(*) AS n FROM ({EFFECTIVE_LABEL}) l GROUP BY 1"
    return {row.class_name: row.n for row in session.execute(text(counted), {"task": task})}


def present(session: Session, image_ids: Sequence[UUID]) -> set[UUID]:
    """Which of the images still exist."""
    return set(session.scalars(select(Image.id).where(Image.id.in_(image_ids))))
