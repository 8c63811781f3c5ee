"""The extraction worker's process: which feature sets it serves, with which engine; see `workers.pipeline`."""

import logging
from concurrent.futures import ThreadPoolExecutor

from app.blobs import BlobStore
from app.config import Settings
from app.db import transaction
from app.features import golden
from app.features.engines import build_extractor, measure_chunk
from app.features.spec import Extractor, FeatureSetSpec
from app.features.weights import KNOWN, resolve, successor, versions
from app.models import FeatureSet
from app.services import feature_sets
from workers.pipeline import ExtractionWorker
from workers.roster import Roster
from workers.runner import Base, Stopped, beating, open_base

log = logging.getLogger(__name__)

# An upload waits for the batch that the engine is at: a quarter of a second on two cores.
MOST_ON_CPU = 32


def main(settings: Settings) -> None:
    """Run an extraction worker in this process until SIGTERM or SIGINT.

    It serves every feature set that is live or being filled; with a feature set in the settings that one alone, also
    as earlier networks had it, which is registered when it is new. Raise ConfigurationError, or GoldenCheckFailed, when
    that one cannot be served, or none can.
    """
    base = open_base(settings)
    if settings.feature_set is not None:
        _register(base, settings.feature_set)

    def build(stored: FeatureSet) -> tuple[Extractor, int]:
        return _checked(settings, FeatureSetSpec.from_dict(stored.spec))

    with ThreadPoolExecutor(1, "build") as builder:
        only = None if settings.feature_set is None else versions(settings.feature_set)
        roster = Roster(build, builder, only=only)
        base.until_stopped(lambda: _open(base, roster))
        blobs = BlobStore(settings.blobs)
        blobs.forget_abandoned()
        worker = ExtractionWorker(base, roster, blobs)
        with beating(base, "extract", report=worker.report):
            try:
                worker.run()
            except Stopped:
                log.warning("stopped while the database was away; its jobs will be released when their leases end")
    base.engine.dispose()


def _register(base: Base, name: str) -> None:
    """Make sure that the feature set named in the settings is one of the store. Raise ConfigurationError."""
    spec = resolve(name, base.settings.weights).spec

    def registered() -> None:
        with transaction(base.sessions) as session:
            feature_sets.ensure_configured(session, spec, author="worker")

    base.until_stopped(registered)


def _open(base: Base, roster: Roster) -> None:
    with transaction(base.sessions) as session:
        wanted = roster.wanted(session)
    # Weights that the settings name must be right, as must everything that is asked for by name.
    roster.open(wanted, strict=base.settings.weights is not None)


def _checked(settings: Settings, spec: FeatureSetSpec) -> tuple[Extractor, int]:
    """The extractor of a feature set, once it has passed its golden check, and how many images to give it at once.

    Raise ConfigurationError when its weights are not here, GoldenCheckFailed when it is not what it should be.
    """
    newer = successor(spec.digest)
    if newer is not None:
        log.info("%s is of an earlier network; %s took its place: penumbra features upgrade", spec.name, newer)
    if settings.weights is not None and spec.name in KNOWN and newer is None:
        resolve(spec.name, settings.weights)  # a file that the settings name for it must be its own
    log.info("loading %s (its first start on a machine converts the network, 15 to 30 s)", spec.name)
    extractor = build_extractor(
        spec, weights=settings.weights, engine=settings.engine, precision=settings.precision,
        device=settings.device, cache_dir=settings.cache_dir, weights_dir=settings.weights_dir,
    )  # fmt: skip
    report = golden.check(extractor)
    log.info(
        "%s on %s: golden check passed (cosine %.5f average-pooled, %.5f max-pooled)",
        spec.name, extractor.engine, report.avg_cosine, report.max_cosine,
    )  # fmt: skip
    return extractor, settings.batch_size or _batch(extractor, settings)


def _batch(extractor: Extractor, settings: Settings) -> int:
    """How many images to give the engine at once: a pass of the measured size on each of its streams."""
    measured = measure_chunk(extractor, settings.cache_dir)
    batch = MOST_ON_CPU if measured is None else measured.size * int(getattr(extractor, "streams", 1))
    batch = batch if extractor.engine.endswith("/gpu") else min(batch, MOST_ON_CPU)
    log.info("%s on %s: batches of %d", extractor.spec.name, extractor.engine, batch)
    return batch
