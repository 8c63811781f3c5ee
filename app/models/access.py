"""Who may call, and what was changed by whom."""

from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, Identity, Index, LargeBinary, String
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base
from app.models.columns import Id, Moment, Now


class Role(StrEnum):
    """What a key may do; each role includes the one before it."""

    INGEST = "ingest"  # upload, predict, read
    INSPECTOR = "inspector"  # and label, delete nothing
    ADMIN = "admin"  # and train, promote, delete, manage keys


class ApiKey(Base):
    """A caller. Only the SHA-256 of the key is stored: keys have 256 random bits, so a slow hash adds nothing."""

    __tablename__ = "api_key"
    __table_args__ = (CheckConstraint("role IN ('ingest', 'inspector', 'admin')", name="known_role"),)

    id: Mapped[Id]
    name: Mapped[str] = mapped_column(String(128))
    role: Mapped[str] = mapped_column(String(16))
    key_hash: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True)
    created_at: Mapped[Now]
    revoked_at: Mapped[Moment | None]


class AuditEvent(Base):
    """One state-changing act. Append only."""

    __tablename__ = "audit_event"
    __table_args__ = (
        Index("ix_audit_event_at", "at"),
        Index("ix_audit_event_object", "object_kind", "object_id"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    at: Mapped[Now]
    actor: Mapped[str]
    action: Mapped[str] = mapped_column(String(64))
    object_kind: Mapped[str] = mapped_column(String(32))
    object_id: Mapped[str]
    detail: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default="{}")
