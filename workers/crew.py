"""The threads of one worker: the first that fails stops all, and its error is raised where they are awaited."""

import threading
from collections.abc import Callable

from workers.channel import Broken


class Crew:
    """Threads that end together. `on_failure` must make every one of them end soon; it may be called more than once."""

    def __init__(self, on_failure: Callable[[], None]) -> None:
        self._on_failure = on_failure
        self._threads: list[threading.Thread] = []
        self._failure: BaseException | None = None
        self._lock = threading.Lock()

    def start(self, name: str, body: Callable[[], None]) -> None:
        thread = threading.Thread(target=self.guarded, args=(body,), name=name)
        self._threads.append(thread)
        thread.start()

    def guarded(self, body: Callable[[], None]) -> None:
        """Run `body` in this thread as one of the crew."""
        try:
            body()
        except Broken:
            return
        except BaseException as error:
            with self._lock:
                self._failure = self._failure or error
            self._on_failure()

    def join(self) -> None:
        """Wait for all threads. Raise what the first of them raised."""
        for thread in self._threads:
            thread.join()
        if self._failure is not None:
            raise self._failure
