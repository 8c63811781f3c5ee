"""Frozen datasets: named versions of labelled rows, looked up, listed, frozen."""

import hashlib
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.datasets.content import Entry
from app.errors import InvalidInput, NotFound
from app.models import Dataset, FeatureSet, Split, Task
from app.services import dataset_versions
from app.services.dataset_rows import Selection, candidates

LONGEST_NAME = 64


def get(session: Session, dataset_id: UUID) -> Dataset:
    """The dataset of this id. Raise NotFound."""
    found = session.get(Dataset, dataset_id)
    if found is None:
        raise NotFound(f"There is no dataset {dataset_id}.")
    return found


def named(session: Session, text: str) -> Dataset:
    """The dataset `NAME@VERSION`, or the newest version of `NAME`. Raise NotFound, or InvalidInput for no number."""
    name, at, version = text.partition("@")
    if at and not (version.isascii() and version.isdigit() and len(version) < 10):
        raise InvalidInput(f"'{text}' is no dataset; write NAME@VERSION, such as {name or 'chest'}@1, or NAME.")
    query = select(Dataset).where(Dataset.name == name).order_by(Dataset.version.desc()).limit(1)
    found = session.scalar(query.where(Dataset.version == int(version)) if at else query)
    if found is None:
        known = session.scalars(select(Dataset.name).distinct().order_by(Dataset.name).limit(20))
        raise NotFound(f"There is no dataset {text}; there are: {', '.join(known) or 'none'}.")
    return found


def automatic(session: Session, task: Task, feature_set: FeatureSet, *, author: str) -> Dataset:
    """Every labelled, extracted row of a task, frozen to be trained on: `TASK-training`, a new version if it changed.

    Raise InvalidInput when there is no such row.
    """
    rows = candidates(session, task, feature_set, Selection())
    entries = [Entry(row.sha256, row.ordinal, row.class_name, row.subject, Split.TRAIN) for row in rows]
    return dataset_versions.keep(
        session, _automatic_name(task.name), task, feature_set,
        [(row.region_id, row.image_id) for row in rows], entries,
        author=author, selection={}, split={"method": "none"}, findings={},
    )  # fmt: skip


def _automatic_name(task: str) -> str:
    name = f"{task}-training"
    if len(name) <= LONGEST_NAME:
        return name
    return f"{task[:46]}-{hashlib.sha256(task.encode()).hexdigest()[:8]}-training"
