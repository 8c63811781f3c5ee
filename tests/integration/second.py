"""A second feature set beside the one that a test's store begins with."""

from typing import Any

from app.db import transaction
from app.features.spec import FeatureSetSpec
from app.imaging.preprocessing import Preprocessing
from app.models import FeatureSet, FeatureStage
from app.services import backfill, feature_sets
from app.services.backfill import Coverage
from tests.conftest import TestStore

SECOND = FeatureSetSpec("second", "densenet121", "5" * 64, Preprocessing(), avg_dim=64, max_dim=64)


def registered(
    store: TestStore, spec: FeatureSetSpec = SECOND, *, stage: FeatureStage = FeatureStage.FILLING, **columns: Any
) -> FeatureSet:
    """The feature set of `spec`, at `stage`; `columns` are set on its row."""
    with transaction(store.sessions) as session:
        made = feature_sets.ensure(session, spec, author="test", stage=stage)
        for name, value in columns.items():
            setattr(made, name, value)
        return made


def coverage(store: TestStore, name: str = SECOND.name) -> Coverage:
    with transaction(store.sessions) as session:
        return backfill.coverage(session, feature_sets.named(session, name))


def vectors_in(store: TestStore, feature_set: FeatureSet) -> int:
    return int(str(store.scalar("SELECT count(*) FROM embedding WHERE feature_set_id = :id", id=feature_set.id)))
