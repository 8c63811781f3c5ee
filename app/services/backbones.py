"""Trainings of networks: asked for, loaded, watched, finished as a feature set that says where it came from."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from app.datasets import splits
from app.datasets.splits import VALIDATION
from app.db import JOBS_CHANNEL, notify
from app.errors import Conflict, InvalidInput, MixedFeatureSets, NotFound, NotTrainable
from app.features.backbones import BACKBONES, architecture, describe_backbone
from app.features.finetuning.boundaries import boundary
from app.features.finetuning.recipe import LEAST_OF_A_CLASS, LEAST_ROWS, BackboneRecipe
from app.features.spec import FeatureSetSpec
from app.models import BackboneTraining, Dataset, FeatureSet, FeatureStage, Job, JobState, Kind, Split, Task
from app.models.ids import uuid7
from app.services import audit, backbone_origins, datasets, feature_sets, tasks

SCRATCH = tuple(name for name, row in BACKBONES.items() if not row.downloadable)
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,58}[a-z0-9])?")


@dataclass(frozen=True)
class LabelledImages:
    """The rows that a network learns from and is held out on, in region order; never a test row.

    `y` (n,) class indexes, `held` (n,) of the validation rows, `own_validation`: the dataset's own split, so that
    heads trained on the dataset have not seen them.
    """

    region_ids: NDArray[np.int64]
    ordinals: NDArray[np.int64]
    sha256: list[bytes]
    subjects: NDArray[np.str_]
    y: NDArray[np.int64]
    held: NDArray[np.bool_]
    own_validation: bool


def request(
    session: Session, name: str, task_name: str, recipe: BackboneRecipe, *,
    feature_set: FeatureSet, dataset: Dataset | None, author: str,
) -> tuple[Job, BackboneTraining]:  # fmt: skip
    """Queue the training of a network that will be the feature set `name`.

    `feature_set` is what is gone on from, or whose regions and pixels a new network learns. Without a dataset all
    labelled images are frozen, a fifth of the subjects to test. Raise InvalidInput, Conflict for a name that is taken,
    NotTrainable where labels are missing, MixedFeatureSets for a dataset of another feature set.
    """
    task = tasks.named(session, task_name)
    _check_network(feature_set, recipe)
    previous = _free(session, name)
    frozen = dataset or _frozen(session, task, feature_set, author)
    _check_dataset(session, task, feature_set, frozen)
    backbone_origins.check_test_rows(session, feature_set, frozen)
    told = recipe.to_json() | {
        "dataset": frozen.full_name, "dataset_id": str(frozen.id), "feature_set": feature_set.name,
        "architecture": recipe.scratch or architecture(FeatureSetSpec.from_dict(feature_set.spec).backbone),
    }  # fmt: skip
    training = previous or BackboneTraining(name=name)
    training.task, training.recipe, training.author = task.name, told, author
    training.epochs, training.report, training.finished_at = [], None, None
    session.add(training)
    session.flush()
    job = Job(id=uuid7(), kind=Kind.BACKBONE, backbone_training_id=training.id)
    session.add(job)
    session.flush()
    notify(session, JOBS_CHANNEL, Kind.BACKBONE)
    audit.record(session, author, "backbone.train", "backbone_training", name, task=task.name, recipe=told)
    return job, training


def ask(
    session: Session, name: str, task_name: str, recipe: BackboneRecipe, *,
    feature_set: str | None, dataset: str | None, otherwise: str | None, author: str,
) -> tuple[Job, BackboneTraining]:  # fmt: skip
    """`request` by names: of a feature set or a dataset, or else of the task's own. Raises NotFound too."""
    task = tasks.named(session, task_name)
    frozen = datasets.named(session, dataset) if dataset else None
    if feature_set is None and frozen is not None:
        chosen = session.get_one(FeatureSet, frozen.feature_set_id)
    else:
        chosen = feature_sets.of_task(session, task, feature_set, otherwise)
    feature_sets.require_stored(chosen)
    return request(session, name, task_name, recipe, feature_set=chosen, dataset=frozen, author=author)


