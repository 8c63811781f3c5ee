"""What a promotion would change, counted and listed before anyone agrees."""

from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Index, String
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base
from app.models.columns import Id, ImageRef, Now


class Replay(Base):
    """The archive judged by a head and by the one that was live (`against_id`; None when none was). Never updated.

    `flips` counts regions by decision before and after: {before: {after: count}}.
    """

    __tablename__ = "replay"
    __table_args__ = (Index("ix_replay_head_id", "head_id", "at"),)

    id: Mapped[Id]
    head_id: Mapped[UUID] = mapped_column(ForeignKey("head.id"))
    against_id: Mapped[UUID | None] = mapped_column(ForeignKey("head.id"))
    regions: Mapped[int]
    flipped: Mapped[int]
    flips: Mapped[dict[str, Any]] = mapped_column(JSONB)
    seconds: Mapped[float]
    at: Mapped[Now]


class ReplayFlip(Base):
    """One region whose decision would change, with P(positive) before and after; rank 0 moved furthest."""

    __tablename__ = "replay_flip"

    replay_id: Mapped[UUID] = mapped_column(ForeignKey("replay.id", ondelete="CASCADE"), primary_key=True)
    rank: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    region_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("region.id", ondelete="CASCADE"), index=True)
    image_id: Mapped[ImageRef] = mapped_column(index=True)
    before: Mapped[str] = mapped_column(String(64))
    after: Mapped[str] = mapped_column(String(64))
    probability_before: Mapped[float]
    probability_after: Mapped[float]
