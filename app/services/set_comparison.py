"""The same recipe on the same images in several feature sets: one table, and every two of them row by row.

Everything is counted by image: two sets may cut an image into different regions, and an image's answer is that of its
worst region.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.errors import InvalidInput
from app.heads import comparison
from app.heads.comparison import Judged
from app.heads.evidence import Evidence
from app.heads.figures import figures
from app.models import Dataset, DatasetRow, FeatureSet, Head, Kind, Split, Stage, Task, TestScore
from app.services import datasets, feature_set_use, feature_sets, repetition, tasks, transfer
from app.services.transfer import Shared

MOST_SETS = 8


@dataclass(frozen=True)
class Row:
    """One feature set of the table. `lacking`: labelled images that it has no vectors of. Figures are None until its
    head is trained: `out_of_fold` on training rows, `test` on test rows, where the dataset has any."""

    feature_set: FeatureSet
    dataset: Dataset
    head: Head
    lacking: int
    images_per_second: float | None
    out_of_fold: dict[str, Any] | None = None
    test: dict[str, Any] | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class Compared:
    """`images` that all the sets describe, `missing` that some lack, `unclear` ones left out; `contests` of every two
    sets, on training rows out of fold and on test rows. `pending`: heads whose training has not ended."""

    task: Task
    images: int
    missing: int
    unclear: int
    rows: list[Row]
    contests: list[dict[str, Any]]
    same_folds: bool | None
    pending: list[Head]


def compare(
    session: Session,
    task_name: str,
    names: Sequence[str],
    recipe: Mapping[str, Any],
    *,
    dataset: str | None = None,
    author: str,
) -> Compared:
    """Train one recipe in each of the feature sets, on the images that all of them describe, and compare.

    Asked again, heads that were trained are used again: ask until nothing is pending. `dataset` says which images, in
    which splits; without one all labels of now are trained on. Raise InvalidInput for fewer than two sets or a recipe
    with augmented copies, NotFound for an unknown name, NotTrainable where no image is in all sets.
    """
    task = tasks.named(session, task_name, lock=True)
    chosen = _chosen(session, names)
    whole = repetition.recipe_of(task, recipe)
    if whole["augmentation"]:
        raise InvalidInput("Augmented copies belong to one dataset; compare feature sets without them.")
    base = None if dataset is None else datasets.named(session, dataset)
    if base is not None and base.task != task.name:
        raise InvalidInput(f"Dataset {base.full_name} is of task {base.task}, not of {task.name}.")
    images = transfer.of_task(session, task) if base is None else transfer.of_dataset(session, base)
    found = transfer.shared(session, images, chosen, task.positive)
    name = datasets.automatic_name(task.name, "compared")
    rows = [_row(session, task, one, found, name, base, whole, author) for one in chosen]
    pending = [row.head for row in rows if row.head.stage == Stage.TRAINING]
    if pending:
        return Compared(task, len(found.images), found.missing, found.unclear, rows, [], None, pending)
    return _judged(session, Compared(task, len(found.images), found.missing, found.unclear, rows, [], None, []))


def _chosen(session: Session, names: Sequence[str]) -> list[FeatureSet]:
    different = list(dict.fromkeys(names))
    if not 2 <= len(different) <= MOST_SETS:
        raise InvalidInput(f"{len(different)} feature sets: name 2 to {MOST_SETS} different ones.")
    return [feature_sets.named(session, name) for name in different]


def _row(
    session: Session, task: Task, feature_set: FeatureSet, found: Shared, name: str, base: Dataset | None,
    recipe: dict[str, Any], author: str,
) -> Row:  # fmt: skip
    frozen = transfer.freeze(session, name, task, feature_set, found, author=author, base=base)
    head = repetition.head_of(session, task.name, feature_set, frozen, recipe, author=author)
    return Row(feature_set, frozen, head, found.lacking[feature_set.id], feature_set_use.speed(session, feature_set))


def _judged(session: Session, compared: Compared) -> Compared:
    rows, contests, folds = [], [], []
    trained = [_by_image(_evidence(row.head), compared.task.positive) for row in compared.rows]
    tested = [_tested(session, row, compared.task.positive) for row in compared.rows]
    for row, learned, test in zip(compared.rows, trained, tested, strict=True):
        rows.append(
            replace(
                row, out_of_fold=_figures(session, row, learned), seconds=_seconds(row.head),
                test=None if test is None else _figures(session, row, test),
            )
        )  # fmt: skip
        folds.append(dict(zip(learned.image_ids, learned.fold_of.tolist(), strict=True)))
    for (one, a), (other, b) in combinations(enumerate(compared.rows), 2):
        sides = [
            (trained[one], trained[other], "training rows, out of fold"),
            (tested[one], tested[other], "test rows"),
        ]
        for first, second, what in sides:
            if first is not None and second is not None:
                contests.append(comparison.compare(_side(a, first), _side(b, second), rows=what))
    return replace(compared, rows=rows, contests=contests, same_folds=all(fold == folds[0] for fold in folds))


def _evidence(head: Head) -> Evidence:
    if head.evidence is None:
        raise InvalidInput(f"Version {head.version} of {head.task} keeps no answers of its own; train it again.")
    return Evidence.from_bytes(head.evidence)


def _tested(session: Session, row: Row, positive: str) -> Evidence | None:
    if not any(row.dataset.counts.get(Split.TEST, {}).values()):
        return None
    stored = session.scalar(
        select(TestScore).where(TestScore.dataset_id == row.dataset.id, TestScore.head_id == row.head.id)
    )
    return None if stored is None else _by_image(Evidence.from_bytes(stored.evidence), positive)


def _by_image(said: Evidence, positive: str) -> Evidence:
    """Each image once, by its region with the highest P(positive); `region_ids` number the images by their id."""
    index = said.classes.index(positive)
    ids = np.array(said.image_ids)
    order = np.lexsort((-said.probabilities[:, index], ids))
    first = np.r_[True, ids[order][1:] != ids[order][:-1]] if len(order) else np.zeros(0, bool)
    rows = order[first]
    numbers = np.array([_number(one) for one in ids[rows].tolist()], np.int64)
    rows, numbers = rows[np.argsort(numbers)], np.sort(numbers)
    return Evidence(
        classes=said.classes, image_ids=tuple(ids[rows].tolist()), region_ids=numbers, y=said.y[rows],
        fold_of=said.fold_of[rows], probabilities=said.probabilities[rows],
    )  # fmt: skip


def _number(image_id: str) -> int:
    """63 bits of an image's id: the same in every feature set."""
    return int(image_id.replace("-", ""), 16) & (2**63 - 1)


