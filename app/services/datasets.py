"""Frozen datasets: named versions of labelled rows, looked up, listed, frozen."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app import vectors
from app.datasets import duplicates
from app.datasets.content import Entry
from app.datasets.splits import Method, SplitSpec
from app.errors import InvalidInput, NotFound, Unavailable
from app.models import Dataset, DatasetRow, FeatureSet, Head, Split, Task, TestScore
from app.services import dataset_splits, dataset_versions, tasks
from app.services.dataset_rows import Candidate, Selection, candidates, lost, told_apart

LONGEST_NAME = 64
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?")
ALL = Selection()
BY_SUBJECT = SplitSpec()


def freeze(
    session: Session,
    name: str,
    task_name: str,
    feature_set: FeatureSet,
    selection: Selection = ALL,
    split: SplitSpec = BY_SUBJECT,
    *,
    author: str,
    together: bool = False,
    allow_leaks: bool = False,
    duplicate_bound: float | None = duplicates.BOUND,
) -> Dataset:
    """Freeze labelled rows with vectors in one feature set, divided into splits: a version of `name`.

    What is frozen already is given back. `together` moves subjects and near-duplicates into one split; `allow_leaks`
    lets subjects be in several. Images that are labelled positive and have several regions are left out, and counted
    as `unclear`. Raise Conflict when one would be, InvalidInput or NotFound for what cannot be meant.
    """
    check_name(name)
    if duplicate_bound is not None:
        duplicates.check_bound(duplicate_bound)
    if together and allow_leaks:
        raise InvalidInput("Rows are moved together, or leaks are allowed; say one of the two.")
    task = tasks.named(session, task_name)
    meant = replace(selection, where=replace(selection.where, task=task.name))
    rows, unclear = told_apart(candidates(session, task, feature_set, meant), task.positive)
    splits: list[str] = []
    findings: dict[str, Any] = {}
    if rows:
        rows, splits, findings = dataset_splits.divided(
            rows, split, task.classes, lambda kept: _avg(session, feature_set, kept),
            together=together, allow_leaks=allow_leaks, bound=duplicate_bound,
        )  # fmt: skip
    if unclear:
        findings = {**findings, "unclear": unclear}
    entries = [Entry(r.sha256, r.ordinal, r.class_name, r.subject, s) for r, s in zip(rows, splits, strict=True)]
    return dataset_versions.keep(
        session, name, task, feature_set, [(row.region_id, row.image_id) for row in rows], entries,
        author=author, selection=selection.to_json(), findings=findings,
        split=split.to_json() | _said(split, together=together, bound=duplicate_bound),
    )  # fmt: skip


def _said(split: SplitSpec, *, together: bool, bound: float | None) -> dict[str, Any]:
    return {} if split.method is Method.NONE else {"together": together, "duplicate_bound": bound}


def check_name(name: str) -> None:
    """Raise InvalidInput unless `name` can be a dataset's."""
    if not _NAME.fullmatch(name):
        raise InvalidInput(f"'{name}' is no name: use 1 to {LONGEST_NAME} of a-z, 0-9 and, inside, hyphens.")


def _avg(session: Session, feature_set: FeatureSet, rows: Sequence[Candidate]) -> NDArray[np.float32]:
    """The average-pooled vectors of rows, in their order. Raise Unavailable when some vanished meanwhile."""
    stored = vectors.copy_out(session, feature_set, [row.region_id for row in rows])
    if len(stored) != len(rows):
        raise Unavailable("Images were deleted while the dataset was frozen; freeze it again.")
    return np.asarray(stored.avg[np.searchsorted(stored.region_ids, [row.region_id for row in rows])])


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


