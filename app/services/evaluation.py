"""Judging a finished head on rows that were held out of its training; on test rows once, for ever."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from app.errors import Conflict, InvalidInput, MixedFeatureSets, NotTrainable
from app.heads.evidence import Evidence
from app.heads.figures import figures as figures_of
from app.heads.scoring import Head as Scorer
from app.models import Dataset, FeatureSet, Head, Split, TestScore
from app.services import audit, backbone_origins, dataset_table, datasets, registry


@dataclass(frozen=True)
class LabelledRows:
    """Rows of one split in ascending region order: vectors float32 (n, dim), class indexes, names, `slices`."""

    avg: NDArray[np.float32]
    max: NDArray[np.float32]
    y: NDArray[np.int64]
    image_ids: tuple[str, ...]
    region_ids: NDArray[np.int64]
    subjects: NDArray[np.str_]
    slices: dict[str, NDArray[np.str_]]

    def __len__(self) -> int:
        return len(self.y)


@dataclass(frozen=True)
class Judged:
    """A head's figures on one split. `repeated`: they were given before, and are given again.

    `consultations`: how many head versions looked at the dataset's test rows so far.
    """

    dataset: Dataset
    split: Split
    figures: dict[str, Any]
    repeated: bool
    consultations: int


def labelled(session: Session, dataset: Dataset, split: Split) -> LabelledRows:
    """The rows of a dataset's split. Raise Conflict when there are none or some were deleted."""
    feature_set = session.get_one(FeatureSet, dataset.feature_set_id)
    try:
        rows = dataset_table.described(session, dataset, feature_set, split)
    except NotTrainable as error:
        raise Conflict(error.message) from error
    if not rows:
        raise Conflict(f"Dataset {dataset.full_name} has no {split} rows; freeze one with a share for them.")
    regions = [row.region_id for row in rows]
    stored = dataset_table.stored_vectors(session, feature_set, regions)
    return LabelledRows(
        stored.avg, stored.max, dataset_table.class_indexes(dataset, rows), tuple(row.image_id for row in rows),
        stored.region_ids, np.array([row.subject for row in rows]), dataset_table.slices(rows),
    )  # fmt: skip


def judge(scorer: Scorer, rows: LabelledRows) -> tuple[dict[str, Any], Evidence]:
    """What a head says of rows: its figures as it decides, and the answers that they come from."""
    metadata = scorer.metadata
    probabilities = scorer.probabilities(rows.avg, rows.max)
    found = figures_of(
        rows.y, probabilities, classes=metadata.classes, positive=metadata.positive, threshold=metadata.threshold,
        review_from=metadata.review_from, groups=np.unique(rows.subjects, return_inverse=True)[1],
    )  # fmt: skip
    evidence = Evidence(
        classes=tuple(metadata.classes), image_ids=rows.image_ids, region_ids=rows.region_ids, y=rows.y,
        fold_of=np.full(len(rows), -1, np.int64), probabilities=probabilities,
    )  # fmt: skip
    return found, evidence


def record(
    session: Session, dataset: Dataset, head_id: UUID, figures: dict[str, Any], evidence: Evidence, author: str
) -> TestScore:
    """Keep what a head scored on a dataset's test rows; what was kept before stays, and is returned instead."""
    stored = known(session, dataset, head_id)
    if stored is not None:
        return stored
    said = {**_of(dataset, Split.TEST, datasets.notes(dataset)), **figures}
    stored = TestScore(
        dataset_id=dataset.id, head_id=head_id, figures=said, evidence=evidence.to_bytes(), author=author
    )
    session.add(stored)
    session.flush()
    audit.record(session, author, "dataset.consult", "dataset", dataset.id, name=dataset.full_name, head=str(head_id))
    return stored


def known(session: Session, dataset: Dataset, head_id: UUID) -> TestScore | None:
    """What a head scored on a dataset's test rows, if it was ever asked."""
    return session.scalar(select(TestScore).where(TestScore.dataset_id == dataset.id, TestScore.head_id == head_id))


