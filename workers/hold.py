"""Keeping a long job's lease while its work lasts."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError

from app import jobs
from app.db import transaction
from app.errors import LeaseLost
from app.jobs import Claim
from workers.runner import Base

log = logging.getLogger(__name__)


class Hold:
    """Keeps a claimed job's lease while its work lasts, and hears when the job is no longer ours."""

    def __init__(self, base: Base, claim: Claim) -> None:
        self._base, self._claim = base, claim
        self.done, self.total = 0, 1
        self.lost = threading.Event()
        self._over = threading.Event()

    def progress(self, done: int, total: int) -> None:
        self.done, self.total = done, total

    def should_stop(self) -> bool:
        return self.lost.is_set() or bool(self._base.stop)

    @contextmanager
    def kept(self) -> Iterator[None]:
        keeper = threading.Thread(target=self._keep, name="lease", daemon=True)
        keeper.start()
        try:
            yield
        finally:
            self._over.set()
            keeper.join(timeout=5)

    def _keep(self) -> None:
        lease = self._base.settings.lease_seconds
        while not self._over.wait(min(1.0, lease / 3)):
            try:
                with transaction(self._base.sessions) as session:
                    jobs.extend(session, self._claim, lease, self.done, self.total)
            except LeaseLost:
                self.lost.set()
                return
            except DBAPIError as error:
                log.warning("the lease could not be renewed: %s", str(error).splitlines()[0])
