"""Synthetic features with a known answer, and one trained head of each algorithm."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from app.heads.algorithms import Algorithm
from app.heads.pooling import Pooling
from app.heads.recipe import HeadRecipe
from app.heads.table import TrainingTable
from app.heads.trainers import TrainedHead, train

MakeTable = Callable[..., TrainingTable]

# Small enough for seconds, by the rules of the real ones.
PARAMS: dict[Algorithm, dict[str, Any]] = {
    Algorithm.LOGISTIC_REGRESSION: {"C": [1e-3, 1e-1]},
    Algorithm.LINEAR_SVM: {"C": [1e-3, 1e-2]},
    Algorithm.RBF_SVM: {"C": [1.0, 10.0], "gamma": 1.0},
    Algorithm.RANDOM_FOREST: {"trees": 40, "max_features": 0.3},
    Algorithm.GRADIENT_BOOSTING: {"iterations": 30, "max_leaves": 4, "max_features": 1.0},
    Algorithm.K_NEAREST: {"k": [5, 15]},
    Algorithm.MLP: {"units": 16, "max_iter": 20, "learning_rate": 0.01},
    Algorithm.KERAS_NETWORK: {"units": 16, "epochs": 6, "batch_size": 32, "dropout": 0.2, "learning_rate": 0.01},
}


def build_table(
    *,
    subjects: int = 80,
    films: int = 3,
    signal: float = 1.0,
    classes: tuple[str, ...] = ("empty", "loaded"),
    positive: str = "loaded",
    dimensions: tuple[int, int] = (12, 10),
    seed: int = 0,
    **changes: Any,
) -> TrainingTable:
    """Each subject has one class and an offset of its own; the class moves the first channels by `signal`.

    Another `seed` draws other subjects of the same world: the gain of each channel stays.
    """
    rng, world = np.random.default_rng(seed), np.random.default_rng(99)
    owner, made = np.repeat(np.arange(subjects), films), {}
    y = (rng.permutation(subjects) % len(classes))[owner]
    for name, width in zip(("avg", "max"), dimensions, strict=True):
        own = 0.5 * rng.normal(size=(subjects, width))[owner]
        x = own + rng.normal(size=(len(y), width)) + 3.0
        for label in range(len(classes)):
            x[:, label : label + 2] += signal * (y == label)[:, None]
        made[name] = (x * world.uniform(0.1, 5.0, size=width)).astype(np.float32)
    fields: dict[str, Any] = made | {
        "task": "empty-container",
        "classes": classes,
        "positive": positive,
        "feature_set": "f" * 64,
        "feature_set_name": "densenet121-test",
        "y": y,
        "groups": np.array([f"subject-{one}" for one in owner]),
        "image_ids": tuple(f"image-{row:05d}" for row in range(len(y))),
    }
    return TrainingTable(**(fields | changes))


@pytest.fixture(scope="session")
def make_table() -> MakeTable:
    return build_table


def small_recipe(algorithm: Algorithm = Algorithm.LOGISTIC_REGRESSION, **changes: Any) -> HeadRecipe:
    fields: dict[str, Any] = {"params": PARAMS[algorithm], "folds": 3}
    return HeadRecipe.single(algorithm, **(fields | changes))


@pytest.fixture(scope="session")
def make_recipe() -> Callable[..., HeadRecipe]:
    return small_recipe


@pytest.fixture(scope="session")
def table() -> TrainingTable:
    return build_table()


@pytest.fixture(scope="session")
def heads(table: TrainingTable) -> dict[Algorithm, TrainedHead]:
    """One head of each algorithm on `table`, each with another pooling."""
    poolings = dict(zip(Algorithm, itertools.cycle((Pooling.BOTH, Pooling.AVG, Pooling.MAX)), strict=False))
    return {one: train(table, small_recipe(one, pooling=poolings[one])) for one in Algorithm}


@pytest.fixture(scope="session")
def logistic(heads: dict[Algorithm, TrainedHead]) -> TrainedHead:
    return heads[Algorithm.LOGISTIC_REGRESSION]
