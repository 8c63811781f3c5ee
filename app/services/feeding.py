"""Feeding the queue with what feature sets lack of older images, a portion at a time.

A million queued rows would slow down every claim, and could be neither paused nor slowed. So the archive is gone
through in windows, oldest image first, and never more than a portion of each set waits. Where the search stands is
only a hint that each process keeps for itself: lost, it begins anew and finds nothing that is queued or done.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from app.claims import Priority
from app.db import JOBS_CHANNEL, notify
from app.models import FeatureSet, FeatureStage, Kind
from app.models.ids import uuid7
from app.services.backfill import ONE, constants, gap_seconds
from app.services.coverage import APPLIES, MISSING

# What live sets lack of older images comes before backfills, and behind all that somebody waits for.
CATCH_UP = int(Priority.BACKFILL) - 1
MOST_QUEUED = 2_000
WINDOW = 10_000
_FEED_LOCK = 7_301_004
# With a rate, so many seconds of work wait at most: what became due while all workers were away comes at once.
_AHEAD_SECONDS = 10.0
# How long one call may search; what is left is for the next.
_SEARCH_SECONDS = 0.2
# Between two laps of a set that lacks nothing, so many times the lap's own duration passes, and no less than this.
_REST_FACTOR, _LEAST_REST_SECONDS = 20.0, 5.0
# Images are numbered by time of creation, but a slow upload commits after a faster one that began later.
_TAIL_MILLISECONDS = 120_000


@dataclass
class Lap:
    """How far the search for one set's gaps has come: behind image `after`. `rested`: until then only new images."""

    after: UUID | None = None
    found: int = 0
    seconds: float = 0.0
    rested: float = 0.0


