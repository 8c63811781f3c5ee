"""Decoded scans become batches as they are ready: no batch waits for a scan that is slow to decode."""

import heapq
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.features.spec import Features
from workers.channel import Broken, Joint
from workers.hand import Work
from workers.roster import Served


@dataclass(frozen=True)
class Batch:
    """Scans of one feature set with the pixels of all their regions and codes, in that order.

    `pixels`: float32 (n, height, width).
    """

    served: Served
    works: list[Work]
    pixels: NDArray[np.float32]

    def extract(self) -> Features:
        """Features of all its pixels. Raise what the engine raises."""
        if not len(self.pixels):
            spec = self.served.extractor.spec
            return Features(np.empty((0, spec.avg_dim), np.float32), np.empty((0, spec.max_dim), np.float32))
        return self.served.extractor.extract(self.pixels)

    def alone(self) -> Iterable["Batch"]:
        """Each scan as a batch of its own."""
        return (batch_of([work]) for work in self.works)


def batch_of(works: list[Work]) -> Batch:
    parts = [region.pixels for work in works for region in work.regions]
    pixels = np.concatenate(parts) if parts else np.empty((0, 0, 0), np.float32)
    return Batch(works[0].served, works, pixels)


class Ready(Joint):
    """Decoded scans that wait for the engine, the most pressing first; a batch is of one feature set and one priority.

    So an upload waits for the batch that the engine is at, and for no other.
    """

    def __init__(
        self, *, more_to_come: Callable[[], bool], in_hand: Callable[[], int], starved: Callable[[float], None]
    ) -> None:
        super().__init__()
        self._more_to_come, self._in_hand, self._starved = more_to_come, in_hand, starved
        self._waiting: dict[tuple[int, int], list[tuple[tuple[int, int], Work]]] = {}  # by feature set and priority

    def __len__(self) -> int:
        with self._changed:
            return sum(map(len, self._waiting.values()))

    def add(self, work: Work) -> None:
        claim = work.scan.claim
        with self._changed:
            waiting = self._waiting.setdefault((work.served.feature_set.id, claim.priority), [])
            heapq.heappush(waiting, (work.place, work))
            self._changed.notify_all()

    def next_batch(self) -> Batch | None:
        """The next batch as soon as there is one, however small; None when none will come. Raise Broken.

        While the engine is at one batch the next grows: under load batches are full by themselves.
        """
        with self._changed:
            while not self._waiting:
                if self._broken:
                    raise Broken
                if self._closed and not self._more_to_come():
                    return None
                began, hungry = time.monotonic(), self._in_hand() > 0
                self._changed.wait(1.0)
                if hungry:
                    self._starved(time.monotonic() - began)
            if self._broken:
                raise Broken
            works = self._first_in_line()
        return batch_of(works)

    def _first_in_line(self) -> list[Work]:
        key = min(self._waiting, key=lambda key: self._waiting[key][0][0])
        waiting = self._waiting[key]
        works: list[Work] = []
        rows = 0
        first = waiting[0][1]
        most = first.served.most(urgent=first.urgent)
        while waiting and (not works or rows + _rows(waiting[0][1]) <= most):
            work = heapq.heappop(waiting)[1]
            work.waiting = False
            rows += _rows(work)
            works.append(work)
        if not waiting:
            del self._waiting[key]
        return works


def _rows(work: Work) -> int:
    return sum(len(region.pixels) for region in work.regions)
