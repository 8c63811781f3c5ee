"""Where two stages meet: what can be closed (no more will come) or broken (all give up), such as a bounded queue."""

import threading
from collections import deque
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Broken(Exception):
    """Another thread of the worker has failed; its own error says how."""


class Joint:
    """What threads of two stages meet at: looked at under `_changed`, closed (no more will come) or broken."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._closed = self._broken = False

    def look_again(self) -> None:
        """What those who wait here look at may have changed."""
        with self._changed:
            self._changed.notify_all()

    def close(self) -> None:
        """No more will be added."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def break_off(self) -> None:
        """Another thread has failed: all who wait here give up."""
        with self._changed:
            self._broken = True
            self._changed.notify_all()


class Channel(Joint, Generic[Item]):
    """At most `most` items between the threads that put and those that get."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most
        self._items: deque[Item] = deque()

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: Item) -> None:
        """Add an item, waiting while the queue is full. Raise Broken."""
        with self._changed:
            self._changed.wait_for(lambda: self._broken or len(self._items) < self._most)
            if self._broken:
                raise Broken
            self._items.append(item)
            self._changed.notify_all()

    def get(self) -> Item | None:
        """The next item, waiting for one; None when none will come. Raise Broken."""
        with self._changed:
            self._changed.wait_for(lambda: self._broken or self._closed or self._items)
            if self._broken:
                raise Broken
            item = self._items.popleft() if self._items else None
            self._changed.notify_all()
            return item
