"""Tasks, the heads that answer them, and what the heads said."""

from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import (
    REAL,
    BigInteger,
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    LargeBinary,
    String,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base
from app.models.columns import Id, Moment, Now, TaskRef


class Stage(StrEnum):
    """Where a head version stands. `training` and `failed` ones have no artifact."""

    TRAINING = "training"
    FAILED = "failed"
    CANDIDATE = "candidate"
    LIVE = "live"
    ARCHIVED = "archived"


class Task(Base):
    """A question with classes and a positive class, the one that must not be missed.

    `policy`, `abstain` and `prevalence` are what its heads decide by unless a recipe says otherwise. `mirrored`: a
    scan's mirror image has the same class, so that augmentation may flip it.
    `profile`: the kind of scan it asks about. `feature_set_id`: what its next heads are trained on.
    `blind`: whoever works its worklist sees no score before an opinion of their own.
    """

    __tablename__ = "task"
    __table_args__ = (
        CheckConstraint("positive = ANY (classes)", name="positive_is_a_class"),
        CheckConstraint("prevalence > 0 AND prevalence < 1", name="prevalence_is_a_share"),
    )

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    question: Mapped[str]
    classes: Mapped[list[str]] = mapped_column(ARRAY(String(64)))
    positive: Mapped[str] = mapped_column(String(64))
    policy: Mapped[str | None]
    abstain: Mapped[str | None]
    prevalence: Mapped[float | None]
    mirrored: Mapped[bool] = mapped_column(default=False, server_default="false")
    profile: Mapped[str | None] = mapped_column(String(16))
    feature_set_id: Mapped[int | None] = mapped_column(ForeignKey("feature_set.id"))
    blind: Mapped[bool] = mapped_column(default=False, server_default="false")
    created_at: Mapped[Now]


class Head(Base):
    """One trained immutable artifact of a task; only its stage changes."""

    __tablename__ = "head"
    __table_args__ = (
        UniqueConstraint("task", "version"),
        UniqueConstraint("id", "task"),
        Index("uq_head_live", "task", unique=True, postgresql_where=text("stage = 'live'")),
        CheckConstraint("stage IN ('training', 'failed') OR artifact IS NOT NULL", name="whole_or_absent"),
        CheckConstraint("stage IN ('training', 'failed', 'candidate', 'live', 'archived')", name="known_stage"),
    )

    id: Mapped[Id]
    task: Mapped[TaskRef]
    version: Mapped[int]
    stage: Mapped[str] = mapped_column(String(16))
    feature_set_id: Mapped[int] = mapped_column(ForeignKey("feature_set.id"))
    algorithm: Mapped[str] = mapped_column(String(64))
    dataset_id: Mapped[UUID | None] = mapped_column(ForeignKey("dataset.id"))
    recipe: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default="{}")
    threshold: Mapped[float | None]
    artifact: Mapped[bytes | None] = mapped_column(LargeBinary, deferred=True)
    report: Mapped[dict[str, Any] | None] = mapped_column(JSONB, deferred=True)
    card: Mapped[str | None] = mapped_column(deferred=True)
    page: Mapped[str | None] = mapped_column(deferred=True)
    evidence: Mapped[bytes | None] = mapped_column(LargeBinary, deferred=True)
    author: Mapped[str]
    created_at: Mapped[Now]
    trained_at: Mapped[Moment | None]


class Promotion(Base):
    """A head going live: the history that rollback walks back."""

    __tablename__ = "promotion"
    __table_args__ = (Index("ix_promotion_task", "task", "id"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    task: Mapped[TaskRef]
    head_id: Mapped[UUID] = mapped_column(ForeignKey("head.id"))
    author: Mapped[str]
    rollback: Mapped[bool] = mapped_column(server_default="false", default=False)
    at: Mapped[Now]


class Prediction(Base):
    """One head version's probabilities and decision on one region. Never updated. `reason`: why it cannot judge.

    `risk`: the probability of the task's positive class, by which worklists are ordered.

    Its keys are pairs, so that it names the region's own image and the head's own task, and two are checked for each
    prediction instead of four: of the 17 us that storing one takes in Postgres 5 (2026-11).
    """

    __tablename__ = "prediction"
    __table_args__ = (
        ForeignKeyConstraint(["region_id", "image_id"], ["region.id", "region.image_id"], ondelete="CASCADE"),
        ForeignKeyConstraint(["head_id", "task"], ["head.id", "head.task"]),
        UniqueConstraint("region_id", "head_id"),
        Index("ix_prediction_image_id", "image_id"),
        Index("ix_prediction_head_id_decision", "head_id", "decision", "risk", "image_id"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    image_id: Mapped[UUID]
    region_id: Mapped[int] = mapped_column(BigInteger)
    task: Mapped[str] = mapped_column(String(64))
    head_id: Mapped[UUID]
    probabilities: Mapped[dict[str, float]] = mapped_column(JSONB)
    decision: Mapped[str] = mapped_column(String(64))
    reason: Mapped[str | None]
    threshold: Mapped[float]
    risk: Mapped[float] = mapped_column(REAL)
    at: Mapped[Now]


class Explanation(Base):
    """Where in a region a head found its evidence. Never updated.

    `heat`: rows of the last feature map, in log-odds of the positive class.
    """

    __tablename__ = "explanation"

    region_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("region.id", ondelete="CASCADE"), primary_key=True)
    head_id: Mapped[UUID] = mapped_column(ForeignKey("head.id"), primary_key=True)
    method: Mapped[str] = mapped_column(String(64))
    heat: Mapped[list[list[float]]] = mapped_column(JSONB)
    facts: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict, server_default="{}")
    at: Mapped[Now]