def every(session: Session) -> list[BackboneTraining]:
    """All trainings, newest first."""
    return list(session.scalars(select(BackboneTraining).order_by(BackboneTraining.id.desc())))


def named(session: Session, name: str) -> BackboneTraining:
    found = session.scalar(select(BackboneTraining).where(BackboneTraining.name == name))
    if found is None:
        known = ", ".join(training.name for training in every(session)[:20]) or "none"
        raise NotFound(f"There is no training of a network named {name}; there are: {known}.")
    return found


def job_of(session: Session, training: BackboneTraining) -> Job:
    """The last job of a training."""
    query = select(Job).where(Job.backbone_training_id == training.id).order_by(Job.created_at.desc(), Job.id.desc())
    return session.scalars(query.limit(1)).one()


def recipe_of(training: BackboneTraining) -> BackboneRecipe:
    told = {"dataset", "dataset_id", "feature_set", "architecture"}
    return BackboneRecipe.from_json({key: value for key, value in training.recipe.items() if key not in told})


def dataset_of(session: Session, training: BackboneTraining) -> Dataset:
    return datasets.get(session, UUID(training.recipe["dataset_id"]))


def parent_of(session: Session, training: BackboneTraining) -> FeatureSet:
    return feature_sets.named(session, training.recipe["feature_set"])


def load(session: Session, training: BackboneTraining) -> LabelledImages:
    """Training and validation rows; where the dataset validates on nothing, subjects are held out by the seed.

    Raise NotTrainable when rows were deleted since.
    """
    dataset = dataset_of(session, training)
    if missing := datasets.lost_rows(session, dataset):
        raise NotTrainable(f"{missing:,} rows of dataset {dataset.full_name} were deleted; freeze it again.")
    rows = session.execute(
        text(
            "SELECT region_id, ordinal, sha256, class_name, subject, split FROM dataset_row "
            "WHERE dataset_id = :dataset AND split IN ('train', 'validation') ORDER BY region_id"
        ),
        {"dataset": dataset.id},
    ).all()
    y = np.array([dataset.classes.index(row.class_name) for row in rows], np.int64)
    subjects = np.array([row.subject for row in rows], np.str_)
    held = np.array([row.split == Split.VALIDATION for row in rows])
    own = bool(held.any())
    if not own:
        recipe = recipe_of(training)
        units = np.unique(subjects, return_inverse=True)[1].astype(np.int64)
        shares = (1 - recipe.validation, recipe.validation, 0.0)
        held = splits.by_units(y, units, shares, recipe.seed) == VALIDATION
    return LabelledImages(
        region_ids=np.array([row.region_id for row in rows], np.int64),
        ordinals=np.array([row.ordinal for row in rows], np.int64),
        sha256=[bytes(row.sha256) for row in rows], subjects=subjects, y=y, held=held, own_validation=own,
    )  # fmt: skip


def spec_of(parent: FeatureSet, training: BackboneTraining, weights_digest: str) -> FeatureSetSpec:
    """The feature set that a training makes: the parent's steps and, of a new network, its own size and scale."""
    before = FeatureSetSpec.from_dict(parent.spec)
    scratch = training.recipe["scratch"]
    if scratch is None:
        return replace(before, name=training.name, weights_digest=weights_digest)
    row = describe_backbone(scratch)
    side = row.input_size
    steps = replace(before.preprocessing, height=side, width=side, mean=row.mean, std=row.std)
    return FeatureSetSpec(training.name, scratch, weights_digest, steps, side, row.dim, row.dim)


def record_epochs(session: Session, training_id: UUID, curve: Sequence[dict[str, Any]]) -> None:
    """Keep the learning curve so far, for whoever watches."""
    training = session.get_one(BackboneTraining, training_id, with_for_update=True)
    training.epochs = list(curve)


