"""Rows that look like a network's activations, and a head of any algorithm on them."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np

from app.heads.algorithms import Algorithm, Params, Space
from app.heads.artifact import HeadMetadata
from app.heads.pooling import Pooling
from app.heads.table import TrainingTable
from app.heads.trainers.base import Rows, Run
from app.heads.trainers.pipeline import Pipeline, SinglePipeline
from app.heads.trainers.registry import trainer_for
from app.heads.trainers.scaling import Scaling
from app.heads.trainers.sigmoid import Softmax

RUN = Run(0, lambda: None)
# Small enough for seconds, large enough that every part of the graph has something to do.
PARAMS: dict[Algorithm, dict[str, Any]] = {
    Algorithm.LOGISTIC_REGRESSION: {"C": [1e-2]},
    Algorithm.LINEAR_SVM: {"C": [1e-3]},
    Algorithm.RBF_SVM: {"C": [1.0], "gamma": [1.0]},
    Algorithm.RANDOM_FOREST: {"trees": [30, 45, 10], "max_features": [0.1, 0.2]},
    Algorithm.GRADIENT_BOOSTING: {"iterations": [25, 10], "max_leaves": [4, 15], "learning_rate": 0.2},
    Algorithm.K_NEAREST: {
        "k": [5, 1, 30],
        "weights": ["distance", "uniform"],
        "metric": ["cosine", "euclidean"],
    },
    Algorithm.MLP: {"units": 16, "layers": [1, 2], "max_iter": 12},
    Algorithm.KERAS_NETWORK: {
        "layers": [2],
        "units": 16,
        "epochs": 6,
        "batch_size": 32,
        "learning_rate": 0.01,
        "batch_norm": ["yes", "no"],
        "schedule": "plateau",
        "patience": 2,
    },
}
MINE = (
    Algorithm.RANDOM_FOREST,
    Algorithm.GRADIENT_BOOSTING,
    Algorithm.K_NEAREST,
    Algorithm.MLP,
    Algorithm.KERAS_NETWORK,
)


def activations(*, classes: int = 2, count: int = 600, seed: int = 1, **changes: Any) -> TrainingTable:
    """Return `count` rows, three a subject: 64 + 64 channels, none negative, many asleep, moved by shared causes."""
    world, rng = np.random.default_rng(0), np.random.default_rng(seed)
    loading, gain = world.normal(size=(12, 128)), world.lognormal(0.0, 1.0, 128)
    owner = np.arange(count) // 3
    causes = rng.normal(size=(owner.max() + 1, 12))[owner] + 0.5 * rng.normal(size=(count, 12))
    x = np.maximum((causes @ loading) / 3 + rng.normal(size=(count, 128)) - 0.5, 0.0) * gain
    y = causes[:, :classes].argmax(axis=1)
    avg, max_ = np.split(x.astype(np.float32), 2, axis=1)
    fields: dict[str, Any] = {
        "task": "empty-container",
        "classes": ("empty", "loaded", "unsure")[:classes],
        "positive": "loaded",
        "feature_set": "f" * 64,
        "feature_set_name": "activations",
        "avg": avg,
        "max": max_,
        "y": y,
        "groups": owner,
    }
    return TrainingTable(**(fields | changes))


def rows_of(table: TrainingTable, pooling: Pooling = Pooling.BOTH, weight: Any = None) -> tuple[Scaling, Rows]:
    x = table.features(pooling)
    scaling = Scaling.fit(x)
    weight = np.ones(len(x)) if weight is None else weight
    return scaling, Rows(scaling(x), table.y, weight, table.group_codes, len(table.classes))


def candidates(algorithm: Algorithm, params: Mapping[str, Any] | None = None) -> list[Params]:
    return [one.params for one in Space(algorithm, params=params or PARAMS[algorithm]).grid()]


def fitted(table: TrainingTable, algorithm: Algorithm, params: Params, pooling: Pooling) -> SinglePipeline:
    scaling, rows = rows_of(table, pooling)
    return SinglePipeline(pooling, scaling, trainer_for(algorithm).fit(rows, params, RUN), Softmax())


def metadata_of(table: TrainingTable, pipeline: Pipeline, algorithm: str = "any") -> HeadMetadata:
    return HeadMetadata(
        task=table.task,
        classes=table.classes,
        positive=table.positive,
        threshold=0.5,
        policy="fixed=0.5",
        pooling=pipeline.pooling,
        avg_dimensions=table.avg.shape[1],
        max_dimensions=table.max.shape[1],
        feature_set=table.feature_set,
        feature_set_name=table.feature_set_name,
        algorithm=algorithm,
        params={},
        training_digest=table.digest,
        created_at=datetime(2026, 1, 2, tzinfo=UTC),
        libraries={},
    )
