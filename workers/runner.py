"""What every worker process does: stop when told, beat, outlive the database, reconcile."""

import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import Engine, delete, func, update
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from app.config import Settings
from app.db import Sessions, connection_lost, make_engine, make_sessions, transaction
from app.errors import ConfigurationError
from app.models import Worker
from app.models.ids import uuid7
from app.services import feeding, reconciling, schema

log = logging.getLogger(__name__)
Result = TypeVar("Result")

# A full look for missing work reads every image; in between only the last hour's are looked at.
FULL_RECONCILE_EVERY = 20
# 2,000 waiting images last a worker of 4,000 images a second as long.
FEED_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 2.0
# After a stop was asked for, how long to try to hand in finished work to a database that is away.
LAST_TRY_SECONDS = 10.0


class Stop:
    """Whether this process was asked to stop, by SIGTERM or SIGINT."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self.asked_at = float("inf")

    def install(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.ask())

    def ask(self) -> None:
        self.asked_at = time.monotonic()
        self._event.set()

    def __bool__(self) -> bool:
        return self._event.is_set()

    def wait(self, seconds: float) -> bool:
        return self._event.wait(seconds)


class Stopped(Exception):
    """The process was asked to stop before the database came back."""


@dataclass(frozen=True)
class Base:
    """What a worker works with."""

    settings: Settings
    engine: Engine
    sessions: Sessions
    stop: Stop
    worker_id: UUID

    def until_stopped(self, action: Callable[[], Result]) -> Result:
        """`persist` for what may as well be left undone: give up as soon as told to stop."""
        return self.persist(action, last_try_seconds=0.0)

    def persist(self, action: Callable[[], Result], *, last_try_seconds: float = LAST_TRY_SECONDS) -> Result:
        """Do `action`, again and again while the database is away. Raise Stopped when told to stop meanwhile."""
        pause = 0.1
        while True:
            try:
                return action()
            except DBAPIError as error:
                if not connection_lost(error):
                    raise
                if time.monotonic() > self.stop.asked_at + last_try_seconds:
                    raise Stopped from error
                log.warning("the database does not answer (%s); trying again in %.1f s", _first_line(error), pause)
            if self.stop.wait(pause):
                time.sleep(0.1)  # the last tries
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)


def open_base(settings: Settings) -> Base:
    """Connect, waiting for a database that is not up yet.

    Raise ConfigurationError when none is named, Stopped when told to stop before it is up.
    """
    if settings.database_url is None:
        raise ConfigurationError("Set PENUMBRA_DATABASE_URL, or start `penumbra up`, which starts workers itself.")
    engine = make_engine(settings.database_url.get_secret_value(), pool_size=4)
    stop = Stop()
    stop.install()
    base = Base(settings, engine, make_sessions(engine), stop, uuid7())
    base.until_stopped(lambda: schema.check_current(engine))
    return base


Report = Callable[[], Mapping[str, Any]]


def _nothing_more() -> Mapping[str, Any]:
    return {}


@contextmanager
def beating(base: Base, kind: str, *, report: Report = _nothing_more) -> Iterator[None]:
    """Report this worker alive, every few seconds, until the block ends; `report` gives further columns of its row."""
    row = Worker(id=base.worker_id, kind=kind, host=socket.gethostname(), pid=os.getpid(), **report())

    def register() -> None:
        with transaction(base.sessions) as session:
            session.execute(delete(Worker).where(Worker.seen_at < func.now() - func.make_interval(0, 0, 0, 1)))
            session.merge(row)

    base.until_stopped(register)
    over = threading.Event()
    beat = threading.Thread(target=_beat, args=(base, report, over), name="beat", daemon=True)
    keep = threading.Thread(target=_reconcile, args=(base, over), name="reconcile", daemon=True)
    feed = threading.Thread(target=_feed, args=(base, over), name="feed", daemon=True)
    chores = [beat, keep, feed] if kind == "extract" else [beat, keep]
    for chore in chores:
        chore.start()
    try:
        yield
    finally:
        over.set()
        for chore in chores:
            chore.join(timeout=5)
        _quietly(lambda: _sign_off(base))


def _beat(base: Base, report: Report, over: threading.Event) -> None:
    while not over.wait(base.settings.heartbeat_seconds):
        _quietly(lambda: _touch(base, report))


def _touch(base: Base, report: Report) -> None:
    told = report()
    with transaction(base.sessions) as session:
        session.execute(update(Worker).where(Worker.id == base.worker_id).values(seen_at=func.now(), **told))


def _sign_off(base: Base) -> None:
    with transaction(base.sessions) as session:
        session.execute(delete(Worker).where(Worker.id == base.worker_id))


def _reconcile(base: Base, over: threading.Event) -> None:
    """Find lost work now and then; at once after a start, since a start often follows a crash."""
    turn = 0
    while True:
        _quietly(partial(_reconcile_once, base, everything=turn % FULL_RECONCILE_EVERY == 0))
        turn += 1
        if over.wait(base.settings.reconcile_seconds):
            return


def _reconcile_once(base: Base, *, everything: bool) -> None:
    with transaction(base.sessions) as session:
        count = reconciling.reconcile(session, max_attempts=base.settings.max_attempts, everything=everything)
    if count:
        log.info("reconciler: %d jobs released or made", count)


def _feed(base: Base, over: threading.Event) -> None:
    """Queue what feature sets lack, some at a time, as fast as it is worked off."""
    laps = feeding.Laps()
    while not over.wait(FEED_SECONDS):
        _quietly(partial(_feed_once, base, laps))


def _feed_once(base: Base, laps: feeding.Laps) -> None:
    with transaction(base.sessions) as session:
        feeding.feed(session, laps)


def _quietly(action: Callable[[], None]) -> None:
    """Background chores log a lost database and go on; the next turn does what this one left."""
    try:
        action()
    except SQLAlchemyError as error:
        log.warning("background chore failed: %s", _first_line(error))


def _first_line(error: SQLAlchemyError) -> str:
    return str(error).splitlines()[0]
