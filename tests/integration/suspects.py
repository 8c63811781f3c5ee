"""A head whose answers doubt some labels, without a training."""

from collections.abc import Sequence
from uuid import UUID

import numpy as np
from sqlalchemy import text

from app.db import transaction
from app.heads.evidence import Evidence
from app.models import Head, Stage
from tests.conftest import TestStore
from tests.integration.labelled import CLASSES, TASK
from tests.integration.rows import regions_of


def doubting(
    store: TestStore, image_ids: Sequence[UUID], doubted: Sequence[int], *, version: int = 7, **report: object
) -> UUID:
    """A candidate head that agrees with the labels that count (P = 0.95), but for those of `doubted` rows.

    The first doubted row is the most suspect one: P(given) = 0.01, 0.02, and so on.
    """
    with transaction(store.sessions) as session:
        regions = regions_of(session, image_ids)
        given = dict(
            session.execute(text("SELECT image_id, max(class_name) FROM label GROUP BY 1")).all()  # type: ignore[arg-type]
        )
        y = np.array([CLASSES.index(given[image]) for image in image_ids])
        p_given = np.full(len(y), 0.95)
        p_given[list(doubted)] = 0.01 * (1 + np.arange(len(doubted)))
        probabilities = np.empty((len(y), 2))
        probabilities[np.arange(len(y)), y] = p_given
        probabilities[np.arange(len(y)), 1 - y] = 1 - p_given
        evidence = Evidence(
            classes=CLASSES,
            image_ids=tuple(str(image) for image in image_ids),
            region_ids=np.array(regions),
            y=y,
            fold_of=np.arange(len(y)) % 5,
            probabilities=probabilities.astype(np.float32),
        )
        head = Head(
            task=TASK, version=version, stage=Stage.CANDIDATE, feature_set_id=store.feature_set().id,
            algorithm="logistic-regression", recipe={}, artifact=b"onnx", evidence=evidence.to_bytes(), author="test",
            report={"positive": "loaded", "threshold": 0.5, **report}, threshold=0.5,
        )  # fmt: skip
        session.add(head)
        session.flush()
        return head.id
