"""`/v1/stats`, `/v1/operations`, `/v1/keys`, `/v1/audit`: running the service."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query

from app.api.problems import problems
from app.api.schemas import (
    AuditOut,
    AuditPage,
    KeyIn,
    KeyOut,
    NewKeyOut,
    StatsOut,
    Text,
    WorkerOut,
)
from app.api.schemas.operations import OperationsOut
from app.deps import Admin, CallerDep, SessionDep, SettingsDep
from app.services import audit, keys, operations, stats

router = APIRouter()


@router.get("/stats", tags=["operations"], responses=problems())
def read_stats(session: SessionDep, settings: SettingsDep, _: CallerDep) -> StatsOut:
    """Counts of images, jobs and vectors; live heads; workers that have reported lately."""
    found = stats.gather(session, within_seconds=settings.alive_seconds)
    return StatsOut(
        images=found.images, pending=found.pending, failed=found.failed,
        oldest_pending_seconds=found.oldest_pending_seconds, jobs=found.jobs, embeddings=found.embeddings,
        live_heads=found.live_heads, cannot_judge=found.cannot_judge,
        workers=[WorkerOut.of(worker) for worker in found.workers],
    )  # fmt: skip


@router.get("/operations", tags=["operations"], responses=problems())
def read_operations(
    session: SessionDep,
    settings: SettingsDep,
    _: CallerDep,
    minutes: Annotated[int, Query(ge=1, le=24 * 60, description="how far back")] = 60,
) -> OperationsOut:
    """What came through in the last minutes, how long uploads waited, which scan waits longest, the room on disk."""
    return OperationsOut.of(operations.lately(session, minutes=minutes), operations.disk(session, settings))


@router.get("/keys", tags=["keys"], responses=problems())
def list_keys(session: SessionDep, _: Admin) -> list[KeyOut]:
    """Every API key ever made, revoked ones too; never a secret."""
    return [KeyOut.of(key) for key in keys.every(session)]


@router.post("/keys", status_code=201, tags=["keys"], responses=problems())
def create_key(body: KeyIn, session: SessionDep, caller: Admin) -> NewKeyOut:
    """Make an API key; its secret is in this answer and nowhere else."""
    key, secret = keys.create(session, body.name, body.role, author=caller.name)
    return NewKeyOut(key=KeyOut.of(key), secret=secret)


@router.delete("/keys/{key_id}", tags=["keys"], responses=problems(404))
def revoke_key(key_id: UUID, session: SessionDep, caller: Admin) -> KeyOut:
    """Make a key useless at once."""
    return KeyOut.of(keys.revoke(session, key_id, author=caller.name))


@router.get("/audit", tags=["operations"], responses=problems())
def list_audit(
    session: SessionDep,
    _: Admin,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    cursor: Annotated[int | None, Query(ge=0, lt=2**63)] = None,
    actor: Text | None = None,
    action: Annotated[Text | None, Query(description="how it begins, such as `label.`")] = None,
    object_id: Annotated[Text | None, Query(description="of the image, head, task, key that was changed")] = None,
) -> AuditPage:
    """Who changed what, newest first."""
    events = audit.recent(session, limit=limit + 1, before=cursor, actor=actor, action=action, object_id=object_id)
    return AuditPage(
        items=[AuditOut.of(event) for event in events[:limit]],
        next=events[limit - 1].id if len(events) > limit else None,
    )
