"""A head whose artifact is not the model that was trained fails for good, and leaves nothing to register."""

from collections.abc import Callable

import numpy as np
import pytest
from fastapi.testclient import TestClient

from app.db import transaction
from app.heads.convert import Graph
from app.heads.trainers.forest import ForestFit
from app.services import recipes
from tests.conftest import TestStore
from tests.integration.labelled import TASK, fill
from tests.waiting import eventually

Emit = Callable[[ForestFit, Graph, str], str]
straight = ForestFit.emit


def unwritten(fit: ForestFit, graph: Graph, x: str) -> str:
    raise NotImplementedError("no operator for this forest")


def shifted(fit: ForestFit, graph: Graph, x: str) -> str:
    return graph.node("Add", straight(fit, graph, x), graph.constant(np.array([-0.5, 0.5])))


@pytest.mark.parametrize(
    ("emit", "reason"),
    [(unwritten, "'random-forest' cannot be written as ONNX"), (shifted, "differs from its trainer by")],
)
def test_a_head_that_cannot_be_converted_is_not_registered(
    store: TestStore,
    client: TestClient,
    trainer: object,
    monkeypatch: pytest.MonkeyPatch,
    emit: Emit,
    reason: str,
) -> None:
    monkeypatch.setattr(ForestFit, "emit", emit)
    fill(store, 40)
    given = {"algorithm": "random-forest", "pooling": "avg", "params": {"trees": 20}, "folds": 2}
    with transaction(store.sessions) as session:
        job, head = recipes.queue(
            session, TASK, given, dataset=None, feature_set=None, otherwise=store.settings.feature_set, author="test"
        )
    eventually(lambda: client.get(f"/v1/jobs/{job.id}").json()["state"] == "failed")
    failed = client.get(f"/v1/jobs/{job.id}").json()
    assert reason in str(failed["error"])
    assert "train another algorithm" in str(failed["error"])
    assert store.scalar("SELECT stage FROM head WHERE id = :id", id=head.id) == "failed"
    assert store.scalar("SELECT artifact IS NULL AND report IS NULL FROM head WHERE id = :id", id=head.id) is True
    assert client.post(f"/v1/heads/{head.id}/promote").status_code == 409
