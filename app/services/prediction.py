"""Predictions: the live heads' answers on stored vectors. No network pass, no TensorFlow."""

import threading
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import numpy as np
from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session

from app import vectors
from app.errors import Conflict
from app.heads.scoring import Head as Scorer
from app.models import FeatureSet, Head, Image, Prediction, Region, Stage


class LoadedHeads:
    """Scorers by head id. Artifacts are immutable, so a loaded one never goes stale."""

    def __init__(self) -> None:
        self._scorers: dict[UUID, Scorer] = {}
        self._lock = threading.Lock()

    def get(self, session: Session, head_id: UUID) -> Scorer:
        with self._lock:
            if head_id not in self._scorers:
                artifact = session.scalar(select(Head.artifact).where(Head.id == head_id))
                if artifact is None:
                    raise Conflict(f"Head {head_id} has no artifact yet; wait for its training job.")
                self._scorers[head_id] = Scorer.load(artifact)
            return self._scorers[head_id]

    def keep_only(self, head_ids: set[UUID]) -> None:
        """Forget the scorers of heads that are no longer live."""
        with self._lock:
            for head_id in set(self._scorers) - head_ids:
                del self._scorers[head_id]


def live_heads(session: Session, feature_set_id: int) -> list[Head]:
    return list(session.scalars(select(Head).where(Head.stage == Stage.LIVE, Head.feature_set_id == feature_set_id)))


def score(session: Session, loaded: LoadedHeads, heads: Sequence[Head], rows: vectors.Rows) -> int:
    """Store each head's prediction on each row; what was already predicted stays. How many rows were stored."""
    if not len(rows) or not heads:
        return 0
    # The images stay until this commits: a deletion meanwhile would break the foreign keys below.
    found = session.execute(
        select(Region.id, Region.image_id)
        .join(Image, Image.id == Region.image_id)
        .where(Region.id.in_(rows.region_ids.tolist()))
        .order_by(Image.id)
        .with_for_update(read=True, key_share=True, of=Image)
    )
    owners = {row.id: row.image_id for row in found}
    stored = 0
    for head in heads:
        predictions = _predictions(loaded.get(session, head.id), head, rows, owners)
        if predictions:
            session.execute(upsert(Prediction).on_conflict_do_nothing(), predictions)
        stored += len(predictions)
    return stored


def _predictions(scorer: Scorer, head: Head, rows: vectors.Rows, owners: dict[int, UUID]) -> list[dict[str, Any]]:
    probabilities = scorer.probabilities(rows.avg, rows.max)
    classes = scorer.metadata.classes
    return [
        {
            "image_id": owners[region], "region_id": region, "task": head.task, "head_id": head.id,
            "probabilities": dict(zip(classes, values, strict=True)), "decision": decision,
            "threshold": head.threshold,
        }
        for region, values, decision in zip(
            rows.region_ids.tolist(), np.asarray(probabilities, float).tolist(),
            scorer.decide(probabilities), strict=True,
        )
        if region in owners
    ]  # fmt: skip


def rescore_some(
    session: Session, loaded: LoadedHeads, head_id: UUID, *, after: int, limit: int = 4096
) -> tuple[int | None, int]:
    """Judge the next stored vectors that a head has not judged, in region order.

    The region id to go on after, or None at the end, and how many were judged.
    """
    head = session.get_one(Head, head_id)
    feature_set = session.get_one(FeatureSet, head.feature_set_id)
    regions = session.scalars(
        text(
            f"""
            SELECT e.region_id FROM {vectors.partition(feature_set.id)} e
            LEFT JOIN prediction p ON p.region_id = e.region_id AND p.head_id = :head
            WHERE e.augmentation = 0 AND p.id IS NULL AND e.region_id > :after
            ORDER BY e.region_id LIMIT :limit
            """
        ),
        {"head": head_id, "after": after, "limit": limit},
    ).all()
    if not regions:
        return None, 0
    return regions[-1], score(session, loaded, [head], vectors.copy_out(session, feature_set, regions))


def predict_stored(session: Session, loaded: LoadedHeads, task: str, image_id: UUID) -> None:
    """Make sure the live head of `task` has judged a stored image.

    Raise Conflict when the task has no live head. An image that has no vectors yet is left
    to the worker, which judges it when they are there.
    """
    head = live_head(session, task)
    region_ids = list(session.scalars(select(Region.id).where(Region.image_id == image_id)))
    known = set(
        session.scalars(
            select(Prediction.region_id).where(Prediction.head_id == head.id, Prediction.region_id.in_(region_ids))
        )
    )
    missing = [region for region in region_ids if region not in known]
    if missing:
        feature_set = session.get_one(FeatureSet, head.feature_set_id)
        score(session, loaded, [head], vectors.copy_out(session, feature_set, missing))


def live_head(session: Session, task: str) -> Head:
    head = session.scalar(select(Head).where(Head.task == task, Head.stage == Stage.LIVE))
    if head is None:
        raise Conflict(f"Task {task} has no live head; train one and promote it.")
    return head
