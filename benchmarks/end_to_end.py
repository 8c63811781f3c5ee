"""The real worker on a real Postgres: films that are stored and queued, until their vectors are committed."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import text

from app.cli.store import Store
from app.cli.store import opened as open_store
from app.db import JOBS_CHANNEL, notify, transaction
from app.features.weights import resolve
from app.services import feature_sets, ingest
from app.services.ingest import Metadata, Received


@dataclass(frozen=True)
class Run:
    """One pass over all films. Seconds are of the clock, or of the processor where they say so."""

    per_second: float
    worker_cpu: float
    postgres_cpu: float
    stages: dict[str, Any]


@contextmanager
def opened(folder: Path, names: Sequence[str], films: Sequence[bytes]) -> Iterator[Store]:
    """A store with these feature sets and films; nothing is queued."""
    with open_store(folder) as store:
        with transaction(store.sessions) as session:
            for name in names:
                feature_sets.ensure(session, resolve(name, None).spec, author="bench")
        _upload(store, films)
        with transaction(store.sessions) as session:
            # Paused, so that nothing is queued or claimed before a run begins.
            session.execute(text("UPDATE feature_set SET paused = true"))
            session.execute(text("TRUNCATE job CASCADE"))
        yield store


def _upload(store: Store, films: Sequence[bytes]) -> None:
    received = []
    for number, content in enumerate(films):
        file = store.blobs.receive(1 << 30)
        file.write(content)
        received.append(Received(f"{number}.jpeg", file, Metadata()))
    admitted, refused = ingest.admit(store.blobs, store.settings, received)
    assert not refused
    with transaction(store.sessions) as session:
        ingest.register(session, store.blobs, admitted, author="bench")


@contextmanager
def worker(store: Store, log: Path) -> Iterator[psutil.Process]:
    """A worker process that has loaded its engines and waits for work."""
    settings = store.settings
    env = {
        **os.environ, "PENUMBRA_DATA_DIR": str(settings.data_dir), "PENUMBRA_RECONCILE_SECONDS": "3600",
        "PENUMBRA_DATABASE_URL": store.engine.url.render_as_string(hide_password=False),
    }  # fmt: skip
    with log.open("wb") as stream:
        process = subprocess.Popen([sys.executable, "-m", "workers", "extract"], env=env, stdout=stream, stderr=stream)
    try:
        wanted = _scalar(store, "SELECT count(*) FROM feature_set")
        deadline = time.monotonic() + 300
        while _scalar(store, "SELECT max(cardinality(serves)) FROM worker") != wanted:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the worker did not become ready:\n{log.read_text()[-2000:]}")
            time.sleep(0.2)
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(timeout=60)


def run(store: Store, name: str, process: psutil.Process) -> Run:
    """Queue every film for a feature set, and wait until all vectors and predictions are committed."""
    with transaction(store.sessions) as session:
        number = feature_sets.named(session, name).id
        session.execute(text(f"TRUNCATE embedding_fs{number}, preparation, prediction, job CASCADE"))
    with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("CHECKPOINT"))
    before = _cpu(process), _postgres_cpu(store)
    with transaction(store.sessions) as session:
        made = session.execute(
            text("INSERT INTO job (id, kind, image_id, feature_set_id) SELECT uuidv7(), 'extract', id, :fs FROM image"),
            {"fs": number},
        )
    count = made.rowcount  # type: ignore[attr-defined]
    _pause(store, number, paused=False)
    started = time.perf_counter()
    while _scalar(store, "SELECT count(*) FROM job WHERE state IN ('queued', 'running')"):
        time.sleep(0.05)
    seconds = time.perf_counter() - started
    after = _cpu(process), _postgres_cpu(store)
    vectors = _scalar(store, f"SELECT count(*) FROM embedding_fs{number}")
    if vectors != count:
        raise RuntimeError(f"{count} films were queued and {vectors} vectors are stored")
    _pause(store, number, paused=True)
    stages = _scalar(store, "SELECT stages FROM worker WHERE kind = 'extract' ORDER BY seen_at DESC LIMIT 1")
    return Run(count / seconds, (after[0] - before[0]) / count, (after[1] - before[1]) / count, stages)


def _pause(store: Store, number: int, *, paused: bool) -> None:
    with transaction(store.sessions) as session:
        statement = text("UPDATE feature_set SET paused = :paused WHERE id = :id")
        session.execute(statement, {"id": number, "paused": paused})
        notify(session, JOBS_CHANNEL)


def _scalar(store: Store, statement: str) -> Any:
    with transaction(store.sessions) as session:
        return session.scalar(text(statement))


def _cpu(process: psutil.Process) -> float:
    spent = process.cpu_times()
    return float(spent.user + spent.system)


def _postgres_cpu(store: Store) -> float:
    """Processor seconds of the database's processes. Those that end between two looks are missed."""
    with transaction(store.sessions) as session:
        pid = int(store.settings.postgres_dir.joinpath("postmaster.pid").read_text().split()[0])
        assert session
    server = psutil.Process(pid)
    return sum(map(_cpu, [server, *server.children(recursive=True)]))
