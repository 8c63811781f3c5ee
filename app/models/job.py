"""Work to do, and who does it."""

from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, Integer, SmallInteger, String, func, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base
from app.models.columns import Id, Moment, Now


class Kind(StrEnum):
    EXTRACT = "extract"
    AUGMENT = "augment"
    TRAIN = "train"
    RESCORE = "rescore"
    REPLAY = "replay"
    EXPLAIN = "explain"
    BACKBONE = "backbone"


class JobState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Job(Base):
    """One piece of work. `losses` counts leases lost to a dead worker: such a job is claimed alone."""

    __tablename__ = "job"
    __table_args__ = (
        CheckConstraint(
            "kind IN ('extract', 'augment', 'train', 'rescore', 'replay', 'explain', 'backbone')", name="known_kind"
        ),
        CheckConstraint(
            "state IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')", name="known_state"
        ),
        CheckConstraint("(state = 'running') = (lease_token IS NOT NULL)", name="running_has_a_lease"),
        CheckConstraint(
            "kind NOT IN ('extract', 'augment', 'explain') OR (image_id IS NOT NULL AND feature_set_id IS NOT NULL)",
            name="extract_of_an_image",
        ),
        CheckConstraint("kind IN ('extract', 'augment', 'backbone') OR head_id IS NOT NULL", name="other_of_a_head"),
        CheckConstraint("(kind = 'backbone') = (backbone_training_id IS NOT NULL)", name="backbone_which"),
        CheckConstraint("(kind = 'augment') = (augmentation IS NOT NULL AND copies IS NOT NULL)", name="augment_how"),
        # A failed extraction stays in the index: it is what parks a poison image.
        Index(
            "uq_job_extract",
            "image_id",
            "feature_set_id",
            unique=True,
            postgresql_where=text("kind = 'extract' AND state IN ('queued', 'running', 'failed')"),
        ),
        Index(
            "uq_job_augment",
            "image_id",
            "feature_set_id",
            "augmentation",
            unique=True,
            postgresql_where=text("kind = 'augment' AND state IN ('queued', 'running', 'failed')"),
        ),
        Index(
            "uq_job_explain",
            "image_id",
            "head_id",
            unique=True,
            postgresql_where=text("kind = 'explain' AND state IN ('queued', 'running')"),
        ),
        Index("uq_job_replay", "head_id", unique=True, postgresql_where=text("kind = 'replay' AND state = 'queued'")),
        Index("uq_job_rescore", "head_id", unique=True, postgresql_where=text("kind = 'rescore' AND state = 'queued'")),
        Index(
            "ix_job_queue",
            "kind",
            "feature_set_id",
            "priority",
            "run_after",
            postgresql_where=text("state = 'queued'"),
        ),
        Index("ix_job_image_id", "image_id", "feature_set_id"),
        Index("ix_job_leases", "lease_until", postgresql_where=text("state = 'running'")),
        Index("ix_job_finished", "finished_at", postgresql_where=text("finished_at IS NOT NULL")),
    )  # fmt: skip

    id: Mapped[Id]
    kind: Mapped[str] = mapped_column(String(16))
    state: Mapped[str] = mapped_column(String(16), default=JobState.QUEUED, server_default="queued")
    image_id: Mapped[UUID | None] = mapped_column(ForeignKey("image.id", ondelete="CASCADE"))
    feature_set_id: Mapped[int | None] = mapped_column(ForeignKey("feature_set.id"))
    head_id: Mapped[UUID | None] = mapped_column(ForeignKey("head.id"))
    backbone_training_id: Mapped[UUID | None] = mapped_column(ForeignKey("backbone_training.id"))
    augmentation: Mapped[str | None] = mapped_column(String(32))
    copies: Mapped[int | None] = mapped_column(SmallInteger)
    priority: Mapped[int] = mapped_column(SmallInteger, default=0, server_default="0")
    run_after: Mapped[Moment] = mapped_column(server_default=func.now())
    attempts: Mapped[int] = mapped_column(SmallInteger, default=0, server_default="0")
    losses: Mapped[int] = mapped_column(SmallInteger, default=0, server_default="0")
    lease_token: Mapped[UUID | None]
    lease_until: Mapped[Moment | None]
    worker_id: Mapped[UUID | None]
    done: Mapped[int] = mapped_column(default=0, server_default="0")
    total: Mapped[int] = mapped_column(default=1, server_default="1")
    error: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    created_at: Mapped[Now]
    started_at: Mapped[Moment | None]
    finished_at: Mapped[Moment | None]


class Worker(Base):
    """A worker process that reports being alive.

    `serves`: ids of the feature sets it extracts. `stages`: what each stage of its pipeline has done so far.
    """

    __tablename__ = "worker"

    id: Mapped[Id]
    kind: Mapped[str] = mapped_column(String(16))
    host: Mapped[str]
    pid: Mapped[int]
    engine: Mapped[str | None]
    serves: Mapped[list[int]] = mapped_column(ARRAY(Integer), default=list, server_default="{}")
    stages: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict, server_default="{}")
    started_at: Mapped[Now]
    seen_at: Mapped[Now]
