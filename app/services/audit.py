"""The audit trail: who changed what, in the transaction that changed it."""

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.models import AuditEvent


def record(session: Session, actor: str, action: str, object_kind: str, object_id: object, **detail: Any) -> None:
    session.add(
        AuditEvent(actor=actor, action=action, object_kind=object_kind, object_id=str(object_id), detail=detail)
    )


def recent(
    session: Session, *, limit: int, before: int | None = None, actor: str | None = None, action: str | None = None,
    object_id: str | None = None,
) -> list[AuditEvent]:  # fmt: skip
    """Newest first; `before` is the id where the previous page ended. `action`: how it begins, such as `label.`."""
    query = select(AuditEvent).order_by(AuditEvent.id.desc()).limit(limit)
    if actor:
        query = query.where(AuditEvent.actor == actor)
    if action:
        query = query.where(AuditEvent.action.startswith(action, autoescape=True))
    if object_id:
        query = query.where(AuditEvent.object_id == object_id)
    if before is not None:
        query = query.where(AuditEvent.id < before)
    return list(session.scalars(query))
