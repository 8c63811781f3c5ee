"""The training worker: trains heads on stored vectors, and judges the archive anew after a promotion."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from uuid import UUID

from sqlalchemy.exc import DBAPIError

from app import jobs
from app.config import Settings
from app.db import JOBS_CHANNEL, Listener, transaction
from app.errors import Cancelled, HeadRefused, LeaseLost, NotTrainable
from app.heads.card import model_card
from app.heads.recipe import HeadRecipe
from app.heads.table import TrainingTable
from app.heads.trainers import train
from app.jobs import Claim
from app.models import Head, Job, Kind
from app.services import extraction, prediction, training
from app.services.prediction import LoadedHeads
from workers.runner import Base, Stopped, beating, open_base

log = logging.getLogger(__name__)
LOOK_SECONDS = 1.0


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


class TrainingWorker:
    """Trains and re-scores, one job at a time, until told to stop."""

    def __init__(self, base: Base) -> None:
        self._base = base
        self._loaded = LoadedHeads()
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
                session, [Kind.TRAIN, Kind.RESCORE], worker_id=self._base.worker_id, limit=1,
                lease_seconds=self._base.settings.lease_seconds,
            )  # fmt: skip

    def _handle(self, claim: Claim) -> None:
        hold = Hold(self._base, claim)
        try:
            with hold.kept():
                kind = self._base.persist(lambda: self._kind(claim))
                if kind == Kind.TRAIN:
                    self._train(claim, hold)
                else:
                    self._rescore(claim, hold)
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

    def _train(self, claim: Claim, hold: Hold) -> None:
        def load() -> tuple[HeadRecipe, TrainingTable]:
            with transaction(self._base.sessions) as session:
                head = session.get_one(Head, claim.head_id)
                return HeadRecipe.from_json(head.recipe), training.load(session, head)

        recipe, table = self._base.until_stopped(load)
        log.info("training %s for %s on %d rows", recipe.algorithm, table.task, len(table.y))
        trained = train(table, recipe, on_progress=hold.progress, should_stop=hold.should_stop)

        def store() -> None:
            with transaction(self._base.sessions) as session:
                if not jobs.hold(session, [claim]):
                    raise LeaseLost(f"Job {claim.job_id} was cancelled or given away; its head is not stored.")
                assert claim.head_id is not None
                training.complete(
                    session, claim.head_id, trained.artifact, threshold=trained.threshold,
                    report=trained.report, card=model_card(trained.report),
                )  # fmt: skip
                jobs.finish(session, [claim.job_id])

        self._base.persist(store)

    def _rescore(self, claim: Claim, hold: Hold) -> None:
        assert claim.head_id is not None
        head_id: UUID = claim.head_id
        after, total = 0, 0
        while True:
            if hold.should_stop():
                raise Cancelled("The re-scoring was interrupted.")
            last, count = self._base.persist(partial(self._rescore_some, head_id, after))
            total += count
            hold.progress(total, total)
            if last is None:
                break
            after = last

        def finish() -> None:
            with transaction(self._base.sessions) as session:
                jobs.finish(session, jobs.hold(session, [claim]))

        self._base.persist(finish)
        log.info("head %s judged %d stored vectors", head_id, total)

    def _rescore_some(self, head_id: UUID, after: int) -> tuple[int | None, int]:
        with transaction(self._base.sessions) as session:
            return prediction.rescore_some(session, self._loaded, head_id, after=after)

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
