"""Keep a few child processes running until told to stop: what `penumbra up` stands on. Linux and macOS.

A child writes straight to its log file, which is followed on the console: it never blocks on, or breaks with,
a supervisor that is suspended or killed. Children have sessions of their own, so that a terminal's Ctrl-C
reaches the supervisor alone, which stops them in order; on Linux they are told to stop when it is killed.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import TextIO

from app.errors import AppError, ConfigurationError
from app.offspring import bound_to_parent

FIRST_DELAY_SECONDS = 0.5
LONGEST_DELAY_SECONDS = 30.0
SETTLED_SECONDS = 60.0
MOST_FAILURES = 5
TICK_SECONDS = 0.1
WATCH_SECONDS = 1.0
MEBIBYTE = 1024 * 1024
LOG_BYTES = 10 * MEBIBYTE


@dataclass(frozen=True)
class Child:
    name: str
    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    """Set on top of the supervisor's own environment."""
    ready: Callable[[], bool] | None = None
    """Whether it does its work; the next child waits for it. An `OSError` means not yet."""
    ready_seconds: float = 180.0
    stop_seconds: float = 30.0


class Log:
    """A child's log file, bounded, and what of it the console has not shown yet."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o640)
        self._shown = self._size()

    def _size(self) -> int:
        return os.fstat(self.descriptor).st_size

    def news(self, *, all_of_it: bool = False) -> list[str]:
        """Whole lines since the last call. A child that writes without end cannot fill the memory."""
        # Not `read`: the child shares this descriptor's position.
        block = os.pread(self.descriptor, MEBIBYTE, self._shown)
        whole = len(block) if all_of_it or len(block) == MEBIBYTE else block.rfind(b"\n") + 1
        self._shown += whole
        if self._shown > LOG_BYTES:
            # Every writer appends, so that a truncated file is simply begun anew.
            with suppress(OSError):
                shutil.copyfile(self.path, self.path.with_suffix(".log.1"))
            os.ftruncate(self.descriptor, 0)
            self._shown = 0
        return block[:whole].decode(errors="replace").splitlines()

    def tail(self, lines: int = 15) -> str:
        last = os.pread(self.descriptor, 8192, max(0, self._size() - 8192))
        return "\n".join(last.decode(errors="replace").splitlines()[-lines:])

    def close(self) -> None:
        os.close(self.descriptor)


class Keeper:
    """One child over all its lives."""

    def __init__(self, child: Child, log: Log) -> None:
        self.child = child
        self.log = log
        self.process: subprocess.Popen[bytes] | None = None
        self.ready = False
        self.was_ever_ready = False
        self.failures = 0
        self._began = 0.0
        self._next_start = 0.0

    def tend(self) -> str | None:
        """Start, restart or look after the child; what there is to tell about it, if anything."""
        if self.process is None:
            if time.monotonic() >= self._next_start:
                self._start()
            return None
        status = self.ended()
        if status is not None:
            return self._died(f"status {status}" if status >= 0 else f"signal {-status}")
        lived = time.monotonic() - self._began
        if lived > SETTLED_SECONDS:
            self.failures = 0
            self.was_ever_ready |= self.child.ready is None
        return self._tend_readiness(lived)

    def ended(self) -> int | None:
        """The exit status, once there is one. What the child had started ends with it, or would work twice."""
        status = self.process.poll() if self.process else 0
        if self.process and status is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)
        return status

    def signal(self, sent: signal.Signals) -> None:
        """SIGKILL goes to all that the child has started, anything else to the child, which knows best."""
        if self.process is None or self.process.poll() is not None:
            return
        if sent == signal.SIGKILL:
            os.killpg(self.process.pid, sent)
            self.process.wait()
        else:
            self.process.send_signal(sent)

    def _start(self) -> None:
        self.process = subprocess.Popen(
            bound_to_parent(self.child.argv),
            stdin=subprocess.DEVNULL,
            stdout=self.log.descriptor,
            stderr=self.log.descriptor,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **self.child.env},
            start_new_session=True,
        )
        self._began = time.monotonic()

    def _tend_readiness(self, lived: float) -> str | None:
        if self.ready or self.child.ready is None:
            return None
        with suppress(OSError):
            if self.child.ready():
                self.ready = self.was_ever_ready = True
                return f"ready after {lived:.1f} s"
        if lived > self.child.ready_seconds:
            self.signal(signal.SIGKILL)
            return self._died(f"not ready after {self.child.ready_seconds:g} s")
        return None

    def _died(self, how: str) -> str:
        self.process = None
        self.ready = False
        delay = min(LONGEST_DELAY_SECONDS, FIRST_DELAY_SECONDS * 2 ** min(self.failures, 10))
        self.failures += 1
        self._next_start = time.monotonic() + delay
        return f"ended ({how}); starting again in {delay:g} s"

    @property
    def holds_up_the_next(self) -> bool:
        """Until its first readiness only: a restart concerns nobody else."""
        return self._began == 0.0 or (self.child.ready is not None and not self.was_ever_ready)

    @property
    def is_hopeless(self) -> bool:
        return self.failures >= MOST_FAILURES and not self.was_ever_ready


class Supervisor:
    """Runs children, in order, until SIGINT, SIGTERM or SIGHUP, then stops them in reverse order.

    `watch` is called every second; an `AppError` of it is shown and does not end anything. The second signal
    interrupts it, and kills children that have not stopped yet.
    """

    def __init__(
        self,
        children: Sequence[Child],
        log_dir: Path,
        *,
        watch: Callable[[], None] | None = None,
        console: TextIO | None = None,
    ) -> None:
        self._children = children
        self._log_dir = log_dir
        self._watch = watch
        self._console = console
        self._keepers: list[Keeper] = []
        self._requests = 0
        self._next_watch = 0.0
        self._watching = False
        self._trouble = ""

    def run(self, *, on_ready: Callable[[], None] | None = None) -> None:
        """Return after an orderly stop. `on_ready` is called once, when all are ready; it must be short.

        Raises `ConfigurationError`, with its last lines, when a child fails again and again without ever
        having become ready. Call it from the main thread.
        """
        self._log_dir.mkdir(parents=True, exist_ok=True)
        self._keepers = [Keeper(child, Log(self._log_dir / f"{child.name}.log")) for child in self._children]
        signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        before = {each: signal.signal(each, self._requested) for each in signals}
        try:
            self._keep(on_ready)
        finally:
            self._stop()
            for each, handler in before.items():
                signal.signal(each, handler)
            for keeper in self._keepers:
                keeper.log.close()

    def _requested(self, _signal: int, _frame: FrameType | None) -> None:
        self._requests += 1
        if self._watching and self._requests > 1:
            raise KeyboardInterrupt

    def _keep(self, on_ready: Callable[[], None] | None) -> None:
        while not self._requests:
            self._tend()
            self._call_watch()
            self._show()
            if on_ready and not any(keeper.holds_up_the_next for keeper in self._keepers):
                on_ready()
                on_ready = None
            time.sleep(TICK_SECONDS)

    def _tend(self) -> None:
        for keeper in self._keepers:
            told = keeper.tend()
            if told:
                self._tell(keeper.child.name, told)
            if keeper.is_hopeless:
                raise ConfigurationError(
                    f"{keeper.child.name} failed {keeper.failures} times without becoming ready;"
                    f" its last lines ({keeper.log.path}):\n{keeper.log.tail()}"
                )
            if keeper.holds_up_the_next:
                return

    def _call_watch(self) -> None:
        if self._watch is None or time.monotonic() < self._next_watch:
            return
        trouble = ""
        self._watching = True
        try:
            self._watch()
        except AppError as error:
            trouble = error.message
        except KeyboardInterrupt:
            return
        finally:
            self._watching = False
        if trouble and trouble != self._trouble:
            self._tell("watch", trouble)
        self._trouble = trouble
        self._next_watch = time.monotonic() + WATCH_SECONDS

    def _stop(self) -> None:
        for keeper in reversed(self._keepers):
            keeper.signal(signal.SIGTERM)
            deadline = time.monotonic() + keeper.child.stop_seconds
            while keeper.ended() is None:
                if self._requests > 1 or time.monotonic() > deadline:
                    self._tell(keeper.child.name, "killed, since it did not stop")
                    keeper.signal(signal.SIGKILL)
                self._show()
                time.sleep(TICK_SECONDS / 5)
        self._show(all_of_it=True)

    def _show(self, *, all_of_it: bool = False) -> None:
        for keeper in self._keepers:
            for line in keeper.log.news(all_of_it=all_of_it):
                self._tell(keeper.child.name, line)

    def _tell(self, name: str, line: str) -> None:
        try:
            print(f"[{name}] {line}", file=self._console or sys.stderr, flush=True)
        except OSError:
            # The terminal is gone; the log files have it all.
            return
