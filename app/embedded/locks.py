"""Who uses the server, told by kernel locks: they end with their holder, however it died.

Three files beside the data folder: `.NAME.lock` (one process starts or stops at a time), `.NAME.users`
(shared, held by every `serving` block) and `.NAME.alive` (held by the server's own processes, also where
their ids cannot be seen, as from another container on the same volume).
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.errors import DatabaseUnusable

FOR_SERVING = b"started for a serving block\n"

# A log writer outlives its server by an instant.
PATIENCE_SECONDS = 10.0


def beside(folder: Path, purpose: str) -> Path:
    return folder.with_name(f".{folder.name}.{purpose}")


@contextmanager
def locked(path: Path, operation: int) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, operation)
        yield descriptor
    finally:
        os.close(descriptor)


def is_held(path: Path) -> bool:
    try:
        with locked(path, fcntl.LOCK_EX | fcntl.LOCK_NB):
            return False
    except BlockingIOError:
        return True


@contextmanager
def alive(folder: Path) -> Iterator[int]:
    """The lock for a new server to inherit; records whether a `serving` block is why it starts.

    Raises `DatabaseUnusable` while a process of another server holds it.
    """
    path = beside(folder, "alive")
    deadline = time.monotonic() + PATIENCE_SECONDS
    while is_held(path):
        if time.monotonic() > deadline:
            raise DatabaseUnusable(
                f"{folder} is in use by a server that cannot be seen from here (another container?); stop it there."
            )
        time.sleep(0.05)
    with locked(path, fcntl.LOCK_EX | fcntl.LOCK_NB) as descriptor:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, FOR_SERVING if is_held(beside(folder, "users")) else b"", 0)
        yield descriptor


def started_for_serving(folder: Path) -> bool:
    path = beside(folder, "alive")
    return path.exists() and path.read_bytes() == FOR_SERVING
