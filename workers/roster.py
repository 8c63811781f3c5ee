"""The feature sets that a worker serves, each with the extractor that makes its vectors."""

import logging
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, replace

from sqlalchemy.orm import Session

from app.errors import AppError, ConfigurationError
from app.features.spec import Extractor
from app.models import FeatureSet, FeatureStage
from app.services import feature_sets

log = logging.getLogger(__name__)

# How long until an extractor that could not be built is tried again: its weights may have been put in place.
TRY_AGAIN_SECONDS = 60.0


# Two passes of eight: a tenth of a second of two cores in bf16, a quarter in fp32.
PATIENT_ON_CPU = 16


@dataclass(frozen=True)
class Served:
    """A feature set with its extractor; `batch` is how many inputs it is given at once."""

    feature_set: FeatureSet
    extractor: Extractor
    batch: int

    def most(self, *, urgent: bool) -> int:
        """How many inputs a batch has. On a processor one that nobody waits for is smaller: an upload waits for it."""
        if urgent or self.extractor.engine.endswith("/gpu"):
            return self.batch
        return min(self.batch, PATIENT_ON_CPU)


Build = Callable[[FeatureSet], tuple[Extractor, int]]


class Roster:
    """What the store wants extracted, as far as this worker can: looked up at each claim, so that a feature set that
    is added, paused or retired is noticed at once. Extractors are built when first wanted, beside the work."""

    def __init__(self, build: Build, builder: Executor, *, only: Collection[str] | None = None) -> None:
        self._build, self._builder, self._only = build, builder, only
        self._served: dict[int, Served] = {}
        self._building: dict[int, Future[Served]] = {}
        self._failed_at: dict[int, float] = {}
        self.trouble: dict[str, str] = {}

    def open(self, wanted: Sequence[FeatureSet], *, strict: bool = False) -> None:
        """Build the first extractor that can be; the others follow beside the work.

        Raise ConfigurationError, which says what kept the first from being built, when none can be; when `strict`,
        as soon as the first cannot.
        """
        first: AppError | None = None
        for feature_set in wanted:
            try:
                self._served[feature_set.id] = self._made(feature_set)
                return
            except AppError as error:
                self._failed(feature_set.id, error)
                first = first or error
                if strict:
                    break
        which = "No feature set is live or being filled; all are"
        if self._only is not None:
            which = f"Feature set {' or '.join(self._only)} is"
        raise first or ConfigurationError(f"{which} retired: nothing is to be extracted.")

    def look(self, session: Session) -> dict[int, Served]:
        """What may be claimed now, by feature set id, and begin to build what is missing."""
        wanted = {feature_set.id: feature_set for feature_set in self.wanted(session)}
        self._collect()
        for gone in set(self._served) - set(wanted):
            log.info("%s is no longer extracted", self._served[gone].feature_set.name)
        names = {feature_set.name for feature_set in wanted.values()}
        self.trouble = {name: said for name, said in dict(self.trouble).items() if name in names}
        for feature_set in wanted.values():
            self._begin(feature_set)
        self._served = {
            number: replace(served, feature_set=wanted[number])
            for number, served in self._served.items()
            if number in wanted
        }
        return {i: served for i, served in self._served.items() if not served.feature_set.paused}

    def serves(self) -> list[Served]:
        return list(self._served.values())

    def extractors(self) -> dict[int, Extractor]:
        """The extractors that are loaded, by feature set id."""
        return {number: served.extractor for number, served in self._served.items()}

    def is_building(self) -> bool:
        return bool(self._building)

    def wanted(self, session: Session) -> list[FeatureSet]:
        """What is to be extracted: live feature sets first, then those that are being filled."""
        every = [fs for fs in feature_sets.every(session) if self._only is None or fs.name in self._only]
        stages = (FeatureStage.LIVE, FeatureStage.FILLING)
        return [fs for stage in stages for fs in every if fs.stage == stage]

    def _begin(self, feature_set: FeatureSet) -> None:
        number = feature_set.id
        known = number in self._served or number in self._building
        if known or time.monotonic() - self._failed_at.get(number, -TRY_AGAIN_SECONDS) < TRY_AGAIN_SECONDS:
            return
        log.info("loading %s", feature_set.name)
        self._building[number] = self._builder.submit(self._made, feature_set)

    def _collect(self) -> None:
        for number in [number for number, building in self._building.items() if building.done()]:
            building = self._building.pop(number)
            try:
                self._served[number] = building.result()
            except AppError as error:
                self._failed(number, error)
            except Exception as error:
                log.exception("feature set %d cannot be loaded", number)
                self._failed(number, error)

    def _made(self, feature_set: FeatureSet) -> Served:
        try:
            extractor, batch = self._build(feature_set)
            if extractor.spec.digest != feature_set.digest:
                raise ConfigurationError(
                    f"The weights or preprocessing at hand for {feature_set.name} have digest "
                    f"{extractor.spec.digest[:12]}, not {feature_set.digest[:12]}: use those that made its vectors."
                )
        except Exception as error:
            self.trouble[feature_set.name] = error.message if isinstance(error, AppError) else str(error)
            raise
        self.trouble.pop(feature_set.name, None)
        return Served(feature_set, extractor, batch)

    def _failed(self, number: int, error: Exception) -> None:
        self._failed_at[number] = time.monotonic()
        log.warning("feature set %d cannot be served here, others can: %s", number, error)
