"""The training worker: trains heads on stored vectors and networks on scans, judges the archive after a promotion."""

import logging

from app import jobs
from app.config import Settings
from app.db import JOBS_CHANNEL, Listener, transaction
from app.errors import Cancelled, HeadRefused, LeaseLost, NotTrainable
from app.jobs import Claim
from app.models import Job, Kind
from app.services import extraction, training
from app.services.prediction import LoadedHeads
from workers import backbone, lab, replay
from workers.hold import Hold
from workers.runner import Base, Stopped, beating, open_base

log = logging.getLogger(__name__)
LOOK_SECONDS = 1.0
KINDS = (Kind.TRAIN, Kind.RESCORE, Kind.REPLAY, Kind.BACKBONE)


class TrainingWorker:
    """Trains heads and networks, re-scores and replays, one job at a time, until told to stop."""

    def __init__(self, base: Base) -> None:
        self._base = base
        self._loaded = LoadedHeads(gate=base.settings.quality_gate)
        self._listener = Listener(base.engine, JOBS_CHANNEL)

    def run(self) -> None:
        while not self._base.stop:
            claims = self._base.until_stopped(self._claim)
            for claim in claims:
                self._handle(claim)
            if not claims:
                self._listener.wait(LOOK_SECONDS)
        self._listener.close()

    def _claim(self) -> list[Claim]:
        with transaction(self._base.sessions) as session:
            return jobs.claim(
                session, KINDS, worker_id=self._base.worker_id, limit=1,
                lease_seconds=self._base.settings.lease_seconds,
            )  # fmt: skip

    def _handle(self, claim: Claim) -> None:
        hold = Hold(self._base, claim)
        try:
            with hold.kept():
                kind = self._base.persist(lambda: self._kind(claim))
                if kind == Kind.TRAIN:
                    lab.train_head(self._base, claim, hold)
                elif kind == Kind.BACKBONE:
                    backbone.train_backbone(self._base, claim, hold)
                elif kind == Kind.RESCORE:
                    replay.rescore(self._base, self._loaded, claim, hold)
                else:
                    replay.replay(self._base, self._loaded, claim, hold)
        except Cancelled:
            if not hold.lost.is_set():
                self._base.persist(lambda: self._release(claim))
        except LeaseLost as error:
            log.warning("%s", error)
        except Stopped:
            raise
        except Exception as error:
            log.exception("job %s failed", claim.job_id)
            self._give_up(claim, error)

    def _kind(self, claim: Claim) -> str:
        with transaction(self._base.sessions) as session:
            return session.get_one(Job, claim.job_id).kind

    def _release(self, claim: Claim) -> None:
        with transaction(self._base.sessions) as session:
            jobs.release(session, claim)

    def _give_up(self, claim: Claim, error: Exception) -> None:
        described = extraction.describe_error(error)
        # What the rows cannot give today they cannot give in two seconds either.
        described["permanent"] = isinstance(error, (NotTrainable, HeadRefused))
        settings = self._base.settings

        def record() -> None:
            with transaction(self._base.sessions) as session:
                if not jobs.hold(session, [claim]):
                    return
                parked = jobs.fail(
                    session, claim, described, max_attempts=settings.max_attempts,
                    delay_seconds=settings.retry_delay_seconds,
                )  # fmt: skip
                if parked and claim.head_id is not None:
                    training.abandon(session, claim.head_id)

        self._base.persist(record)


def main(settings: Settings) -> None:
    """Run a training worker in this process until SIGTERM or SIGINT."""
    base = open_base(settings)
    with beating(base, "train"):
        try:
            TrainingWorker(base).run()
        except Stopped:
            log.warning("stopped while the database was away; its job will be released when its lease ends")
    base.engine.dispose()
