"""How the service does at this moment: what came through lately, what waits longest, what room is left."""

import shutil
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from uuid import UUID

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from app.config import Settings
from app.models import Image


@dataclass(frozen=True)
class Minute:
    """Extractions that ended within one minute."""

    at: datetime
    done: int
    failed: int


@dataclass(frozen=True)
class Waiting:
    """The scan that has waited longest for a live feature set."""

    image_id: UUID
    file_name: str | None
    since: datetime
    seconds: float


@dataclass(frozen=True)
class Room:
    """A folder's file system; the database where it is not on it has no `free`."""

    free: int
    total: int


@dataclass(frozen=True)
class Disk:
    """Bytes: what the parts of the store take, and the room on the file systems of its folders."""

    database: int
    originals: int
    data: Room | None
    blobs: Room | None


@dataclass(frozen=True, kw_only=True)
class Lately:
    """`wait_median`, `wait_p95`: seconds from the receipt of an upload to its vectors, of those within the time."""

    minutes: list[Minute]
    wait_median: float | None
    wait_p95: float | None
    oldest: Waiting | None


def lately(session: Session, *, minutes: int) -> Lately:
    """The last so many whole minutes and the present one, each with what ended in it."""
    since = {"minutes": minutes}
    rows = session.execute(
        text(
            """
            WITH ended AS (
                SELECT date_trunc('minute', finished_at) AS at, count(*) FILTER (WHERE state = 'succeeded') AS done,
                    count(*) FILTER (WHERE state = 'failed') AS failed
                FROM job WHERE kind = 'extract'
                    AND finished_at >= date_trunc('minute', now()) - :minutes * interval '1 min'
                GROUP BY 1
            )
            SELECT minute AS at, coalesce(done, 0) AS done, coalesce(failed, 0) AS failed
            FROM generate_series(date_trunc('minute', now()) - :minutes * interval '1 min',
                date_trunc('minute', now()), interval '1 min') minute LEFT JOIN ended ON ended.at = minute
            ORDER BY minute
            """
        ),
        since,
    )
    waits = session.execute(
        text(
            """
            SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY wait) AS median,
                percentile_cont(0.95) WITHIN GROUP (ORDER BY wait) AS p95
            FROM (SELECT extract(epoch FROM finished_at - created_at) AS wait FROM job
                WHERE kind = 'extract' AND state = 'succeeded' AND priority = 0
                AND finished_at >= date_trunc('minute', now()) - :minutes * interval '1 min') uploads
            """
        ),
        since,
    ).one()
    return Lately(
        minutes=[Minute(row.at, row.done, row.failed) for row in rows],
        wait_median=waits.median, wait_p95=waits.p95, oldest=oldest_waiting(session),
    )  # fmt: skip


def oldest_waiting(session: Session) -> Waiting | None:
    """Of the scans whose extraction into a live feature set is queued or under way, the one queued first."""
    row = session.execute(
        text(
            """
            SELECT image.id, image.file_name, job.created_at, extract(epoch FROM now() - job.created_at) AS seconds
            FROM job JOIN image ON image.id = job.image_id JOIN feature_set fs ON fs.id = job.feature_set_id
            WHERE job.kind = 'extract' AND job.state IN ('queued', 'running') AND fs.stage = 'live'
            ORDER BY job.created_at, job.id LIMIT 1
            """
        )
    ).first()
    return None if row is None else Waiting(row.id, row.file_name, row.created_at, float(row.seconds))


def disk(session: Session, settings: Settings) -> Disk:
    """What the store takes and what room there is. The embedded database lies in the data folder."""
    return Disk(
        database=session.scalar(select(func.pg_database_size(func.current_database()))) or 0,
        originals=int(session.scalar(select(func.sum(Image.byte_count))) or 0),
        data=_room(settings.data_dir),
        blobs=_room(settings.blobs),
    )


def _room(folder: Path) -> Room | None:
    """Of the nearest folder that is there; None where the file system does not say."""
    for place in (folder, *folder.absolute().parents):
        try:
            found = shutil.disk_usage(place)
        except FileNotFoundError:
            continue
        except OSError:
            return None
        return Room(found.free, found.total)
    return None
