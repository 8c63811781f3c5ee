"""Workers, figures, keys, the audit trail."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import (
    BaseModel,
    Field,
)

from app.api.schemas.common import Body, KeyName
from app.models import ApiKey, AuditEvent, Role, Worker


class WorkerOut(BaseModel):
    id: UUID
    kind: str
    host: str
    pid: int
    engine: str | None
    serves: list[int] = Field(description="ids of the feature sets that it extracts")
    stages: dict[str, Any] = Field(description="what each stage of its pipeline has done, as of its last report")
    started_at: datetime
    seen_at: datetime

    @classmethod
    def of(cls, worker: Worker) -> "WorkerOut":
        return cls(
            id=worker.id, kind=worker.kind, host=worker.host, pid=worker.pid, engine=worker.engine,
            serves=worker.serves, stages=worker.stages, started_at=worker.started_at, seen_at=worker.seen_at,
        )  # fmt: skip


class StatsOut(BaseModel):
    images: int
    pending: int
    failed: int
    oldest_pending_seconds: float | None
    jobs: dict[str, dict[str, int]]
    embeddings: dict[str, int]
    live_heads: dict[str, int]
    cannot_judge: dict[str, int] = Field(description="regions that a live head cannot judge, by the reason's code")
    workers: list[WorkerOut]


class KeyIn(Body):
    name: KeyName
    role: Role


class KeyOut(BaseModel):
    id: UUID
    name: str
    role: Role
    created_at: datetime
    revoked_at: datetime | None

    @classmethod
    def of(cls, key: ApiKey) -> "KeyOut":
        return cls(
            id=key.id,
            name=key.name,
            role=Role(key.role),
            created_at=key.created_at,
            revoked_at=key.revoked_at,
        )


class NewKeyOut(BaseModel):
    key: KeyOut
    secret: str = Field(description="shown this once")


class AuditOut(BaseModel):
    id: int
    at: datetime
    actor: str
    action: str
    object_kind: str
    object_id: str
    detail: dict[str, Any]

    @classmethod
    def of(cls, event: AuditEvent) -> "AuditOut":
        return cls(
            id=event.id, at=event.at, actor=event.actor, action=event.action,
            object_kind=event.object_kind, object_id=event.object_id, detail=event.detail,
        )  # fmt: skip


class AuditPage(BaseModel):
    items: list[AuditOut]
    next: int | None
