"""Worker processes as they run in production, started by tests."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.config import Settings
from tests.waiting import PATIENCE

ROOT = Path(__file__).resolve().parents[2]


def environment(settings: Settings, **more: str) -> dict[str, str]:
    """What a process is given to work on the store of `settings`; `more` are further settings."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PENUMBRA_")}
    url = {"PENUMBRA_DATABASE_URL": settings.database_url.get_secret_value()} if settings.database_url else {}
    own = {
        "PENUMBRA_DATA_DIR": str(settings.data_dir),
        "PENUMBRA_HEARTBEAT_SECONDS": str(settings.heartbeat_seconds),
        "PENUMBRA_RECONCILE_SECONDS": str(settings.reconcile_seconds),
        "PENUMBRA_LEASE_SECONDS": str(settings.lease_seconds),
        "PENUMBRA_RETRY_DELAY_SECONDS": str(settings.retry_delay_seconds),
        "PENUMBRA_BATCH_SIZE": str(settings.batch_size or ""),
    }
    return {**inherited, **own, **url, **{f"PENUMBRA_{name}".upper(): value for name, value in more.items()}}


def with_graphs(settings: Settings, graphs: Path) -> None:
    """Let the store's workers use graphs that are converted already."""
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    if not settings.cache_dir.exists():
        settings.cache_dir.symlink_to(graphs, target_is_directory=True)


@contextmanager
def running(command: list[str], settings: Settings, log: Path, **more: str) -> Iterator[subprocess.Popen[bytes]]:
    """A Python process on the store of `settings`; killed at the end when it still runs."""
    with log.open("ab") as stream:
        process = subprocess.Popen(
            [sys.executable, *command], env=environment(settings, **more), cwd=ROOT, stdout=stream, stderr=stream
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.wait(timeout=PATIENCE)
