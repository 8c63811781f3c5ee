"""The storing stage: vectors, findings and judgements of a batch in one transaction, or of each scan alone."""

import logging

from app.db import transaction
from app.features.spec import Features
from app.services import extraction
from app.services.extraction import Prepared
from app.services.prediction import LoadedHeads
from workers.batching import Batch
from workers.hand import Work
from workers.runner import Base, Stopped

log = logging.getLogger(__name__)


class Recorder:
    """Writes what the engine made, and why a scan could not be extracted."""

    def __init__(self, base: Base) -> None:
        self._base = base
        self._loaded = LoadedHeads(gate=base.settings.quality_gate)

    def record(self, batch: Batch, features: Features | None) -> None:
        """Store a batch; each scan alone when the engine failed on it or the database refuses it.

        Outlives a database that is away. Raise Stopped when told to stop meanwhile.
        """
        if features is not None:
            try:
                self._base.persist(lambda: self._store(batch, features))
                return
            except Stopped:
                raise
            except Exception:
                log.exception("storing a batch of %d failed; trying each alone", len(batch.works))
        for one in batch.alone():
            self._alone(one)

    def give_up(self, work: Work, error: Exception) -> None:
        """Write down why a scan failed; it is tried again, or parked."""
        settings = self._base.settings

        def record() -> bool:
            with transaction(self._base.sessions) as session:
                return extraction.give_up(
                    session, work.scan.claim, error, max_attempts=settings.max_attempts,
                    delay_seconds=settings.retry_delay_seconds,
                )  # fmt: skip

        parked = self._base.persist(record)
        log.warning("image %s %s: %s", work.scan.claim.image_id, "is parked" if parked else "failed", error)

    def _alone(self, one: Batch) -> None:
        """One scan of a batch that failed: the poison fails, the others do not."""
        try:
            features = one.extract()
            self._base.persist(lambda: self._store(one, features))
        except Stopped:
            raise
        except Exception as error:
            self.give_up(one.works[0], error)

    def _store(self, batch: Batch, features: Features) -> None:
        prepared = [Prepared(work.scan, work.regions) for work in batch.works]
        with transaction(self._base.sessions) as session:
            extraction.store(
                session, self._loaded, batch.served.feature_set, prepared, features,
                engine=batch.served.extractor.engine,
            )  # fmt: skip
