"""Feature sets and the embeddings made with them."""

from typing import Any

from pgvector.sqlalchemy import Vector
from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Identity, SmallInteger, String
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base
from app.models.columns import Now


class FeatureSet(Base):
    """The immutable identity of an extractor's output. Only `live` changes."""

    __tablename__ = "feature_set"
    __table_args__ = (CheckConstraint("avg_dim > 0 AND max_dim > 0", name="dimensions"),)

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    avg_dim: Mapped[int]
    max_dim: Mapped[int]
    spec: Mapped[dict[str, Any]] = mapped_column(JSONB)
    live: Mapped[bool] = mapped_column(default=True, server_default="true")
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