def complete(
    session: Session, training_id: UUID, weights_digest: str | None, *,
    report: dict[str, Any], curve: Sequence[dict[str, Any]],
) -> FeatureSet | None:  # fmt: skip
    """Register what was trained, to be filled; None without weights, when no epoch was better than the start."""
    training = session.get_one(BackboneTraining, training_id, with_for_update=True)
    training.epochs, training.report, training.finished_at = list(curve), report, datetime.now(UTC)
    if weights_digest is None:
        return None
    parent = parent_of(session, training)
    made = feature_sets.ensure(
        session, spec_of(parent, training, weights_digest), author=training.author, stage=FeatureStage.FILLING,
        origin=backbone_origins.told(training, parent, dataset_of(session, training), report),
    )  # fmt: skip
    training.feature_set_id = made.id
    audit.record(session, training.author, "backbone.trained", "backbone_training", training.name)
    return made


def _check_network(feature_set: FeatureSet, recipe: BackboneRecipe) -> None:
    backbone = FeatureSetSpec.from_dict(feature_set.spec).backbone
    if recipe.scratch is None:
        boundary(backbone, recipe.blocks)
    elif recipe.scratch not in SCRATCH:
        raise InvalidInput(f"{recipe.scratch} is not trained from scratch here; say {' or '.join(SCRATCH)}.")


def _free(session: Session, name: str) -> BackboneTraining | None:
    """A training of that name that came to nothing, which may be tried again. Raise Conflict for a name in use."""
    if not _NAME.fullmatch(name):
        raise InvalidInput(f"'{name}' is no name: use 1 to 60 of a-z, 0-9 and, inside, hyphens.")
    if session.scalar(select(FeatureSet.id).where(FeatureSet.name == name)) is not None:
        raise Conflict(f"There is a feature set {name} already; give the new one another name.")
    previous = session.scalar(select(BackboneTraining).where(BackboneTraining.name == name).with_for_update())
    if previous is None:
        return None
    state = job_of(session, previous).state
    if state in (JobState.QUEUED, JobState.RUNNING):
        raise Conflict(f"Network {name} is being trained; cancel its job, or give another name.")
    return previous


def _frozen(session: Session, task: Task, feature_set: FeatureSet, author: str) -> Dataset:
    """All labelled images of now, subjects and near-duplicates apart, a fifth to test."""
    try:
        return datasets.freeze(
            session, f"{task.name[:50]}-backbone", task.name, feature_set, author=author, together=True
        )
    except InvalidInput as error:
        raise NotTrainable(error.message) from error


def _check_dataset(session: Session, task: Task, feature_set: FeatureSet, dataset: Dataset) -> None:
    if dataset.task != task.name:
        raise InvalidInput(f"Dataset {dataset.full_name} is of task {dataset.task}, not of {task.name}.")
    if dataset.feature_set_id != feature_set.id:
        raise MixedFeatureSets(
            f"Dataset {dataset.full_name} is not of feature set {feature_set.name}; go on from its own, "
            "or freeze the rows in this one."
        )
    counts = dataset.counts.get(Split.TRAIN, {})
    few = [name for name in dataset.classes if counts.get(name, 0) < 2 * LEAST_OF_A_CLASS]
    if few or sum(counts.values()) < LEAST_ROWS:
        raise NotTrainable(
            f"Dataset {dataset.full_name} has {sum(counts.values())} training rows"
            f"{f', too few of {chr(32).join(few)}' if few else ''}: label {2 * LEAST_OF_A_CLASS} scans or more of each "
            f"class and {LEAST_ROWS} in all, wait for their extraction, and freeze again."
        )
    if missing := datasets.lost_rows(session, dataset):
        raise NotTrainable(f"{missing:,} rows of dataset {dataset.full_name} were deleted; freeze it again.")
