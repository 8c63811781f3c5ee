"""Extraction as overlapping stages: claim, decode, forward, store, with bounded queues between them.

Claimed scans flow one by one to the decoders, from there into batches as they are ready, and each batch through the
engine to the store. A stage waits for the one before it and for nothing else; what is in hand is bounded in scans and
in bytes. What presses more goes first everywhere: an upload waits for the batch in the engine, and for no other.
"""

import logging
from functools import partial
from typing import Any

from app.blobs import BlobStore
from app.features.spec import Features
from app.services.ingest import limits
from workers.batching import Batch, Ready
from workers.channel import Channel
from workers.claiming import Claimer
from workers.crew import Crew
from workers.decoding import Decoders
from workers.explain import Explainer
from workers.hand import Hand, Work
from workers.recording import Recorder
from workers.roster import Roster
from workers.runner import Base
from workers.stages import Meter

log = logging.getLogger(__name__)

# Batches that the engine has made and nobody has stored.
MADE = 2

Made = tuple[Batch, Features | None] | tuple[Work, Exception]


class ExtractionWorker:
    """Extracts what its roster serves until told to stop; what was claimed by then is finished first."""

    def __init__(self, base: Base, roster: Roster, blobs: BlobStore) -> None:
        self._base, self._roster = base, roster
        self._recorder = Recorder(base)
        self._hand = Hand(on_less=self._less_in_hand)
        self._made: Channel[Made] = Channel(MADE)
        self._decoders = Decoders(
            base.settings.decode_threads, blobs=blobs, limits=limits(base.settings), hand=self._hand,
            deliver=self._deliver, give_up=self._give_up, on_end=self._decoded,
        )  # fmt: skip
        self._meter = Meter(
            decode=self._decoders.waiting, forward=lambda: len(self._ready), store=lambda: len(self._made)
        )
        self._ready = Ready(
            more_to_come=self._decoders.is_busy, in_hand=lambda: len(self._hand), starved=self._meter.starved
        )
        self._claimer = Claimer(base, roster, self._hand, self._meter.claim, self._decoders.add)
        self._explainer = Explainer(base, roster.extractors, blobs)

    def run(self) -> None:
        """Work in threads of its own, and with the engine in this one. Raise what any of them raises."""
        crew = Crew(self._break_off)
        crew.start("store", self._store)
        for _ in range(self._decoders.threads):
            crew.start("decode", partial(self._decoders.work, self._meter.decode))
        crew.start("explain", self._explainer.work)
        crew.start("claim", self._claim)
        crew.guarded(self._forward)
        crew.join()

    def report(self) -> dict[str, Any]:
        """What this worker tells of itself at each heartbeat, by columns of its row."""
        served = self._roster.serves()
        told = {
            **self._meter.report(),
            "in_hand": {"scans": len(self._hand), "pixel_bytes": self._hand.pixel_bytes},
            "batches": {one.feature_set.name: one.batch for one in served},
            "trouble": dict(self._roster.trouble),
        }
        engines = ", ".join(sorted({one.extractor.engine for one in served}))
        return {"engine": engines or None, "serves": sorted(one.feature_set.id for one in served), "stages": told}

    def _claim(self) -> None:
        try:
            self._claimer.work()
        finally:
            self._decoders.close()
            self._ready.close()
            self._explainer.look_again()

    def _deliver(self, work: Work) -> None:
        self._ready.add(work)

    def _give_up(self, work: Work, error: Exception) -> None:
        self._made.put((work, error))

    def _decoded(self) -> None:
        self._ready.look_again()

    def _forward(self) -> None:
        """What the engine's thread does."""
        while (batch := self._ready.next_batch()) is not None:
            with self._meter.forward.at_work(len(batch.pixels)):
                features = _try_extract(batch)
            self._made.put((batch, features))
        self._made.close()

    def _store(self) -> None:
        """What the storing thread does."""
        while (made := self._made.get()) is not None:
            of, result = made
            works = of.works if isinstance(of, Batch) else [of]
            with self._meter.store.at_work(len(works)):
                if isinstance(of, Batch):
                    assert not isinstance(result, Exception)
                    self._recorder.record(of, result)
                else:
                    assert isinstance(result, Exception)
                    self._recorder.give_up(of, result)
            self._hand.remove(works)

    def _less_in_hand(self) -> None:
        self._decoders.look_again()
        self._claimer.look_again()

    def _break_off(self) -> None:
        """One of the threads has failed: let the others end, the claiming one too."""
        self._base.stop.ask()
        self._made.break_off()
        self._decoders.break_off()
        self._ready.break_off()
        self._claimer.look_again()


def _try_extract(batch: Batch) -> Features | None:
    """Features of the whole batch; None when the engine failed on it, so that each scan is tried alone."""
    try:
        return batch.extract()
    except Exception:
        log.exception("a batch of %d failed; trying each alone", len(batch.works))
        return None
