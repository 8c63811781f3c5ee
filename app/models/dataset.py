"""Frozen snapshots of labelled rows, what was found in them, and how often their test rows were consulted."""

from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Identity,
    Index,
    LargeBinary,
    SmallInteger,
    String,
    UniqueConstraint,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.dialects.postgresql import UUID as PG_UUID
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base
from app.models.columns import Id, Now, TaskRef


class Split(StrEnum):
    """Heads learn from `train` alone; `test` is scored once a head version; `validation` may be looked at freely."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


class Dataset(Base):
    """A frozen snapshot: rows with their classes and splits, of one task and one feature set. Never updated.

    `digest` is SHA-256 over content alone, so that two stores that froze the same rows agree. `findings` says what
    crosses the splits: subjects, duplicates. `counts` is rows by split and class.
    """

    __tablename__ = "dataset"
    __table_args__ = (UniqueConstraint("name", "version"),)

    id: Mapped[Id]
    name: Mapped[str] = mapped_column(String(64))
    version: Mapped[int]
    task: Mapped[TaskRef]
    feature_set_id: Mapped[int] = mapped_column(ForeignKey("feature_set.id"))
    classes: Mapped[list[str]] = mapped_column(ARRAY(String(64)))
    positive: Mapped[str] = mapped_column(String(64))
    digest: Mapped[str] = mapped_column(String(64))
    selection: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default="{}")
    split: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default="{}")
    findings: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default="{}")
    counts: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default="{}")
    author: Mapped[str]
    created_at: Mapped[Now]

    @property
    def full_name(self) -> str:
        """`name@version`, as it is written everywhere."""
        return f"{self.name}@{self.version}"

    @property
    def rows(self) -> int:
        """How many rows there are, in all splits."""
        return sum(count for split in self.counts.values() for count in split.values())


class DatasetRow(Base):
    """One region of a dataset. It outlives its image, so that a snapshot can say what it has lost."""

    __tablename__ = "dataset_row"
    __table_args__ = (
        CheckConstraint("split IN ('train', 'validation', 'test')", name="known_split"),
        CheckConstraint("octet_length(sha256) = 32", name="sha256_length"),
    )

    dataset_id: Mapped[UUID] = mapped_column(ForeignKey("dataset.id", ondelete="CASCADE"), primary_key=True)
    region_id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    image_id: Mapped[UUID] = mapped_column(PG_UUID(as_uuid=True))
    sha256: Mapped[bytes] = mapped_column(LargeBinary(32))
    ordinal: Mapped[int] = mapped_column(SmallInteger, server_default="0", default=0)
    class_name: Mapped[str] = mapped_column(String(64))
    subject: Mapped[str]
    split: Mapped[str] = mapped_column(String(16))


class TestScore(Base):
    """One consultation of a dataset's test rows by a head version; asked again, this answer is given again."""

    __tablename__ = "test_score"
    __table_args__ = (UniqueConstraint("dataset_id", "head_id"),)
    __test__ = False  # no test class, whatever pytest thinks of the name

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    dataset_id: Mapped[UUID] = mapped_column(ForeignKey("dataset.id", ondelete="CASCADE"))
    head_id: Mapped[UUID] = mapped_column(ForeignKey("head.id"))
    figures: Mapped[dict[str, Any]] = mapped_column(JSONB)
    evidence: Mapped[bytes] = mapped_column(LargeBinary, deferred=True)
    author: Mapped[str]
    at: Mapped[Now]


class AugmentationRequest(Base):
    """That a dataset's training images be extracted again, changed at random; what is missing is derived from it."""

    __tablename__ = "augmentation_request"
    __table_args__ = (
        UniqueConstraint("dataset_id", "recipe"),
        CheckConstraint("copies BETWEEN 1 AND 49", name="some_copies"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    dataset_id: Mapped[UUID] = mapped_column(ForeignKey("dataset.id", ondelete="CASCADE"))
    recipe: Mapped[str] = mapped_column(String(32))
    copies: Mapped[int] = mapped_column(SmallInteger)
    author: Mapped[str]
    created_at: Mapped[Now]


class Trial(Base):
    """One candidate on one fold of a training's search: progress to watch, and what a restart need not repeat."""

    __tablename__ = "trial"
    __table_args__ = (Index("ix_trial_head_id", "head_id", "id"), UniqueConstraint("head_id", "key", "fold"))

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    head_id: Mapped[UUID] = mapped_column(ForeignKey("head.id", ondelete="CASCADE"))
    key: Mapped[str] = mapped_column(String(64))
    fold: Mapped[int] = mapped_column(SmallInteger)
    candidate: Mapped[dict[str, Any]] = mapped_column(JSONB)
    auc: Mapped[float]
    seconds: Mapped[float]
    at: Mapped[Now]
