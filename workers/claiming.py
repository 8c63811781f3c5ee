"""The claiming stage: what is most pressing in the queue, while there is room in hand for it."""

import itertools
import logging
from collections.abc import Callable, Iterable, Sequence

from sqlalchemy.orm import Session

from app import jobs
from app.claims import Priority
from app.db import JOBS_CHANNEL, Listener, transaction
from app.services import extraction
from workers.hand import DEPTH, Hand, Work
from workers.roster import Roster, Served
from workers.runner import Base, Stopped
from workers.stages import Stage

log = logging.getLogger(__name__)

# How long to wait for a notification, or for something to leave the hand, before looking at the table anyway.
LOOK_SECONDS = 1.0
LOOK_AGAIN_SECONDS = 0.1


class Claimer:
    """Claims batches for the decoders until told to stop."""

    def __init__(
        self, base: Base, roster: Roster, hand: Hand, stage: Stage, deliver: Callable[[Sequence[Work]], None]
    ) -> None:
        self._base, self._roster, self._hand, self._stage, self._deliver = base, roster, hand, stage, deliver
        self._listener = Listener(base.engine, JOBS_CHANNEL)
        self._numbers = itertools.count()

    def look_again(self) -> None:
        """Something has left the hand."""
        self._listener.wake()

    def work(self) -> None:
        """What the claiming thread does. Ends when told to stop."""
        try:
            while not self._base.stop:
                if not self._base.until_stopped(self._claimed):
                    self._listener.wait(LOOK_AGAIN_SECONDS if self._roster.is_building() else LOOK_SECONDS)
        except Stopped:
            log.warning("told to stop while the database is away")
        finally:
            self._listener.close()

    def _claimed(self) -> bool:
        """Renew leases, and claim a batch when there is room for one; whether anything was claimed."""
        self._renew()
        if self._hand.holds_a_suspect():
            return False
        with self._stage.at_work() as done, transaction(self._base.sessions) as session:
            works = self._take(session)
            done.items = len(works)
        self._hand.add(works)
        self._deliver(works)
        return bool(works)

    def _renew(self) -> None:
        lease = self._base.settings.lease_seconds
        if overtaken := self._hand.overtaken(lease / 3):
            with transaction(self._base.sessions) as session:
                jobs.renew(session, overtaken, lease)

    def _take(self, session: Session) -> list[Work]:
        served = self._roster.look(session)
        below = self._below(served.values())
        if below == 0 or not served:
            return []
        limits = {number: one.batch for number, one in served.items()}
        scans = extraction.take(
            session, limits, worker_id=self._base.worker_id, lease_seconds=self._base.settings.lease_seconds,
            below=below, busy=len(self._hand) > 0,
        )  # fmt: skip
        return [Work(scan, served[scan.feature_set_id], next(self._numbers)) for scan in scans]

    def _below(self, served: Iterable[Served]) -> int | None:
        """Up to which priority there is room for a batch: for any (None), for pressing work alone, or for nothing (0).

        What presses has a room of its own, so that it need not wait for any that is less pressing to be stored.
        """
        batch = max((one.batch for one in served), default=0)
        full = DEPTH * batch
        if self._hand.rows(urgent=True) + batch > full:
            return 0
        return None if self._hand.rows(urgent=False) + batch <= full else Priority.COPIES
