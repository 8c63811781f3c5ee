"""Feature sets, what preparing a scan for one found, and the embeddings made with it."""

from enum import StrEnum
from typing import Any

from pgvector.sqlalchemy import Vector
from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Identity, Index, SmallInteger, String, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base
from app.models.columns import Id, Moment, Now, TaskRef


class FeatureStage(StrEnum):
    """What is extracted: `live` sets at once, and images wait for them; `filling` ones when there is time.

    A `dropped` one has no vectors and no partition any more: its row stays while heads or datasets speak of it.
    """

    FILLING = "filling"
    LIVE = "live"
    RETIRED = "retired"
    DROPPED = "dropped"


class FeatureSet(Base):
    """The immutable identity of an extractor's output. Only `stage`, `paused` and `rate` change.

    `profile`: the kind of scan it is for, every kind if None. `cut`: which regions it describes, `frame` or a
    detector's. `rate`: images a second at most while it is filled, unbounded if None. `origin`: how it came to be.
    """

    __tablename__ = "feature_set"
    __table_args__ = (
        CheckConstraint("avg_dim > 0 AND max_dim > 0", name="dimensions"),
        CheckConstraint("stage IN ('filling', 'live', 'retired', 'dropped')", name="known_stage"),
        CheckConstraint("rate > 0", name="positive_rate"),
    )

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    avg_dim: Mapped[int]
    max_dim: Mapped[int]
    spec: Mapped[dict[str, Any]] = mapped_column(JSONB)
    stage: Mapped[str] = mapped_column(String(16), default=FeatureStage.LIVE, server_default="live")
    profile: Mapped[str | None] = mapped_column(String(16))
    cut: Mapped[str] = mapped_column(String(32), default="frame", server_default="frame")
    paused: Mapped[bool] = mapped_column(default=False, server_default="false")
    rate: Mapped[float | None]
    origin: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict, server_default="{}")
    created_at: Mapped[Now]


class Embedding(Base):
    """The vectors of one (region, feature set, augmentation): LIST-partitioned, never updated.

    Each feature set's partition checks its own dimensions and carries its own HNSW index
    (`app.vectors.create_partition`): the parent cannot, because dimensions differ.
    """

    __tablename__ = "embedding"
    __table_args__ = {"postgresql_partition_by": "LIST (feature_set_id)"}

    # The region leads the key: deleting an image must find its rows without a scan.
    region_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("region.id", ondelete="CASCADE"), primary_key=True)
    feature_set_id: Mapped[int] = mapped_column(ForeignKey("feature_set.id"), primary_key=True)
    augmentation: Mapped[int] = mapped_column(SmallInteger, primary_key=True, server_default="0")
    avg: Mapped[Any] = mapped_column(Vector())
    max: Mapped[Any] = mapped_column(Vector())
    engine: Mapped[str]
    created_at: Mapped[Now]


class Preparation(Base):
    """What preparing a region's pixels for a feature set found: its steps, its quality, its problems. Never updated."""

    __tablename__ = "preparation"
    __table_args__ = (
        Index("ix_preparation_feature_set_id", "feature_set_id"),
        Index(
            "ix_preparation_problems", "feature_set_id", "region_id",
            postgresql_where=text("(findings #> '{problems,0}') IS NOT NULL"),
        ),
    )  # fmt: skip

    region_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("region.id", ondelete="CASCADE"), primary_key=True)
    feature_set_id: Mapped[int] = mapped_column(ForeignKey("feature_set.id"), primary_key=True)
    findings: Mapped[dict[str, Any]] = mapped_column(JSONB)
    at: Mapped[Now]


class BackboneTraining(Base):
    """A network trained on labelled images, whose last layer becomes a feature set of its own.

    `epochs`: the learning curve so far, a point an epoch. `report`: figures once it has ended.
    """

    __tablename__ = "backbone_training"

    id: Mapped[Id]
    name: Mapped[str] = mapped_column(String(64), unique=True)
    task: Mapped[TaskRef]
    recipe: Mapped[dict[str, Any]] = mapped_column(JSONB)
    epochs: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, default=list, server_default="[]")
    report: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    feature_set_id: Mapped[int | None] = mapped_column(ForeignKey("feature_set.id"))
    author: Mapped[str]
    created_at: Mapped[Now]
    finished_at: Mapped[Moment | None]
