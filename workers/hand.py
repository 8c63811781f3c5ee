"""Scans in hand: claimed by this worker and not yet recorded. Bounded, whatever the queue in the store holds."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from app.claims import Claim, Priority
from app.imaging.prepare import PreparedRegion
from app.services.extraction import Scan
from workers.roster import Served

# Batches in hand of each kind of work, pressing and not: one decoded, one in the engine, one stored.
DEPTH = 3
# Bytes of prepared pixels in hand at most, unless one scan alone has more.
PIXEL_BYTES = 256 * 1024 * 1024


@dataclass(eq=False)
class Work:
    """A scan in hand; `number` counts them in the order in which they were claimed."""

    scan: Scan
    served: Served
    number: int
    taken_at: float = field(default_factory=time.monotonic)
    waiting: bool = True
    regions: list[PreparedRegion] = field(default_factory=list)
    reserved_bytes: int = 0

    @property
    def place(self) -> tuple[int, int]:
        """What orders all that waits."""
        return self.scan.claim.priority, self.number

    @property
    def urgent(self) -> bool:
        """Whether somebody waits for it, or will soon."""
        return self.scan.claim.priority < Priority.COPIES

    @property
    def rows(self) -> int:
        """Inputs of the network that it makes, by what is known before it is decoded."""
        return max(1, len(self.scan.codes) * self.scan.frames)

    @property
    def expected_bytes(self) -> int:
        """Bytes of its prepared pixels, likewise. A frame that is cut has two regions at most."""
        steps = self.served.extractor.spec.preprocessing
        regions = 1 if steps.cut == "frame" else 2
        return len(self.scan.codes) * self.scan.frames * regions * steps.height * steps.width * 4


class Hand:
    """What this worker has in hand. `on_less` is called whenever something has left it."""

    def __init__(self, on_less: Callable[[], None] = lambda: None) -> None:
        self._on_less = on_less
        self._works: dict[UUID, Work] = {}
        self._lock = threading.Lock()
        self._reserved = 0

    def __len__(self) -> int:
        return len(self._works)

    @property
    def pixel_bytes(self) -> int:
        """Bytes of pixels that are prepared, or being prepared."""
        return self._reserved

    def rows(self, *, urgent: bool) -> int:
        """Inputs of the network in hand, of pressing work or of the other."""
        with self._lock:
            return sum(work.rows for work in self._works.values() if work.urgent == urgent)

    def holds_a_suspect(self) -> bool:
        with self._lock:
            return any(work.scan.claim.suspect for work in self._works.values())

    def add(self, works: Sequence[Work]) -> None:
        with self._lock:
            self._works.update({work.scan.claim.job_id: work for work in works})

    def reserve(self, work: Work) -> bool:
        """Make room for a scan's pixels before they are made; whether there was any. One alone always has room."""
        with self._lock:
            wanted = work.expected_bytes
            if self._reserved and self._reserved + wanted > PIXEL_BYTES:
                return False
            work.reserved_bytes = wanted
            self._reserved += wanted
            return True

    def prepared(self, work: Work) -> None:
        """Count what a scan's pixels really take."""
        with self._lock:
            self._reserved -= work.reserved_bytes
            work.reserved_bytes = sum(region.pixels.nbytes for region in work.regions)
            self._reserved += work.reserved_bytes

    def remove(self, works: Sequence[Work]) -> None:
        """Let go of what was recorded, or given up."""
        with self._lock:
            for work in works:
                # The same job may have been claimed anew meanwhile, after its lease was lost.
                if self._works.get(work.scan.claim.job_id) is work:
                    del self._works[work.scan.claim.job_id]
                self._reserved -= work.reserved_bytes
                work.reserved_bytes = 0
        self._on_less()

    def overtaken(self, seconds: float) -> list[Claim]:
        """Claims that have waited so long for a stage to begin with them, as of now counted anew.

        Their leases are to be renewed. What a stage is at keeps the lease it has: what hangs a stage must lose it.
        """
        now = time.monotonic()
        with self._lock:
            found = [work for work in self._works.values() if work.waiting and now - work.taken_at > seconds]
            for work in found:
                work.taken_at = now
        return [work.scan.claim for work in found]
