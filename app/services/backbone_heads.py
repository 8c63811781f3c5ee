"""From a trained network to a head on it, and to the head that it has to beat."""

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.datasets.splits import Method, SplitSpec
from app.errors import Conflict
from app.models import BackboneTraining, Dataset, FeatureSet, Head, Split
from app.services import backbones, datasets, reports


def feature_set_of(session: Session, training: BackboneTraining) -> FeatureSet:
    """What a training became. Raise Conflict when nothing got better, or it has not ended."""
    if training.feature_set_id is None:
        raise Conflict(
            f"Training {training.name} made no feature set: "
            + ("no epoch was better than its start." if training.report else "it has not succeeded.")
        )
    return session.get_one(FeatureSet, training.feature_set_id)


def frozen_alike(session: Session, training: BackboneTraining, *, author: str) -> Dataset:
    """The rows that the network was trained on and is to be tested on, frozen in its own feature set.

    The splits are those of its dataset, so that its test rows stay unseen by the network and by its heads.
    """
    source = backbones.dataset_of(session, training)
    split = SplitSpec(method=Method.GIVEN, given=datasets.splits_of(session, source), rest="omit")
    return datasets.freeze(
        session, training.name, training.task, feature_set_of(session, training), split=split, author=author,
        allow_leaks="leaks" in source.findings,
    )  # fmt: skip


def newest_head(session: Session, dataset: Dataset) -> Head | None:
    """The newest head that was trained on a dataset, if any."""
    query = select(Head).where(Head.dataset_id == dataset.id, Head.artifact.is_not(None))
    return session.scalar(query.order_by(Head.version.desc()).limit(1))


def test_figures(session: Session, head: Head) -> dict[str, Any] | None:
    """What a head scored on the test rows of its own dataset."""
    dataset = session.get(Dataset, head.dataset_id) if head.dataset_id else None
    if dataset is None or not any(dataset.counts.get(Split.TEST, {}).values()):
        return None
    found = [test["figures"] for test in reports.tests(session, head.id) if test["dataset"] == dataset.full_name]
    return found[0] if found else None
