"""Room for planes of pixels: how much is decoded at once in a process, so that giant scans do not meet."""

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

ROOM_PIXELS = 256_000_000
"""One scan of the largest accepted size, or many small ones."""


class Room:
    """Lets scans in, in the order in which they came, while their pixels fit; a larger one comes in alone.

    A thread that is inside may enter again: what it holds is let go only by itself, and waiting would be for ever.
    """

    def __init__(self, pixels: int) -> None:
        self._all = pixels
        self._free = pixels
        self._waiting: deque[object] = deque()
        self._changed = threading.Condition()
        self._inside: dict[int, int] = {}

    @contextmanager
    def hold(self, pixels: int) -> Iterator[None]:
        """Wait for room for so many pixels, and hold it until the block ends."""
        thread = threading.get_ident()
        held = self._enter(min(pixels, self._all), thread)
        try:
            yield
        finally:
            with self._changed:
                self._free += held
                self._inside[thread] -= 1
                if not self._inside[thread]:
                    del self._inside[thread]
                self._changed.notify_all()

    def _enter(self, pixels: int, thread: int) -> int:
        with self._changed:
            if thread in self._inside:
                pixels = 0
            else:
                ticket = object()
                self._waiting.append(ticket)
                try:
                    self._changed.wait_for(lambda: self._waiting[0] is ticket and pixels <= self._free)
                finally:
                    self._waiting.remove(ticket)
                    self._changed.notify_all()
            self._free -= pixels
            self._inside[thread] = self._inside.get(thread, 0) + 1
            return pixels


ROOM = Room(ROOM_PIXELS)
