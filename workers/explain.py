"""Making explanations: one at a time, beside extraction, by the network that extraction has loaded.

Whoever asks for one waits for it, so it waits for no batch but the one in the engine.
"""

import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING
from uuid import UUID

import numpy as np
from sqlalchemy import select

from app.blobs import BlobStore
from app.db import JOBS_CHANNEL, Listener, transaction
from app.errors import Conflict
from app.features.spec import Extractor
from app.heads.arrays import Float32
from app.imaging.prepare import PreparedRegion, prepare_scan
from app.models import Head
from app.services import explaining, extraction
from app.services.explaining import Assignment, Made
from app.services.ingest import limits
from workers.runner import Base, Stopped

if TYPE_CHECKING:
    from app.heads.explanation_graph import ExplainedHead

log = logging.getLogger(__name__)

# How long to wait for a notification before looking at the table anyway.
LOOK_SECONDS = 1.0
KEPT_HEADS = 4
# Regions whose feature maps are in memory at once.
TOGETHER = 16

Extractors = Callable[[], Mapping[int, Extractor]]
"""The extractors that are ready, by feature set id."""


class Explainer:
    """Makes explanations until told to stop, in the thread that calls `work`."""

    def __init__(self, base: Base, extractors: Extractors, blobs: BlobStore) -> None:
        self._base, self._extractors, self._blobs = base, extractors, blobs
        self._limits = limits(base.settings)
        self._listener = Listener(base.engine, JOBS_CHANNEL)
        self._heads: OrderedDict[UUID, ExplainedHead] = OrderedDict()

    def work(self) -> None:
        """Work until told to stop. Raise nothing but what stops the whole worker."""
        with closing(self._listener):
            while not self._base.stop:
                try:
                    if not self.once():
                        self._listener.wait(LOOK_SECONDS)
                except Stopped:
                    return

    def look_again(self) -> None:
        """End a wait: the worker is to stop."""
        self._listener.wake()

    def once(self) -> bool:
        """Make one explanation; whether there was one to make."""
        extractors = self._extractors()
        if not extractors:
            return False
        taken = self._base.until_stopped(partial(self._take, list(extractors)))
        if taken is None:
            return False
        try:
            made = self._made(taken, extractors[taken.feature_set_id])
            self._base.persist(partial(self._store, taken, made))
        except Stopped:
            raise
        except Exception as error:
            log.warning("the explanation of image %s failed: %s", taken.claim.image_id, error)
            self._base.persist(partial(self._give_up, taken, error))
        return True

    def _take(self, feature_set_ids: list[int]) -> Assignment | None:
        with transaction(self._base.sessions) as session:
            return explaining.take(
                session, feature_set_ids, worker_id=self._base.worker_id,
                lease_seconds=self._base.settings.lease_seconds,
            )  # fmt: skip

    def _made(self, taken: Assignment, extractor: Extractor) -> list[Made]:
        head = self._head(taken.head_id)
        path = self._blobs.existing(taken.sha256)
        found = prepare_scan(path, self._limits, extractor.spec.preprocessing, sha256=taken.sha256)
        known = [region for region in found if region.ordinal in taken.region_ids]
        if len(known) != len(taken.region_ids):
            raise Conflict("The scan's regions are not those that its features were made of.")
        made = []
        for start in range(0, len(known), TOGETHER):
            some = known[start : start + TOGETHER]
            maps = extractor.feature_map(np.concatenate([region.pixels for region in some]))
            made += [_explained(head, taken, *pair, extractor.engine) for pair in zip(some, maps, strict=True)]
        return made

    def _head(self, head_id: UUID) -> "ExplainedHead":
        """The head, loaded; the latest few are kept, for artifacts never change."""
        if head_id not in self._heads:
            # The first explanation loads `onnx`; a worker that is never asked for one need not.
            from app.heads.explanation_graph import ExplainedHead  # noqa: PLC0415

            artifact = self._base.until_stopped(partial(self._artifact, head_id))
            if artifact is None:
                raise Conflict(f"Head {head_id} has no artifact.")
            self._heads[head_id] = ExplainedHead(artifact)
        self._heads.move_to_end(head_id)
        while len(self._heads) > KEPT_HEADS:
            self._heads.popitem(last=False)
        return self._heads[head_id]

    def _artifact(self, head_id: UUID) -> bytes | None:
        with transaction(self._base.sessions) as session:
            return session.scalar(select(Head.artifact).where(Head.id == head_id))

    def _store(self, taken: Assignment, made: list[Made]) -> None:
        with transaction(self._base.sessions) as session:
            explaining.store(session, taken.claim, made)

    def _give_up(self, taken: Assignment, error: Exception) -> None:
        settings = self._base.settings
        with transaction(self._base.sessions) as session:
            extraction.give_up(
                session, taken.claim, error, max_attempts=settings.max_attempts,
                delay_seconds=settings.retry_delay_seconds,
            )  # fmt: skip


def _explained(head: "ExplainedHead", taken: Assignment, region: PreparedRegion, map_: Float32, engine: str) -> Made:
    found, said = head.explain(map_), head.probabilities(map_)
    facts = {
        "log_odds": round(found.log_odds, 6),
        "bias": None if found.bias is None else round(found.bias, 6),
        "probability": float(said[head.metadata.positive_index]),
        "pooling": head.metadata.pooling.value,
        "notes": list(found.notes),
        "engine": engine,
    }
    heat = [[round(float(value), 6) for value in row] for row in found.heat]
    return Made(taken.region_ids[region.ordinal], found.method.value, heat, facts)
