"""The search's log in the database: a training that was killed goes on where it was."""

import time
from collections.abc import Sequence
from uuid import UUID

from app.db import transaction
from app.heads.algorithms import Candidate
from app.heads.trainers.evaluation import FoldResult
from app.services import trials
from workers.runner import Base

# Results of cheap candidates come by the hundred; one transaction each would cost more than the fits.
FLUSH_SECONDS = 0.5


class DatabaseLog:
    """Results of one head's search, written a few at a time. The search calls it from one thread at a time."""

    def __init__(self, base: Base, head_id: UUID) -> None:
        self._base, self._head_id = base, head_id
        self._waiting: list[FoldResult] = []
        self._flushed_at = time.monotonic()

    def known(self) -> Sequence[FoldResult]:
        with transaction(self._base.sessions) as session:
            return [
                FoldResult(Candidate.from_json(row.candidate), row.fold, row.auc, row.seconds)
                for row in trials.of_head(session, self._head_id)
            ]

    def record(self, result: FoldResult) -> None:
        self._waiting.append(result)
        if time.monotonic() - self._flushed_at >= FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        rows = [
            {
                "key": one.candidate.key,
                "fold": one.fold,
                "candidate": one.candidate.to_json(),
                "auc": one.auc,
                "seconds": one.seconds,
            }
            for one in self._waiting
        ]

        def write() -> None:
            with transaction(self._base.sessions) as session:
                trials.record(session, self._head_id, rows)

        self._base.until_stopped(write)
        self._waiting.clear()
        self._flushed_at = time.monotonic()
