"""Images and their regions."""

from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
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
from app.models.columns import Id, ImageRef, Moment, Now, TaskRef


class Image(Base):
    """One stored scan, identified by the SHA-256 of its bytes. Never updated.

    `profile`: the kind of scan it is, where its sender said so; only feature sets of that kind, or of every kind,
    describe it. `facts`: what the file says of the picture and of nobody's identity.
    """

    __tablename__ = "image"
    __table_args__ = (
        CheckConstraint("octet_length(sha256) = 32", name="sha256_length"),
        CheckConstraint("width > 0 AND height > 0", name="has_pixels"),
        Index("ix_image_subject", "subject", "id"),
        Index("ix_image_source", "source", "id"),
        Index("ix_image_file_name", "file_name"),
        Index("ix_image_tags", "tags", postgresql_using="gin"),
    )

    id: Mapped[Id]
    sha256: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True)
    media_type: Mapped[str] = mapped_column(String(64))
    byte_count: Mapped[int] = mapped_column(BigInteger)
    width: Mapped[int]
    height: Mapped[int]
    bit_depth: Mapped[int]
    file_name: Mapped[str | None]
    subject: Mapped[str | None]
    source: Mapped[str | None]
    captured_at: Mapped[Moment | None]
    received_at: Mapped[Now]
    profile: Mapped[str | None] = mapped_column(String(16))
    frames: Mapped[int] = mapped_column(default=1, server_default="1")
    facts: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict, server_default="{}")
    tags: Mapped[list[str]] = mapped_column(ARRAY(String), server_default="{}", default=list)


class Region(Base):
    """The part of an image that is judged by itself; every image has at least one of each cut.

    Of the cut `frame` it is a whole frame (page); another cut names the detector that found it. The box is in pixels
    of its frame as displayed.
    """

    __tablename__ = "region"
    __table_args__ = (
        UniqueConstraint("image_id", "cut", "ordinal"),
        UniqueConstraint("id", "image_id"),
        CheckConstraint("x >= 0 AND y >= 0 AND width > 0 AND height > 0", name="inside"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    image_id: Mapped[ImageRef]
    cut: Mapped[str] = mapped_column(String(32), server_default="frame", default="frame")
    ordinal: Mapped[int] = mapped_column(server_default="0", default=0)
    frame: Mapped[int] = mapped_column(server_default="0", default=0)
    x: Mapped[int]
    y: Mapped[int]
    width: Mapped[int]
    height: Mapped[int]


class Declaration(Base):
    """What the papers claim of an image for a task; the latest one counts."""

    __tablename__ = "declaration"
    # A worklist reads the latest of every image from the index alone.
    __table_args__ = (
        Index("ix_declaration_latest", "image_id", "task", text("id DESC"), postgresql_include=["class_name"]),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    image_id: Mapped[ImageRef]
    task: Mapped[TaskRef]
    class_name: Mapped[str] = mapped_column(String(64))
    author: Mapped[str]
    at: Mapped[Now]


class Label(Base):
    """One statement about an image's class; never overwritten, only superseded by a later one."""

    __tablename__ = "label"
    __table_args__ = (
        CheckConstraint("source IN ('import', 'declared', 'review')", name="known_source"),
        Index("ix_label_image_id_task", "image_id", "task"),
        Index("ix_label_task", "task"),
        Index("ix_label_review", "task", "image_id", "id", postgresql_where=text("source = 'review'")),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    image_id: Mapped[ImageRef]
    task: Mapped[TaskRef]
    class_name: Mapped[str] = mapped_column(String(64))
    author: Mapped[str]
    source: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str | None]
    at: Mapped[Now]


class LabelWithdrawal(Base):
    """A label taken back by who stated it: it stays in the history and counts no more."""

    __tablename__ = "label_withdrawal"

    label_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("label.id", ondelete="CASCADE"), primary_key=True)
    author: Mapped[str]
    reason: Mapped[str | None]
    at: Mapped[Now]