def page(
    session: Session, *, limit: int, before: UUID | None = None, name: str | None = None, task: str | None = None
) -> list[Dataset]:
    """Datasets, newest first; `before` is the id where the previous page ended. `name` may say `NAME@VERSION`."""
    query = select(Dataset).order_by(Dataset.id.desc()).limit(limit)
    if name is not None:
        bare, at, version = name.partition("@")
        query = query.where(Dataset.name == bare)
        if at:
            query = query.where(Dataset.version == (int(version) if version.isdecimal() and len(version) < 10 else 0))
    if task is not None:
        query = query.where(Dataset.task == task)
    if before is not None:
        query = query.where(Dataset.id < before)
    return list(session.scalars(query))


def rows(
    session: Session, dataset: Dataset, *, limit: int, after: int | None = None, split: str | None = None
) -> list[DatasetRow]:
    """Rows by region; `after` is the region where the previous page ended."""
    query = select(DatasetRow).where(DatasetRow.dataset_id == dataset.id).order_by(DatasetRow.region_id).limit(limit)
    if after is not None:
        query = query.where(DatasetRow.region_id > after)
    if split is not None:
        query = query.where(DatasetRow.split == split)
    return list(session.scalars(query))


def consultations(session: Session, dataset_ids: Sequence[UUID]) -> dict[UUID, int]:
    """How many head versions were scored on the test rows of each dataset."""
    counted = (
        select(TestScore.dataset_id, func.count())
        .where(TestScore.dataset_id.in_(dataset_ids))
        .group_by(TestScore.dataset_id)
    )
    return dict.fromkeys(dataset_ids, 0) | {row[0]: row[1] for row in session.execute(counted)}


def consulted_by(session: Session, dataset: Dataset) -> list[tuple[TestScore, Head]]:
    """Which head versions were scored on a dataset's test rows, in the order of asking."""
    query = select(TestScore, Head).join(Head, Head.id == TestScore.head_id).order_by(TestScore.id)
    return [(score, head) for score, head in session.execute(query.where(TestScore.dataset_id == dataset.id))]


def lost_rows(session: Session, dataset: Dataset) -> int:
    """How many rows have no vectors any more, because their images were deleted."""
    return lost(session, dataset.id, session.get_one(FeatureSet, dataset.feature_set_id), list(Split))


def is_new(session: Session, dataset: Dataset) -> bool:
    """Whether this very transaction froze it."""
    return bool(session.scalar(select(Dataset.created_at == func.now()).where(Dataset.id == dataset.id)))


def splits_of(session: Session, dataset: Dataset) -> dict[str, str]:
    """SHA-256 (hex) of each image and its split: by which another dataset can be divided in the same way."""
    found = select(DatasetRow.sha256, DatasetRow.split).where(DatasetRow.dataset_id == dataset.id)
    return {row.sha256.hex(): row.split for row in session.execute(found)}


def notes(dataset: Dataset) -> list[str]:
    """What every report on this dataset's rows must say."""
    return dataset_splits.notes(dataset.findings)


def automatic(session: Session, task: Task, feature_set: FeatureSet, *, author: str) -> Dataset:
    """Every labelled, extracted row of a task, frozen to be trained on: `TASK-training`, a new version if it changed.

    Raise InvalidInput when there is no such row.
    """
    rows, unclear = told_apart(candidates(session, task, feature_set, Selection()), task.positive)
    entries = [Entry(row.sha256, row.ordinal, row.class_name, row.subject, Split.TRAIN) for row in rows]
    return dataset_versions.keep(
        session, automatic_name(task.name), task, feature_set,
        [(row.region_id, row.image_id) for row in rows], entries,
        author=author, selection={}, split={"method": "none"}, findings={"unclear": unclear} if unclear else {},
    )  # fmt: skip


def automatic_name(task: str, what: str = "training") -> str:
    """`TASK-WHAT`, shortened where the task's name is long; `what` is of ten letters at most."""
    name = f"{task}-{what}"
    if len(name) <= LONGEST_NAME:
        return name
    return f"{task[:44]}-{hashlib.sha256(task.encode()).hexdigest()[:8]}-{what}"
