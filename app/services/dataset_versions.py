"""Versions of a dataset's name: each content once, numbered, never changed."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import func, insert, select, text
from sqlalchemy.orm import Session

from app.datasets import content
from app.datasets.content import Entry
from app.errors import Conflict, InvalidInput
from app.models import Dataset, DatasetRow, FeatureSet, Split, Task
from app.services import audit
from app.services.dataset_rows import lost


def keep(
    session: Session,
    name: str,
    task: Task,
    feature_set: FeatureSet,
    places: Sequence[tuple[int, UUID]],
    entries: Sequence[Entry],
    *,
    author: str,
    **said: dict[str, Any],
) -> Dataset:
    """The dataset of these rows under `name`: the version that says the same already, or the next one.

    `places` (region and image of each entry) are where this store holds the rows; `said` are selection, split and
    findings. Raise InvalidInput without rows, Conflict when the name belongs to another task.
    """
    if not entries:
        raise InvalidInput(
            f"No labelled, extracted image of task {task.name} matches in feature set {feature_set.name}; "
            "widen the selection, label some, or wait for their extraction."
        )
    # Two that freeze at once must not both take the next number.
    session.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:lock, 0))"), {"lock": f"dataset {name}"})
    _check_name(session, name, task)
    digest = content.digest(entries, feature_set=feature_set.digest, classes=task.classes, positive=task.positive)
    known = _same(session, name, digest, said.get("findings", {}), feature_set)
    if known is not None:
        return known
    last = session.scalar(select(func.max(Dataset.version)).where(Dataset.name == name)) or 0
    dataset = Dataset(
        name=name, version=last + 1, task=task.name, feature_set_id=feature_set.id, classes=list(task.classes),
        positive=task.positive, digest=digest, author=author,
        counts=content.counts(entries, splits=list(Split), classes=task.classes), **said,
    )  # fmt: skip
    session.add(dataset)
    session.flush()
    _insert(session, dataset.id, places, entries)
    audit.record(
        session, author, "dataset.freeze", "dataset", dataset.id,
        name=name, version=dataset.version, rows=len(entries), digest=digest,
    )  # fmt: skip
    return dataset


def _check_name(session: Session, name: str, task: Task) -> None:
    other = session.scalar(select(Dataset.task).where(Dataset.name == name, Dataset.task != task.name).limit(1))
    if other is not None:
        raise Conflict(f"Datasets named {name} belong to task {other}; give those of {task.name} another name.")


def _same(
    session: Session, name: str, digest: str, findings: dict[str, Any], feature_set: FeatureSet
) -> Dataset | None:
    """A version that says the same and has lost nothing since: an image deleted and sent again has a new region."""
    known = select(Dataset).where(Dataset.name == name, Dataset.digest == digest).order_by(Dataset.version.desc())
    for dataset in session.scalars(known):
        if dataset.findings == findings and not lost(session, dataset.id, feature_set, list(Split)):
            return dataset
    return None


def _insert(session: Session, dataset_id: UUID, places: Sequence[tuple[int, UUID]], entries: Sequence[Entry]) -> None:
    session.execute(
        insert(DatasetRow),
        [
            {"dataset_id": dataset_id, "region_id": region, "image_id": image, **entry._asdict()}
            for (region, image), entry in zip(places, entries, strict=True)
        ],
    )
