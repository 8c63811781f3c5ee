"""The heads that ship: usable on a fresh store, and no worse than their cards say."""

from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import select

from app.db import transaction
from app.features.spec import FeatureSetSpec
from app.heads.scoring import Head as Scorer
from app.models import Head, Stage
from app.services import starters
from app.services.tasks import SHIPPED, Shipped
from tests.conftest import TestStore

FOLDER = Path(starters.__file__).parents[1] / "heads" / "starters"


@pytest.mark.parametrize("task", SHIPPED, ids=lambda task: task.name)
def test_a_starter_knows_its_task_and_reproduces_its_golden_rows(task: Shipped, spec: FeatureSetSpec) -> None:
    name, classes, positive = task.name, task.classes, task.positive
    head = Scorer.load(FOLDER.joinpath(f"{name}.onnx").read_bytes())
    assert (head.metadata.task, head.metadata.classes, head.metadata.positive) == (name, classes, positive)
    assert head.metadata.feature_set == spec.digest
    head.self_check()


def test_a_fresh_store_has_both_starters_live(store: TestStore) -> None:
    with transaction(store.sessions) as session:
        live = session.scalars(select(Head).where(Head.stage == Stage.LIVE).order_by(Head.task)).all()
    assert [(head.task, head.author) for head in live] == [("empty-container", "penumbra"), ("pneumonia", "penumbra")]


def test_seeding_again_adds_no_second_starter(store: TestStore) -> None:
    with transaction(store.sessions) as session:
        assert starters.ensure(session, store.feature_set()) == []


@pytest.mark.corpus
@pytest.mark.slow
def test_the_container_starter_tells_the_real_scans_apart(corpus: Path, tmp_path: Path) -> None:
    from app.features.engines import build_extractor
    from app.heads.metrics import roc_auc
    from app.imaging import Limits, load

    extractor = build_extractor("densenet121-xray", weights=None, engine="auto", precision="auto", cache_dir=tmp_path)
    paths = sorted((corpus / "container").glob("*/*.jpg"))
    bounds = Limits(2**28, 10**8, 16)
    features = extractor.extract(np.stack([load(path, bounds, extractor.spec.preprocessing) for path in paths]))
    head = Scorer.load((FOLDER / "empty-container.onnx").read_bytes())
    probabilities = head.probabilities(features.avg, features.max)
    loaded = np.array([path.parent.name == "loaded" for path in paths])
    errors = int((np.array(head.decide(probabilities)) != np.array([path.parent.name for path in paths])).sum())
    # 28 scans, 2026-11-30: AUC 1.000, no error.
    assert roc_auc(loaded, probabilities[:, head.metadata.positive_index]) >= 0.99
    assert errors <= 1
