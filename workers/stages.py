"""What each stage of the pipeline has done: seconds of work, items, its queue; and how idle the engine was."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

STAGES = ("claim", "decode", "forward", "store")


@dataclass
class Done:
    """What a block of work has done; it may say so at its end."""

    items: int


class Stage:
    """Work of one stage so far. `seconds` are summed over its threads; `queue` says how many items wait before it."""

    def __init__(self, queue: Callable[[], int] = lambda: 0) -> None:
        self._lock = threading.Lock()
        self._queue = queue
        self._seconds, self._items = 0.0, 0
        self._since: dict[int, float] = {}  # thread -> when it began what it is at

    @contextmanager
    def at_work(self, items: int = 0) -> Iterator["Done"]:
        """Count the block's time, also while it lasts, and its items when it has ended."""
        thread, done = threading.get_ident(), Done(items)
        with self._lock:
            self._since[thread] = time.monotonic()
        try:
            yield done
        finally:
            with self._lock:
                self._seconds += time.monotonic() - self._since.pop(thread)
                self._items += done.items

    @property
    def seconds(self) -> float:
        with self._lock:
            now = time.monotonic()
            return self._seconds + sum(now - since for since in self._since.values())

    def as_dict(self) -> dict[str, Any]:
        with self._lock:
            items = self._items
        return {"seconds": round(self.seconds, 3), "items": items, "queue": self._queue()}


class Meter:
    """The stages of one worker, and the share of time in which its engine stood still."""

    def __init__(self, **queues: Callable[[], int]) -> None:
        self.claim, self.decode, self.forward, self.store = (
            Stage(queues[name]) if name in queues else Stage() for name in STAGES
        )
        self._lock = threading.Lock()
        self._starved = 0.0
        self._looked = (time.monotonic(), 0.0)

    def starved(self, seconds: float) -> None:
        """Count time in which the engine waited although scans were in hand."""
        with self._lock:
            self._starved += seconds

    def report(self) -> dict[str, Any]:
        """Plain values, for JSON. `idle_ratio` is of the time since the last report, the others are sums."""
        now, busy = time.monotonic(), self.forward.seconds
        with self._lock:
            then, before = self._looked
            self._looked = (now, busy)
            starved = self._starved
        passed = now - then
        idle = 1 - (busy - before) / passed if passed > 0 else 1.0
        return {
            "stages": {name: getattr(self, name).as_dict() for name in STAGES},
            "engine": {
                "busy_seconds": round(busy, 3),
                "starved_seconds": round(starved, 3),
                "idle_ratio": round(min(1.0, max(0.0, idle)), 4),
            },
        }
