"""Training as the database sees it: a request, the rows of a frozen dataset, a candidate head version."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app import jobs
from app.errors import InvalidInput, MixedFeatureSets, NotTrainable
from app.heads.recipe import HeadRecipe
from app.heads.table import TrainingTable
from app.models import Dataset, FeatureSet, Head, Job, Kind, Split, Stage, Task
from app.services import audit, augmentation, backbone_origins, dataset_table, datasets, tasks


def request(
    session: Session,
    task_name: str,
    feature_set: FeatureSet,
    recipe: dict[str, Any],
    *,
    author: str,
    dataset: Dataset | None = None,
) -> tuple[Job, Head]:
    """Queue the training of a new head version on a dataset's training rows; none: on all that is labelled, frozen.

    Raise NotTrainable when rows of a class are missing, InvalidInput for a weight of no class of the task or a
    dataset of another one, MixedFeatureSets for a dataset of another feature set.
    """
    task = tasks.named(session, task_name, lock=True)
    _check_class_weight(task, recipe)
    frozen = _frozen(session, task, feature_set, author) if dataset is None else dataset
    _check(task, feature_set, frozen)
    backbone_origins.check_test_rows(session, feature_set, frozen)
    _check_whole(session, frozen)
    if copies := recipe.get("augmentation"):
        _check_copies(session, frozen, copies, given=dataset is not None)
    last = session.scalar(select(func.max(Head.version)).where(Head.task == task_name)) or 0
    head = Head(
        task=task_name, version=last + 1, stage=Stage.TRAINING, feature_set_id=feature_set.id,
        algorithm=HeadRecipe.from_json(recipe).algorithm_name, dataset_id=frozen.id, recipe=recipe, author=author,
    )  # fmt: skip
    session.add(head)
    session.flush()
    job_id = jobs.enqueue_for_head(session, Kind.TRAIN, head.id, feature_set.id)
    audit.record(
        session, author, "head.train", "head", head.id,
        task=task_name, version=head.version, dataset=frozen.full_name, recipe=recipe,
    )  # fmt: skip
    return session.get_one(Job, job_id), head


def load(session: Session, head: Head) -> TrainingTable:
    """The training rows of a head's dataset, with augmented copies when its recipe asks for them.

    Raise NotTrainable when rows were deleted, augmented copies are missing, or the rows cannot train.
    """
    task = session.get_one(Task, head.task)
    if head.dataset_id is None:  # asked for before there were datasets
        feature_set = session.get_one(FeatureSet, head.feature_set_id)
        head.dataset_id = _frozen(session, task, feature_set, head.author).id
    dataset = datasets.get(session, head.dataset_id)
    _check_whole(session, dataset)
    return dataset_table.training_table(session, dataset, augmentation=head.recipe.get("augmentation"))


def complete(
    session: Session,
    head_id: UUID,
    artifact: bytes,
    *,
    threshold: float,
    report: dict[str, Any],
    card: str,
    algorithm: str | None = None,
    page: str | None = None,
    evidence: bytes | None = None,
) -> Head:
    """Turn a training head into a candidate with its artifact, in the transaction that ends the job.

    `algorithm` is what the search chose; without one the head keeps what the recipe says.
    """
    head = session.get_one(Head, head_id, with_for_update=True)
    head.artifact, head.threshold, head.report = artifact, threshold, report
    head.card, head.page, head.evidence = card, page, evidence
    head.algorithm = algorithm or head.algorithm
    head.stage, head.trained_at = Stage.CANDIDATE, datetime.now(UTC)
    audit.record(session, head.author, "head.trained", "head", head_id, task=head.task, version=head.version)
    return head


def abandon(session: Session, head_id: UUID) -> None:
    """Mark a head whose training failed or was cancelled; its version number stays taken."""
    head = session.get_one(Head, head_id, with_for_update=True)
    if head.stage == Stage.TRAINING:
        head.stage = Stage.FAILED


def _frozen(session: Session, task: Task, feature_set: FeatureSet, author: str) -> Dataset:
    try:
        return datasets.automatic(session, task, feature_set, author=author)
    except InvalidInput as error:
        raise NotTrainable(error.message) from error


def _check_whole(session: Session, dataset: Dataset) -> None:
    """Nobody trains for an hour to hear that rows are gone; test rows too, on which the head is scored in the end."""
    if missing := datasets.lost_rows(session, dataset):
        raise NotTrainable(
            f"{missing:,} of {dataset.rows:,} rows of dataset {dataset.full_name} were deleted; freeze it again."
        )


def _check_copies(session: Session, dataset: Dataset, recipe: str, *, given: bool) -> None:
    try:
        augmentation.check_ready(session, dataset, recipe)
    except NotTrainable as error:
        if given:
            raise
        # What was frozen for this request goes with it: there is nothing yet that could be augmented.
        raise NotTrainable(
            f"Augmented copies belong to a dataset: freeze one of {dataset.task} (`penumbra dataset freeze`), make "
            f"its copies (`penumbra augment NAME@VERSION --recipe {recipe}`), and train on it."
        ) from error


def _check_class_weight(task: Task, recipe: dict[str, Any]) -> None:
    if isinstance(weights := recipe.get("class_weight"), dict):
        for class_name in weights:
            tasks.check_class(task, class_name)


def _check(task: Task, feature_set: FeatureSet, dataset: Dataset) -> None:
    if dataset.task != task.name:
        raise InvalidInput(f"Dataset {dataset.full_name} is of task {dataset.task}, not of {task.name}.")
    if dataset.feature_set_id != feature_set.id:
        raise MixedFeatureSets(
            f"Dataset {dataset.full_name} is not of feature set {feature_set.name}; train on the dataset's own "
            "feature set, or freeze the rows in this one."
        )
    if (dataset.classes, dataset.positive) != (task.classes, task.positive):
        raise InvalidInput(f"Task {task.name} has other classes than dataset {dataset.full_name}; freeze it again.")
    rows = dataset.counts.get(Split.TRAIN, {})
    missing = [name for name in task.classes if not rows.get(name)]
    if missing:
        raise NotTrainable(
            f"Dataset {dataset.full_name} has no training row of class {', '.join(missing)}: no labelled, extracted "
            f"image of it was frozen in feature set {feature_set.name}. Import or label some, wait for their "
            "extraction, and freeze again."
        )