def score(session: Session, head_id: UUID, dataset: Dataset, split: Split, *, author: str) -> Judged:
    """A finished head's figures on held-out rows; on test rows the first answer is the only one.

    Raise Conflict for a head without artifact, or one that learned from these images; InvalidInput for training rows
    or another task's; MixedFeatureSets for another feature set.
    """
    if split is Split.TRAIN:
        raise InvalidInput("A head is not judged on training rows; its report has out-of-fold figures. Say test.")
    head = registry.get(session, head_id)
    session.refresh(head, with_for_update=True)  # two that ask at once get one answer
    stored = known(session, dataset, head_id) if split is Split.TEST else None
    if stored is not None:
        return _judged(session, dataset, split, stored.figures, repeated=True)
    scorer = Scorer.load(registry.artifact(session, head_id))
    notes = _fit(session, head, scorer, dataset, split)
    found, evidence = judge(scorer, labelled(session, dataset, split))
    figures = {**_of(dataset, split, notes), **found}
    if split is Split.TEST:
        record(session, dataset, head_id, figures, evidence, author)
    return _judged(session, dataset, split, figures, repeated=False)


def _of(dataset: Dataset, split: Split, notes: list[str]) -> dict[str, Any]:
    """What figures are of, and what they must be read with."""
    return {"dataset": dataset.full_name, "digest": dataset.digest, "split": split.value, "notes": notes}


def _judged(session: Session, dataset: Dataset, split: Split, figures: dict[str, Any], *, repeated: bool) -> Judged:
    return Judged(dataset, split, figures, repeated, datasets.consultations(session, [dataset.id])[dataset.id])


def _fit(session: Session, head: Head, scorer: Scorer, dataset: Dataset, split: Split) -> list[str]:
    """What the figures must be read with. Raise unless the head may be judged on these rows."""
    if head.task != dataset.task:
        raise InvalidInput(f"Head {head.id} answers {head.task}; dataset {dataset.full_name} is of {dataset.task}.")
    if head.feature_set_id != dataset.feature_set_id:
        raise MixedFeatureSets(
            f"Head {head.id} and dataset {dataset.full_name} are of different feature sets; freeze the rows in the "
            "head's own."
        )
    if list(scorer.metadata.classes) != dataset.classes:
        raise Conflict(f"Head {head.id} knows other classes than dataset {dataset.full_name}.")
    feature_set = session.get_one(FeatureSet, head.feature_set_id)
    if split is Split.TEST:
        backbone_origins.check_test_rows(session, feature_set, dataset)
    notes = [*datasets.notes(dataset), *backbone_origins.notes(session, feature_set, dataset)]
    if head.dataset_id is None:
        return [*notes, "Which rows the head learned from is not known here; some of these may be among them."]
    images, subjects = _learned_from(session, head.dataset_id, dataset, split)
    if images:
        raise Conflict(
            f"Version {head.version} of {head.task} learned from {images:,} of the images in {split} of "
            f"{dataset.full_name}; train a head on that dataset (--dataset {dataset.full_name}), and test it."
        )
    if subjects and head.dataset_id != dataset.id:
        notes.append(f"The head learned from other images of {subjects:,} of these subjects: figures are too good.")
    return notes


def _learned_from(session: Session, learned: UUID, dataset: Dataset, split: Split) -> tuple[int, int]:
    """How many images and subjects of a split are also among a dataset's training rows."""
    row = session.execute(
        text(
            """
            WITH learned AS (
                SELECT sha256, subject FROM dataset_row WHERE dataset_id = :learned AND split = 'train')
            SELECT count(DISTINCT h.sha256) FILTER (WHERE h.sha256 IN (SELECT sha256 FROM learned)) AS images,
                count(DISTINCT h.subject) FILTER (WHERE h.subject IN (SELECT subject FROM learned)) AS subjects
            FROM dataset_row h WHERE h.dataset_id = :held AND h.split = :split
            """
        ),
        {"learned": learned, "held": dataset.id, "split": split},
    ).one()
    return row.images, row.subjects
