"""`python -m benchmarks.rescore`: the archive judged again by a live head, by the training worker as it is in service.

Simulated rows in an embedded Postgres; `--data DIR` keeps them (11 GB a million rows). Without an HNSW index, which
a re-scoring neither reads nor writes. Also: one batch judged by one head and by a hundred.
"""

import argparse
import json
import resource
import sys
import threading
import time
from pathlib import Path
from typing import Any
from uuid import UUID

import psutil
from rich.console import Console
from rich.table import Table
from sqlalchemy import func, select, text

from app import jobs, vectors
from app.cli.store import Store
from app.db import make_engine, make_sessions, transaction
from app.models import Head, Job, Kind, Stage, Task
from app.models.ids import uuid7
from app.services import prediction
from app.services.prediction import LoadedHeads
from benchmarks import archive
from workers.runner import Base, Stop

ROWS, BATCH, HEADS = 1_000_000, 1_000, 100
TASK = "empty-container"


def rescored(store: Store, rows: int) -> dict[str, Any]:
    """Forget what the bundled head of `TASK` has said, and let a worker judge every row again."""
    with transaction(store.sessions) as session:
        head = session.scalars(select(Head).where(Head.task == TASK, Head.stage == Stage.LIVE)).one()
        session.execute(text("TRUNCATE prediction"))
        session.execute(text("DELETE FROM job"))
        present = session.scalar(text("SELECT count(*) FROM embedding WHERE augmentation = 0")) or 0
        job = jobs.enqueue_for_head(session, Kind.RESCORE, head.id, head.feature_set_id)
    assert job is not None
    started, used = time.perf_counter(), time.process_time()
    _work(store, job)
    seconds = time.perf_counter() - started
    with transaction(store.sessions) as session:
        judged = session.scalar(select(func.count()).select_from(text("prediction"))) or 0
    assert judged == present >= rows, f"{judged} of {present} rows were judged"
    return {
        "rows": judged,
        "seconds": seconds,
        "rows_per_second": judged / seconds,
        "worker_cpu_seconds": time.process_time() - used,
        "peak_rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def _work(store: Store, job: UUID) -> None:
    """Run a training worker until the job has ended."""
    from workers.train import TrainingWorker

    engine = make_engine(store.engine.url, pool_size=4)
    base = Base(store.settings, engine, make_sessions(engine), Stop(), uuid7())
    worker = threading.Thread(target=TrainingWorker(base).run)
    worker.start()
    state = "queued"
    while state in ("queued", "running"):
        time.sleep(0.05)
        with transaction(store.sessions) as session:
            state = session.get_one(Job, job).state
    base.stop.ask()
    worker.join()
    engine.dispose()
    assert state == "succeeded", state


def many_heads(store: Store) -> dict[str, Any]:
    """Seconds to judge one batch and store what was said: by one head, and by a hundred; nothing is committed."""
    feature_set = store.feature_set(archive.FEATURE_SET)
    with store.sessions() as session:
        session.execute(text("TRUNCATE prediction"))
        first = session.scalars(select(Head).where(Head.task == TASK, Head.stage == Stage.LIVE)).one()
        for number in range(HEADS - 1):
            name = f"copy-{number}"
            session.add(Task(name=name, question="?", classes=["empty", "loaded"], positive="loaded"))
            session.flush()
            session.add(
                Head(
                    task=name, version=1, stage=Stage.LIVE, feature_set_id=feature_set.id, artifact=first.artifact,
                    algorithm=first.algorithm, threshold=first.threshold, author="benchmark",
                )
            )  # fmt: skip
        session.flush()
        heads = session.scalars(select(Head).where(Head.feature_set_id == feature_set.id, Head.stage == Stage.LIVE))
        chosen = [first, *(head for head in heads if head.task.startswith("copy-"))]
        rows = vectors.copy_out_next(session, feature_set, after=0, limit=BATCH)
        loaded = LoadedHeads()
        loaded.several(session, chosen)
        seconds = {}
        for name, some in (("one", chosen[:1]), ("hundred", chosen)):
            session.execute(text("TRUNCATE prediction"))
            started = time.perf_counter()
            answers = prediction.ask(loaded.several(session, some), rows)
            seconds[f"{name}_scoring"] = time.perf_counter() - started
            assert prediction.store(session, rows.region_ids, answers) == len(rows) * len(some)
            seconds[name] = time.perf_counter() - started
        session.rollback()
    return {"batch": len(rows), "heads": len(chosen), **seconds, "ratio": seconds["hundred"] / seconds["one"]}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rescore", description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--data", type=Path, help="folder of a store to fill and use again; a temporary one without it")
    parser.add_argument("--json", action="store_true", help="print JSON")
    given = parser.parse_args()
    _require_disk(given.data or Path("/tmp"), given.rows)
    with archive.opened(given.data, given.rows) as store:
        found = {"heads": many_heads(store), "rescore": rescored(store, given.rows)}
    if given.json:
        json.dump(found, sys.stdout, indent=1)
        print()
    else:
        _print(found)
    return 0


def _require_disk(folder: Path, rows: int) -> None:
    present = folder
    while not present.exists():
        present = present.parent
    free, needed = psutil.disk_usage(str(present)).free, rows * 14_000
    if free < needed and not (folder / "postgres").exists():
        sys.exit(
            f"{folder} has {free / 1e9:.0f} GB free; {rows} rows need {needed / 1e9:.0f} GB. Give --rows or --data."
        )


def _print(found: dict[str, Any]) -> None:
    archive_, heads = found["rescore"], found["heads"]
    table = Table("what", "measured", title="Judging again from stored vectors", title_justify="left")
    for name, words in {
        "stored vectors, 2 x 1,024 dimensions": f"{archive_['rows']:,}",
        "judged again by a live head": f"{archive_['seconds']:.1f} s, {archive_['rows_per_second']:,.0f} rows/s",
        "worker": f"{archive_['worker_cpu_seconds']:.1f} s of processor, at most {archive_['peak_rss_mib']:.0f} MiB",
        f"{heads['batch']} rows by 1 head": f"{heads['one'] * 1000:.0f} ms "
                                            f"({heads['one_scoring'] * 1000:.0f} ms of it scoring)",
        f"{heads['batch']} rows by {heads['heads']} heads": f"{heads['hundred'] * 1000:.0f} ms "
                                                            f"({heads['hundred_scoring'] * 1000:.0f} ms of it scoring)",
        "ratio": f"{heads['ratio']:.1f}",
    }.items():  # fmt: skip
        table.add_row(name, words)
    Console(width=110).print(table)


if __name__ == "__main__":
    sys.exit(main())
