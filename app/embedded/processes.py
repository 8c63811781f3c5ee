"""The server's processes, told from strangers: each works in the data folder, whatever id it has got."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from app.errors import DatabaseUnusable


def is_server_process(pid: int, folder: Path) -> bool:
    """Whether the process lives and is a Postgres process of this folder."""
    try:
        process = psutil.Process(pid)
        if process.name() != "postgres" or process.status() == psutil.STATUS_ZOMBIE:
            return False
        return bool(process.cwd() == str(folder))
    except psutil.Error:
        return False


def end(pid: int, folder: Path, sent: signal.Signals, *, patience_seconds: float) -> None:
    """End one postmaster, and with it its backends: as asked, else at once, which recovery makes good."""
    for each, seconds in ((sent, patience_seconds), (signal.SIGQUIT, 10.0)):
        _signal([pid], each)
        if _wait(lambda: not is_server_process(pid, folder), seconds):
            return


def clear_remains(folder: Path) -> None:
    """After a killed server: end its orphaned backends and drop its pid file.

    Postgres refuses to start while orphans hold the old server's memory, and while any living process has got
    the dead one's id. Raises `DatabaseUnusable` if they cannot be ended.
    """
    for sent, seconds in ((signal.SIGQUIT, 5.0), (signal.SIGKILL, 10.0)):
        _signal(_server_processes(folder), sent)
        if _wait(lambda: not _server_processes(folder), seconds):
            (folder / "postmaster.pid").unlink(missing_ok=True)
            return
    raise DatabaseUnusable(f"Processes {_server_processes(folder)} of a dead server hold {folder}; end them.")


def _server_processes(folder: Path) -> list[int]:
    return [pid for pid in psutil.pids() if is_server_process(pid, folder)]


def _signal(pids: list[int], sent: signal.Signals) -> None:
    for pid in pids:
        try:
            os.kill(pid, sent)
        except ProcessLookupError:
            continue


def _wait(done: Callable[[], bool], patience_seconds: float) -> bool:
    deadline = time.monotonic() + patience_seconds
    while not done():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
