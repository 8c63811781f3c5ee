"""The same recipe on other rows: a head that was trained so already, or a training that is queued now."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.heads.recipe import HeadRecipe
from app.models import Dataset, FeatureSet, Head, Job, Kind, Stage, Task
from app.services import tasks, training

_OF_USE = (Stage.TRAINING, Stage.CANDIDATE, Stage.LIVE, Stage.ARCHIVED)


def recipe_of(task: Task, given: Mapping[str, Any]) -> dict[str, Any]:
    """A whole recipe from what was given of one, with the task's own policy where it says none."""
    return HeadRecipe.from_json(tasks.decide_by(task, dict(given))).to_json()


def recipe_again(session: Session, head: Head) -> dict[str, Any]:
    """The recipe of a head; of one that came with Penumbra the default one, by its task's own policy."""
    if "spaces" in head.recipe:
        return HeadRecipe.from_json(head.recipe).to_json()
    return recipe_of(tasks.named(session, head.task), {})


def head_of(
    session: Session, task: str, feature_set: FeatureSet, dataset: Dataset, recipe: dict[str, Any], *, author: str
) -> Head:
    """The newest head of exactly this dataset and recipe, or a new one whose training is queued.

    Raise what `training.request` raises.
    """
    known = session.scalar(
        select(Head)
        .where(Head.task == task, Head.dataset_id == dataset.id, Head.recipe == recipe, Head.stage.in_(_OF_USE))
        .order_by(Head.version.desc())
        .limit(1)
    )
    if known is not None:
        return known
    return training.request(session, task, feature_set, recipe, author=author, dataset=dataset)[1]


def latest_job(session: Session, head: Head, kind: Kind) -> Job | None:
    """The newest job of a kind that a head has."""
    query = select(Job).where(Job.head_id == head.id, Job.kind == kind).order_by(Job.created_at.desc(), Job.id.desc())
    return session.scalar(query.limit(1))