class Laps:
    """Where the searches of this process stand, by feature set."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.of: dict[int, Lap] = {}

    def keep_only(self, ids: set[int]) -> None:
        self.of = {key: lap for key, lap in self.of.items() if key in ids}


def feed(session: Session, laps: Laps) -> int:
    """Queue some of what live and filling feature sets lack; how many jobs were made.

    One process at a time does it; the others return at once.
    """
    if not session.scalar(text(f"SELECT pg_try_advisory_xact_lock({_FEED_LOCK})")):
        return 0
    stages = [FeatureStage.LIVE, FeatureStage.FILLING]
    fed = session.scalars(select(FeatureSet).where(FeatureSet.stage.in_(stages), ~FeatureSet.paused))
    chosen = sorted(fed, key=lambda one: (one.stage != FeatureStage.LIVE, one.id))
    laps.keep_only({one.id for one in chosen})
    made = sum(_feed_one(session, one, laps.of.setdefault(one.id, Lap()), laps.clock) for one in chosen)
    if made:
        notify(session, JOBS_CHANNEL, Kind.EXTRACT)
    return made


def lock(session: Session) -> None:
    """Keep the feeder out until this transaction ends."""
    session.execute(text(f"SELECT pg_advisory_xact_lock({_FEED_LOCK})"))


def _feed_one(session: Session, feature_set: FeatureSet, lap: Lap, clock: Callable[[], float]) -> int:
    filling = feature_set.stage == FeatureStage.FILLING
    rate = feature_set.rate if filling else None
    most = MOST_QUEUED if rate is None else max(1, min(MOST_QUEUED, math.ceil(rate * _AHEAD_SECONDS)))
    given = {"fs": feature_set.id, "priority": Priority.BACKFILL if filling else CATCH_UP}
    waiting = session.scalar(_WAITING, given) or 0
    room = most - waiting
    if room < most / 2:
        return 0
    missing = _search(session, feature_set, lap, room, clock)
    if missing:
        last = session.scalar(_LAST, {**given, "back": _AHEAD_SECONDS + 2 * gap_seconds(rate)}) if rate else None
        session.execute(_QUEUE, {**given, "ids": missing, "gap": gap_seconds(rate), "last": last})
    return len(missing)


_WAITING = text(
    "SELECT count(*) FROM job WHERE kind = 'extract' AND state = 'queued' AND feature_set_id = :fs "
    "AND priority = :priority"
)
# When the newest job of a set was or will be due: from there the next ones are spaced.
_MINE = "kind = 'extract' AND feature_set_id = :fs AND priority = :priority"
_LAST = text(
    f"""
    SELECT max(run_after) FROM (
        SELECT run_after FROM job WHERE state = 'queued' AND {_MINE}
        UNION ALL SELECT run_after FROM job WHERE state = 'running' AND {_MINE}
        UNION ALL SELECT run_after FROM job WHERE finished_at > now() - make_interval(secs => :back) AND {_MINE}
    ) recent
    """
)
_QUEUE = text(
    """
    INSERT INTO job (id, kind, image_id, feature_set_id, priority, run_after)
    SELECT gen_random_uuid(), 'extract', image.id, :fs, :priority,
        greatest(now(), CAST(:last AS timestamptz) + make_interval(secs => :gap))
            + make_interval(secs => (place - 1) * :gap)
    FROM unnest(CAST(:ids AS uuid[])) WITH ORDINALITY AS wanted (id, place) JOIN image USING (id)
    ON CONFLICT DO NOTHING
    """
)


def _search(session: Session, feature_set: FeatureSet, lap: Lap, room: int, clock: Callable[[], float]) -> list[UUID]:
    """The next images, oldest first, that a set lacks and nobody has queued; `lap` goes on to behind them."""
    found: list[UUID] = []
    started = clock()
    while len(found) < room and clock() < started + _SEARCH_SECONDS:
        if lap.rested and clock() >= lap.rested:
            lap.after, lap.rested = None, 0.0
        ids, end, whole = _window(session, feature_set, lap.after, room - len(found))
        found += ids
        lap.found += len(ids)
        if len(found) < room and not whole:  # the archive's end
            lap.seconds += clock() - started
            _end(lap, clock())
            break
        lap.after = found[-1] if len(found) >= room else end
    else:
        lap.seconds += clock() - started
    return found


def _window(
    session: Session, feature_set: FeatureSet, after: UUID | None, limit: int
) -> tuple[list[UUID], UUID | None, bool]:
    """Images of the next window that lack vectors; the window's last image; whether the window was a whole one."""
    row = session.execute(
        text(
            f"""
            WITH seen AS MATERIALIZED (
                SELECT id, profile FROM image WHERE CAST(:after AS uuid) IS NULL OR id > :after
                ORDER BY id LIMIT {WINDOW}
            ), wanted AS (
                SELECT image.id FROM seen image CROSS JOIN {ONE} WHERE {APPLIES} AND {MISSING}
                AND NOT EXISTS (
                    SELECT FROM job j WHERE j.image_id = image.id AND j.feature_set_id = fs.id
                    AND j.kind = 'extract' AND j.state IN ('queued', 'running', 'failed'))
                ORDER BY image.id LIMIT :limit
            )
            SELECT (SELECT count(*) FROM seen) AS size, (SELECT id FROM seen ORDER BY id DESC LIMIT 1) AS last,
                coalesce((SELECT array_agg(id ORDER BY id) FROM wanted), '{{}}') AS ids
            """
        ),
        {**constants(feature_set), "after": after, "limit": limit},
    ).one()
    return list(row.ids), row.last or after, row.size == WINDOW


def _end(lap: Lap, now: float) -> None:
    """After a lap that found something another one begins; after an empty one, for a while, only new images count."""
    if lap.found and not lap.rested:
        lap.after = None
    else:
        lap.after = _long_ago()
        lap.rested = lap.rested or now + max(_LEAST_REST_SECONDS, _REST_FACTOR * lap.seconds)
    lap.found, lap.seconds = 0, 0.0


def _long_ago() -> UUID:
    """An id before all those given in the last two minutes."""
    milliseconds = (uuid7().int >> 80) - _TAIL_MILLISECONDS
    return UUID(int=milliseconds << 80)
