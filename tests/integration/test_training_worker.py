"""The training worker's ends: killed or told to stop in the middle of a training, the head is trained all the same."""

import signal
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest

from app.db import transaction
from app.heads.recipe import HeadRecipe
from app.models import Head, Job
from app.services import labelling, tasks, training
from tests.conftest import TestStore
from tests.integration.processes import running
from tests.integration.rows import add_numbered, embed
from tests.waiting import PATIENCE, eventually

TRAIN = ["-m", "workers", "train"]
ROWS = 300


@pytest.fixture
def requested(store: TestStore) -> UUID:
    """A training that takes some seconds: a grid over rows that are not easily told apart. Its job."""
    feature_set, rng = store.feature_set(), np.random.default_rng(0)
    ids = add_numbered(store.sessions, ROWS)
    shift = np.repeat([0.0, 0.1], ROWS // 2)[:, None]
    embed(store, feature_set, ids, (rng.random((ROWS, feature_set.avg_dim)) + shift).astype(np.float32))
    with transaction(store.sessions) as session:
        task = tasks.named(session, "empty-container")
        classes = {image: task.classes[i >= ROWS // 2] for i, image in enumerate(ids)}
        labelling.add_many(session, task, classes, author="test", source="import")
        grid = {"C": np.geomspace(0.01, 10, 15).tolist(), "gamma": np.geomspace(0.1, 10, 12).tolist()}
        recipe = HeadRecipe.from_json({"algorithm": "rbf-svm", "pooling": "avg", "params": grid, "folds": 10})
        job, _ = training.request(session, task.name, feature_set, recipe.to_json(), author="test")
    return job.id


def state(store: TestStore, job_id: UUID) -> tuple[str, int, int, int]:
    """State, progress, attempts and losses of a job."""
    with transaction(store.sessions) as session:
        job = session.get_one(Job, job_id)
        return job.state, job.done, job.attempts, job.losses


def stages(store: TestStore) -> list[str]:
    with transaction(store.sessions) as session:
        return [head.stage for head in session.query(Head).where(Head.author == "test")]


@pytest.mark.parametrize(
    ("sent", "status", "then"),
    [(signal.SIGKILL, -9, ("running", 1, 0)), (signal.SIGTERM, 0, ("queued", 0, 0))],
)
def test_a_training_that_was_interrupted_is_done_by_the_next_worker(
    store: TestStore,
    requested: UUID,
    tmp_path: Path,
    sent: signal.Signals,
    status: int,
    then: tuple[str, int, int],
) -> None:
    underway: Callable[[], bool] = lambda: state(store, requested)[1] > 1  # noqa: E731
    lease = "5" if sent == signal.SIGKILL else "60"  # a machine that stands still for longer than it counts as a death
    with running(TRAIN, store.settings, tmp_path / "log", lease_seconds=lease) as first:
        eventually(underway, what="progress", every=0.02)
        first.send_signal(sent)
        assert first.wait(timeout=PATIENCE) == status
    now, _, attempts, losses = state(store, requested)
    assert (now, attempts, losses) == then
    assert stages(store) == ["training"]
    with running(TRAIN, store.settings, tmp_path / "log", lease_seconds="60"):
        eventually(lambda: state(store, requested)[0] == "succeeded", what="the training")
    assert stages(store) == ["candidate"]
    assert state(store, requested)[3] == (1 if sent == signal.SIGKILL else 0)
    assert "Traceback" not in (tmp_path / "log").read_text()
