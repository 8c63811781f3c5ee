"""`python -m benchmarks.storing`: what the storing stage costs, and how much of it is the vectors' index."""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
from sqlalchemy import text

from app import jobs, vectors
from app.cli.store import Store
from app.cli.store import opened as open_store
from app.db import transaction
from app.features.spec import Features
from app.imaging.prepare import Box, PreparedRegion
from app.models import FeatureSet
from app.models.ids import uuid7
from app.services import extraction
from app.services.extraction import Prepared
from app.services.prediction import LoadedHeads
from benchmarks.archive import simulated

BATCH = 32
_IMAGES = text(
    """
    WITH made AS (
        INSERT INTO image (id, sha256, media_type, byte_count, width, height, bit_depth)
        SELECT uuidv7(), sha256(convert_to('row ' || i, 'UTF8')), 'image/jpeg', 1, 64, 64, 8
        FROM generate_series(1, CAST(:count AS int)) i RETURNING id)
    INSERT INTO region (image_id, x, y, width, height) SELECT id, 0, 0, 64, 64 FROM made
    """
)


@dataclass(frozen=True)
class Cost:
    """Seconds of an image: by the clock, of our processor time, of Postgres's."""

    clock: float
    ours: float
    postgres: float


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.storing", description=__doc__)
    parser.add_argument("--count", type=int, default=2000, help="images in each run")
    count = parser.parse_args().count
    with tempfile.TemporaryDirectory(prefix="penumbra-bench-") as folder, open_store(Path(folder)) as store:
        feature_set = store.feature_set()
        with transaction(store.sessions) as session:
            session.execute(_IMAGES, {"count": count})
        avg, max_ = simulated(feature_set, count, seed=0)
        features = Features(avg, max_)
        _measured(store, feature_set, features, 2 * BATCH)  # loads libraries and heads
        print("| storing a batch of 32, by image | clock | our processor time | Postgres's |\n|---|---|---|---|")
        for what, change in _cases(store, feature_set):
            change()
            cost = _measured(store, feature_set, features, count)
            print(
                f"| {what} | {cost.clock * 1000:.2f} ms | {cost.ours * 1000:.2f} ms | {cost.postgres * 1000:.2f} ms |"
            )
    return 0


def _cases(store: Store, feature_set: FeatureSet) -> list[tuple[str, Callable[[], None]]]:
    def execute(statement: str) -> Callable[[], None]:
        def change() -> None:
            with transaction(store.sessions) as session:
                session.execute(text(statement))

        return change

    return [
        ("as it is: vectors, index, two heads' predictions, jobs", lambda: None),
        ("without heads", execute("UPDATE head SET stage = 'archived' WHERE stage = 'live'")),
        ("without heads and without the index", execute(f"DROP INDEX ix_{vectors.partition(feature_set.id)}_avg")),
    ]


def _measured(store: Store, feature_set: FeatureSet, features: Features, count: int) -> Cost:
    with transaction(store.sessions) as session:
        session.execute(text(f"TRUNCATE {vectors.partition(feature_set.id)}, prediction, job CASCADE"))
        images = list(session.scalars(text("SELECT id FROM image ORDER BY id")))
        jobs.enqueue_extractions(session, images, [feature_set.id])
    with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("CHECKPOINT"))
    loaded, worker, nothing = LoadedHeads(), uuid7(), np.empty((0, 0, 0), np.float32)
    started, ours, postgres = time.perf_counter(), time.process_time(), _postgres_cpu(store)
    for start in range(0, count, BATCH):
        part = Features(features.avg[start : start + BATCH], features.max[start : start + BATCH])
        with transaction(store.sessions) as session:
            scans = extraction.take(session, {feature_set.id: BATCH}, worker_id=worker, lease_seconds=60)
        frames = [Prepared(one, [PreparedRegion(0, 0, Box(0, 0, 64, 64), nothing, {})]) for one in scans]
        with transaction(store.sessions) as session:
            extraction.store(session, loaded, feature_set, frames, part, engine="bench")
    return Cost(
        (time.perf_counter() - started) / count,
        (time.process_time() - ours) / count,
        (_postgres_cpu(store) - postgres) / count,
    )


def _postgres_cpu(store: Store) -> float:
    pid = int((store.settings.postgres_dir / "postmaster.pid").read_text().split()[0])
    server = psutil.Process(pid)
    return sum(sum(each.cpu_times()[:2]) for each in [server, *server.children(recursive=True)])


if __name__ == "__main__":
    sys.exit(main())
