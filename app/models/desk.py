"""What the desk remembers of the people at it: sessions, preferences, who looks at what, what they thought of it."""

from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, LargeBinary, String
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base
from app.models.columns import Id, ImageRef, Moment, Now, TaskRef


class DeskSession(Base):
    """A browser that signed in with a key. Only the SHA-256 of its cookie is stored.

    `browser`: its name and system in words, empty where it does not say.
    """

    __tablename__ = "desk_session"
    __table_args__ = (Index("ix_desk_session_expires_at", "expires_at"),)

    id: Mapped[Id]
    key_id: Mapped[UUID] = mapped_column(ForeignKey("api_key.id"))
    token_hash: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True)
    browser: Mapped[str] = mapped_column(String(64), default="", server_default="")
    created_at: Mapped[Now]
    seen_at: Mapped[Now]
    expires_at: Mapped[Moment]


class Preference(Base):
    """Something that the owner of a key wants the desk to remember: a filter, a language, the viewer's window."""

    __tablename__ = "preference"

    key_id: Mapped[UUID] = mapped_column(ForeignKey("api_key.id"), primary_key=True)
    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    value: Mapped[Any] = mapped_column(JSONB)
    at: Mapped[Now]


class WorklistClaim(Base):
    """A scan of a task's worklist that one person looks at; nobody else is given it before `until`.

    `holder`: the desk session, or for calls by key the key.
    """

    __tablename__ = "worklist_claim"
    __table_args__ = (Index("ix_worklist_claim_holder", "holder"),)

    image_id: Mapped[ImageRef] = mapped_column(primary_key=True)
    task: Mapped[TaskRef] = mapped_column(primary_key=True)
    holder: Mapped[UUID]
    author: Mapped[str]
    taken_at: Mapped[Now]
    until: Mapped[Moment]


class Opinion(Base):
    """What a person thought of one scan for one task. Never updated; a withdrawal stands beside it.

    `label_id`: the label that it made, if it names a class. `shown`: what was on the screen (head, decision, risk,
    declaration). `blind`: the score was hidden.
    """

    __tablename__ = "opinion"
    __table_args__ = (
        CheckConstraint("verdict IN ('confirm', 'correct', 'cannot_judge', 'skip')", name="known_verdict"),
        CheckConstraint(
            "(verdict IN ('confirm', 'correct')) = (class_name IS NOT NULL)", name="class_where_one_is_said"
        ),
        Index("ix_opinion_task_image_id", "task", "image_id"),
        Index("ix_opinion_author_at", "author", "at"),
    )

    id: Mapped[Id]
    image_id: Mapped[ImageRef]
    task: Mapped[TaskRef]
    verdict: Mapped[str] = mapped_column(String(16))
    class_name: Mapped[str | None] = mapped_column(String(64))
    label_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("label.id", ondelete="CASCADE"))
    reason: Mapped[str | None]
    blind: Mapped[bool] = mapped_column(default=False, server_default="false")
    shown: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict, server_default="{}")
    author: Mapped[str]
    at: Mapped[Now]


class OpinionWithdrawal(Base):
    """An opinion taken back; the scan returns to the worklist."""

    __tablename__ = "opinion_withdrawal"

    opinion_id: Mapped[UUID] = mapped_column(ForeignKey("opinion.id", ondelete="CASCADE"), primary_key=True)
    author: Mapped[str]
    at: Mapped[Now]
