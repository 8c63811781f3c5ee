"""The extraction worker: claim, decode, extract, store, in step with one another.

When no extraction waits it makes augmented copies, by the same path: a scan is decoded once for all of its copies.
While the engine works on one batch, the next is claimed and decoded and the last is stored:
at most three batches are in hand, so memory is bounded whatever the queue holds.
"""

import logging
from collections.abc import Iterable, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from app.blobs import BlobStore
from app.config import Settings
from app.db import JOBS_CHANNEL, Listener, transaction
from app.features import golden
from app.features.engines import build_extractor
from app.features.spec import Extractor, Features
from app.imaging import load, load_copies
from app.models import FeatureSet
from app.services import extraction, feature_sets
from app.services.extraction import Scan
from app.services.ingest import limits
from app.services.prediction import LoadedHeads
from workers.runner import Base, Stopped, beating, open_base

log = logging.getLogger(__name__)

# How long to wait for a notification before looking at the table anyway.
LOOK_SECONDS = 1.0
# A suspect waits until this worker has nothing else in hand, which takes about one forward pass.
BUSY_LOOK_SECONDS = 0.05


@dataclass(frozen=True)
class Batch:
    """Scans of one claim with their pixels, and those that failed to decode.

    `pixels`: float32 (n, height, width), one for each code of each scan, in order.
    """

    scans: list[Scan]
    pixels: NDArray[np.float32]
    failed: list[tuple[Scan, Exception]]
    suspect: bool

    def alone(self) -> Iterable[tuple[Scan, NDArray[np.float32]]]:
        """Each scan with its own pixels."""
        ends = np.cumsum([len(scan.codes) for scan in self.scans], dtype=int)
        pieces = np.split(self.pixels, ends)[:-1]  # what follows the last end is empty
        return zip(self.scans, pieces, strict=True)


