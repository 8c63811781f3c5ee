"""Heads made without a training, whose answers a test can work out: light is where the first average is high."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.db import transaction
from app.heads.artifact import GoldenRows, HeadMetadata
from app.heads.convert import to_onnx
from app.heads.evidence import Evidence
from app.heads.familiarity import Familiarity
from app.heads.pooling import Pooling
from app.models import FeatureSet, Head, Stage
from app.services import labelling, tasks
from tests.conftest import TestStore
from tests.integration.rows import add_numbered, embed

TASK, CLASSES, POSITIVE = "bright", ("dark", "light"), "light"
STEEPNESS = 20.0


@dataclass(frozen=True)
class Rule:
    """P(light) rises with the first average and is a half at `centre`; `direction` -1 turns it round."""

    centre: float
    direction: int = 1
    threshold: float = 0.5
    review_from: float | None = None

    def positive(self, light: NDArray[Any]) -> NDArray[np.float64]:
        return 1 / (1 + np.exp(-self.direction * STEEPNESS * (np.asarray(light, np.float64) - self.centre)))

    def decide(self, light: NDArray[Any]) -> list[str]:
        lowest = self.threshold if self.review_from is None else self.review_from
        return [
            "light" if p >= self.threshold else "review" if p >= lowest else "dark"
            for p in self.positive(light).tolist()
        ]

    def probabilities(self, light: NDArray[Any]) -> NDArray[np.float32]:
        p = self.positive(light)
        return np.stack([1 - p, p], axis=1).astype(np.float32)

    def artifact(self, feature_set: FeatureSet, /, *, familiarity: Familiarity | None = None, **changes: Any) -> bytes:
        """An ONNX head as a training leaves it; `changes` are of its metadata."""
        metadata = HeadMetadata(
            task=TASK, classes=CLASSES, positive=POSITIVE, threshold=self.threshold, policy="fixed",
            pooling=Pooling.AVG, avg_dimensions=feature_set.avg_dim, max_dimensions=feature_set.max_dim,
            feature_set=feature_set.digest, feature_set_name=feature_set.name, algorithm="rule", params={},
            training_digest="0" * 64, created_at=datetime.now(UTC), libraries={}, review_from=self.review_from,
        )  # fmt: skip
        light = np.linspace(0, 1, 8)
        avg, max_ = vectors(feature_set, light), np.zeros((len(light), feature_set.max_dim), np.float32)
        golden = GoldenRows(avg, max_, self.probabilities(light), tuple(self.decide(light)))
        weights = np.zeros((feature_set.avg_dim, 2))
        weights[0] = [0, self.direction * STEEPNESS]

        def emit(graph: Any, inputs: Any) -> str:
            bias = graph.constant([0, -self.direction * STEEPNESS * self.centre])
            return str(graph.node("Softmax", graph.node("Gemm", inputs["avg"], graph.constant(weights), bias), axis=1))

        return to_onnx(emit, replace(metadata, **changes), golden, familiarity)


def vectors(feature_set: FeatureSet, light: NDArray[Any]) -> NDArray[np.float32]:
    avg = np.zeros((len(light), feature_set.avg_dim), np.float32)
    avg[:, 0] = light
    return avg


@dataclass(frozen=True)
class Archive:
    """Images by brightness: `light` (n,) of the regions `regions` (n,), of the task `bright`."""

    store: TestStore
    images: list[UUID]
    regions: NDArray[np.int64]
    light: NDArray[np.float64]

    def label(self, names: Sequence[str] | None = None) -> None:
        """State every image's class; light is what is brighter than a half, unless `names` say otherwise."""
        words = names or ["light" if value > 0.5 else "dark" for value in self.light.tolist()]
        with transaction(self.store.sessions) as session:
            classes = dict(zip(self.images, words, strict=True))
            labelling.add_many(session, tasks.named(session, TASK), classes, author="test", source="import")

    def evidence(self, rule: Rule) -> Evidence:
        """What a rule said of every row out of fold."""
        return Evidence(
            classes=CLASSES, image_ids=tuple(map(str, self.images)), region_ids=self.regions,
            y=(self.light > 0.5).astype(np.int64), fold_of=np.zeros(len(self.light), np.int64),
            probabilities=rule.probabilities(self.light),
        )  # fmt: skip


def archive(store: TestStore, count: int, *, feature_set: FeatureSet | None = None) -> Archive:
    """A task of our own and `count` images, from dark to light in shuffled order."""
    light = np.random.default_rng(0).permutation(np.linspace(0.001, 0.999, count))
    with transaction(store.sessions) as session:
        tasks.create(session, TASK, "Is it?", list(CLASSES), POSITIVE, author="test")
    images = add_numbered(store.sessions, count)
    chosen = feature_set or store.feature_set()
    regions = embed(store, chosen, images, vectors(chosen, light))
    # What is stored is float32; what is asked is that number.
    return Archive(store, images, np.array(regions), light.astype(np.float32).astype(np.float64))


def register(
    store: TestStore, rule: Rule | bytes, *, stage: Stage = Stage.CANDIDATE, feature_set: FeatureSet | None = None,
    task: str = TASK, evidence: Evidence | None = None, starter: bool = False, **report: Any,
) -> UUID:  # fmt: skip
    """A head version of `rule`, or of an artifact's bytes; `report` adds to what its report says."""
    chosen = feature_set or store.feature_set()
    content = rule if isinstance(rule, bytes) else rule.artifact(chosen, task=task)
    parity = {"rows": 8, "max_difference": 1e-7, "decisions_changed": 0}
    with transaction(store.sessions) as session:
        head = Head(
            task=task, version=_next_version(session, task), stage=stage, feature_set_id=chosen.id, algorithm="rule",
            threshold=0.5, artifact=content, report={"parity": parity, "out_of_fold": {"auc": 1.0}} | report,
            card="", evidence=evidence.to_bytes() if evidence else None, author="test", trained_at=datetime.now(UTC),
            recipe={"starter": True} if starter else {},
        )  # fmt: skip
        session.add(head)
        session.flush()
        return head.id


def _next_version(session: Session, task: str) -> int:
    return (session.scalar(select(func.max(Head.version)).where(Head.task == task)) or 0) + 1
