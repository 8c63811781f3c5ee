"""Waiting for what must come. A machine may have other work, so waits are long: they only see that a test ends."""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from app.features.spec import InputBatch

T = TypeVar("T")
PATIENCE = 180.0
"""Seconds."""


def eventually(look: Callable[[], T], good: Callable[[T], object] = bool, *, what: str = "", every: float = 0.05) -> T:
    """What `look` sees, as soon as it is good."""
    deadline = time.monotonic() + PATIENCE
    while not good(found := look()):
        assert time.monotonic() < deadline, f"{what or 'it'} did not come true in {PATIENCE:.0f} s: {found}"
        time.sleep(every)
    return found


class Gate:
    """An extractor's `before` that notes the size of each batch, and waits from its first call until it is opened."""

    def __init__(self) -> None:
        self.reached, self.opened = threading.Event(), threading.Event()
        self.batches: list[int] = []

    def __call__(self, batch: InputBatch) -> None:
        self.batches.append(len(batch))
        self.reached.set()
        assert self.opened.wait(2 * PATIENCE)  # longer than what is awaited before it is opened
