"""The decoding stage: files to prepared regions, on threads (Pillow and its libraries let go of Python's lock).

A large scan never holds up small ones: one thread more is started than may work on large scans at once.
"""

import heapq
from collections.abc import Callable, Sequence

from app.blobs import BlobStore
from app.imaging import Limits
from app.imaging.prepare import prepare_scan
from workers.channel import Broken, Joint
from workers.hand import Hand, Work
from workers.stages import Stage

# Pixels of all frames above which a scan is large: decoding it takes longer than a forward pass of a batch.
LARGE_PIXELS = 8_000_000
# Pixels of large scans that are decoded at once, unless one alone has more: some 12 bytes each while they are.
LARGE_PIXELS_AT_ONCE = 64_000_000


class Decoders(Joint):
    """Threads that prepare the regions of scans, the most pressing first."""

    def __init__(
        self,
        threads: int,
        *,
        blobs: BlobStore,
        limits: Limits,
        hand: Hand,
        deliver: Callable[[Work], None],
        give_up: Callable[[Work, Exception], None],
        on_end: Callable[[], None],
    ) -> None:
        super().__init__()
        self.threads = threads + 1
        self._large_at_once = threads
        self._blobs, self._limits, self._hand = blobs, limits, hand
        self._deliver, self._give_up, self._on_end = deliver, give_up, on_end
        self._small: list[tuple[tuple[int, int], Work]] = []
        self._large: list[tuple[tuple[int, int], Work]] = []
        self._running: list[Work] = []

    def waiting(self) -> int:
        """Scans that no thread has begun."""
        return len(self._small) + len(self._large)

    def is_busy(self) -> bool:
        """Whether it has anything yet to deliver or to give up."""
        with self._changed:
            return bool(self._small or self._large or self._running)

    def add(self, works: Sequence[Work]) -> None:
        with self._changed:
            for work in works:
                heapq.heappush(self._large if is_large(work) else self._small, (work.place, work))
            self._changed.notify_all()

    def work(self, stage: Stage) -> None:
        """What each of the threads does. Ends when all that was added is done; raises Broken."""
        while (work := self._next()) is not None:
            with stage.at_work(1):
                error = self._decode(work)
            if error is None:
                work.waiting = True
                self._hand.prepared(work)
                self._deliver(work)
            else:
                self._give_up(work, error)
            with self._changed:
                self._running.remove(work)
                self._changed.notify_all()
            self._on_end()

    def _next(self) -> Work | None:
        with self._changed:
            while True:
                if self._broken:
                    raise Broken
                heap = self._startable()
                if heap is not None:
                    _, work = heapq.heappop(heap)
                    work.waiting = False
                    self._running.append(work)
                    return work
                if self._closed and not self._small and not self._large:
                    return None
                self._changed.wait()

    def _startable(self) -> list[tuple[tuple[int, int], Work]] | None:
        """The heap whose first scan may be begun now; room for its pixels has been made."""
        for heap in sorted((heap for heap in (self._small, self._large) if heap), key=lambda heap: heap[0][0]):
            work = heap[0][1]
            if (heap is self._small or self._room_for_large(work)) and self._hand.reserve(work):
                return heap
        return None

    def _room_for_large(self, work: Work) -> bool:
        running = [other.scan.pixels for other in self._running if is_large(other)]
        if not running:
            return True
        return len(running) < self._large_at_once and sum(running) + work.scan.pixels <= LARGE_PIXELS_AT_ONCE

    def _decode(self, work: Work) -> Exception | None:
        """Prepare a scan's regions; what went wrong, if anything did."""
        try:
            path = self._blobs.existing(work.scan.sha256)
            steps = work.served.extractor.spec.preprocessing
            if work.scan.codes:
                work.regions = prepare_scan(
                    path, self._limits, steps, sha256=work.scan.sha256, codes=work.scan.codes
                )  # fmt: skip
        except Exception as error:
            return error
        return None


def is_large(work: Work) -> bool:
    return work.scan.pixels * work.scan.frames > LARGE_PIXELS