class ExtractionWorker:
    """Extracts one feature set until told to stop."""

    def __init__(self, base: Base, extractor: Extractor, feature_set: FeatureSet, blobs: BlobStore) -> None:
        self._base = base
        self._settings = base.settings
        self._extractor = extractor
        self._feature_set = feature_set
        self._blobs = blobs
        self._loaded = LoadedHeads()
        self._limits = limits(base.settings)
        self._listener = Listener(base.engine, JOBS_CHANNEL)
        self._decoders = ThreadPoolExecutor(base.settings.decode_threads, thread_name_prefix="decode")
        # Batches, each counted by one thread only.
        self._taken = self._handed_in = 0

    def run(self) -> None:
        """Work until told to stop; what was claimed by then is finished first."""
        with (
            closing(self._listener),
            self._decoders,
            ThreadPoolExecutor(1, "load") as loader,
            ThreadPoolExecutor(1, "store") as storer,
        ):
            try:
                self._keep_working(loader, storer)
            except BaseException:
                self._base.stop.ask()  # or the loader would wait for work that nobody does
                raise

    def _keep_working(self, loader: Executor, storer: Executor) -> None:
        upcoming = loader.submit(self._next_batch)
        storing: Future[None] | None = None
        while (batch := upcoming.result()) is not None:
            if not batch.suspect:
                upcoming = loader.submit(self._next_batch)
            features = self._try_extract(batch)
            if storing is not None:
                storing.result()
            storing = storer.submit(self._hand_in, batch, features)
            if batch.suspect:
                storing.result()
                upcoming = loader.submit(self._next_batch)
        if storing is not None:
            storing.result()

    def _next_batch(self) -> Batch | None:
        """The next claimed and decoded batch, as soon as there is one; None when told to stop."""
        while not self._base.stop:
            busy = self._taken != self._handed_in
            try:
                scans = self._base.until_stopped(partial(self._take, busy))
            except Stopped:
                return None
            if scans:
                self._taken += 1
                return self._decoded(scans)
            self._listener.wait(BUSY_LOOK_SECONDS if busy else LOOK_SECONDS)
        return None

    def _take(self, busy: bool) -> list[Scan]:
        with transaction(self._base.sessions) as session:
            return extraction.take(
                session, self._feature_set.id, worker_id=self._base.worker_id, busy=busy,
                limit=self._settings.batch_size, lease_seconds=self._settings.lease_seconds,
            )  # fmt: skip

    def _decoded(self, scans: Sequence[Scan]) -> Batch:
        results = list(self._decoders.map(self._decode, scans))
        failed = [(s, r) for s, r in zip(scans, results, strict=True) if isinstance(r, Exception)]
        good = [(s, r) for s, r in zip(scans, results, strict=True) if not isinstance(r, Exception)]
        pixels = np.concatenate([r for _, r in good]) if good else np.empty((0, 0, 0), np.float32)
        return Batch([s for s, _ in good], pixels, failed, any(s.claim.suspect for s in scans))

    def _decode(self, scan: Scan) -> NDArray[np.float32] | Exception:
        try:
            path = self._blobs.existing(scan.sha256)
            preprocessing = self._extractor.spec.preprocessing
            if scan.codes == (0,):
                return load(path, self._limits, preprocessing)[None]
            return load_copies(path, self._limits, preprocessing, sha256=scan.sha256, codes=scan.codes)
        except Exception as error:
            return error

    def _try_extract(self, batch: Batch) -> Features | None:
        """Features of the whole batch; None when the engine failed on it, so that each is tried alone."""
        if not batch.scans:
            return None
        try:
            return self._extractor.extract(batch.pixels)
        except Exception:
            log.exception("a batch of %d failed; trying each alone", len(batch.scans))
            return None

    def _hand_in(self, batch: Batch, features: Features | None) -> None:
        self._record(batch, features)
        self._handed_in += 1

    def _record(self, batch: Batch, features: Features | None) -> None:
        for scan, error in batch.failed:
            self._give_up(scan, error)
        try:
            if batch.scans and features is not None:
                self._base.persist(lambda: self._store(batch.scans, features))
                return
        except Stopped:
            raise
        except Exception:
            log.exception("storing a batch of %d failed; trying each alone", len(batch.scans))
        for scan, pixels in batch.alone():
            self._alone(scan, pixels)

    def _alone(self, scan: Scan, pixels: NDArray[np.float32]) -> None:
        """One scan of a batch that failed: the poison fails, the others do not."""
        try:
            features = self._extractor.extract(pixels)
            self._base.persist(lambda: self._store([scan], features))
        except Stopped:
            raise
        except Exception as error:
            self._give_up(scan, error)

    def _store(self, scans: list[Scan], features: Features) -> None:
        with transaction(self._base.sessions) as session:
            extraction.store(session, self._loaded, self._feature_set, scans, features, engine=self._extractor.engine)

    def _give_up(self, scan: Scan, error: Exception) -> None:
        def record() -> bool:
            with transaction(self._base.sessions) as session:
                return extraction.give_up(
                    session, scan.claim, error, max_attempts=self._settings.max_attempts,
                    delay_seconds=self._settings.retry_delay_seconds,
                )  # fmt: skip

        parked = self._base.persist(record)
        log.warning("image %s %s: %s", scan.claim.image_id, "is parked" if parked else "failed", error)


def main(settings: Settings) -> None:
    """Run an extraction worker in this process until SIGTERM or SIGINT.

    Raise GoldenCheckFailed when the extractor does not reproduce its pinned vectors.
    """
    base = open_base(settings)
    name = settings.feature_set or "densenet121-xray"
    log.info("loading %s (its first start on a machine converts the network, 15 to 30 s)", name)
    extractor = build_extractor(
        name, weights=settings.weights, engine=settings.engine,
        precision=settings.precision, cache_dir=settings.cache_dir,
    )  # fmt: skip
    report = golden.check(extractor)
    log.info(
        "%s on %s: golden check passed (cosine %.5f average-pooled, %.5f max-pooled)",
        extractor.spec.name, extractor.engine, report.avg_cosine, report.max_cosine,
    )  # fmt: skip

    def registered() -> FeatureSet:
        with transaction(base.sessions) as session:
            return feature_sets.ensure(session, extractor.spec, author="worker")

    feature_set = base.until_stopped(registered)
    blobs = BlobStore(settings.blobs)
    blobs.forget_abandoned()
    with beating(base, "extract", engine=extractor.engine, serves=[feature_set.id]):
        try:
            ExtractionWorker(base, extractor, feature_set, blobs).run()
        except Stopped:
            log.warning("stopped while the database was away; its jobs will be released when their leases end")
    base.engine.dispose()
