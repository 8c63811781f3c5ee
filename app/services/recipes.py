"""From what a caller asks to a queued training: names looked up, the task's own policy where none is given."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy.orm import Session

from app.errors import MixedFeatureSets
from app.heads.recipe import HeadRecipe
from app.models import FeatureSet, Head, Job
from app.services import datasets, feature_sets, tasks, training


def queue(
    session: Session,
    task_name: str,
    given: Mapping[str, Any],
    *,
    dataset: str | None,
    feature_set: str | None,
    otherwise: str | None,
    author: str,
) -> tuple[Job, Head]:
    """Queue a training of `given`, a recipe or part of one.

    It learns from `dataset` (`name` or `name@version`), or from all labels of now in `feature_set`, or else in the
    task's own, or else in the one called `otherwise`. Raises NotFound for an unknown name, InvalidInput for a recipe
    that cannot be, NotTrainable where labels are missing, MixedFeatureSets where the dataset is frozen in another
    feature set.
    """
    task = tasks.named(session, task_name)
    recipe = HeadRecipe.from_json(tasks.decide_by(task, dict(given)))
    frozen = datasets.named(session, dataset) if dataset else None
    if frozen is None:
        chosen = feature_sets.of_task(session, task, feature_set, otherwise)
    else:
        chosen = session.get_one(FeatureSet, frozen.feature_set_id)
        if feature_set is not None and feature_set != chosen.name:
            raise MixedFeatureSets(
                f"Dataset {frozen.full_name} is frozen in feature set {chosen.name}, not in {feature_set}; "
                "leave the feature set out, or freeze the dataset in that one"
            )
    return training.request(session, task_name, chosen, recipe.to_json(), author=author, dataset=frozen)