def _figures(session: Session, row: Row, said: Evidence) -> dict[str, Any]:
    subjects = dict(
        session.execute(
            select(DatasetRow.image_id, DatasetRow.subject).where(DatasetRow.dataset_id == row.dataset.id)
        ).all()
    )  # fmt: skip
    names = {str(image): subject for image, subject in subjects.items()}
    groups = np.unique([names[one] for one in said.image_ids], return_inverse=True)[1]
    report = row.head.report or {}
    return figures(
        said.y, said.probabilities, classes=said.classes, positive=row.dataset.positive,
        threshold=float(report["threshold"]), review_from=report.get("review_from"), groups=groups,
    )  # fmt: skip


def _side(row: Row, said: Evidence) -> Judged:
    report = row.head.report or {}
    return Judged(
        name=row.feature_set.name, evidence=said, positive=row.dataset.positive, threshold=float(report["threshold"]),
        review_from=report.get("review_from"),
    )  # fmt: skip


def _seconds(head: Head) -> float | None:
    """How long the training took."""
    return ((head.report or {}).get("seconds") or {}).get("total")


def jobs_of(session: Session, compared: Compared) -> list[Any]:
    """The jobs of the trainings that are pending."""
    return [job for head in compared.pending if (job := repetition.latest_job(session, head, Kind.TRAIN))]
