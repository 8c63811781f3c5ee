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
from app.services.operations import Disk, Lately, Room


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


class MinuteOut(BaseModel):
    at: datetime
    done: int = Field(description="extractions that succeeded within this minute")
    failed: int


class WaitingOut(BaseModel):
    image_id: UUID
    name: str | None
    since: datetime
    seconds: float


class RoomOut(BaseModel):
    free: int
    total: int


class DiskOut(BaseModel):
    """Bytes."""

    database: int
    originals: int
    data: RoomOut | None = Field(description="the file system of the data folder, and of an embedded database")
    blobs: RoomOut | None = Field(description="the file system of the originals")


class OperationsOut(BaseModel):
    minutes: list[MinuteOut] = Field(description="oldest first; the last is the present one")
    wait_median: float | None = Field(description="seconds from an upload's receipt to its vectors")
    wait_p95: float | None
    oldest: WaitingOut | None = Field(description="the scan that waits longest for a live feature set")
    disk: DiskOut

    @classmethod
    def of(cls, found: Lately, disk: Disk) -> "OperationsOut":
        old = found.oldest
        return cls(
            minutes=[MinuteOut(at=one.at, done=one.done, failed=one.failed) for one in found.minutes],
            wait_median=found.wait_median, wait_p95=found.wait_p95,
            oldest=old and WaitingOut(image_id=old.image_id, name=old.file_name, since=old.since, seconds=old.seconds),
            disk=DiskOut(
                database=disk.database, originals=disk.originals,
                data=_room(disk.data), blobs=_room(disk.blobs),
            ),
        )  # fmt: skip


def _room(room: Room | None) -> RoomOut | None:
    return None if room is None else RoomOut(free=room.free, total=room.total)


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
