"""`python -m benchmarks.worklist`: a worklist of 100,000 images in an embedded Postgres, as a desk asks for it.

Simulated rows without pictures; `--data DIR` keeps them. Three archives: as in service (2 % discrepancies, one image in
ten decided), one where everything agrees or is decided (the worst for a list: nothing to find), and one where no papers
declare anything.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
from rich.console import Console
from rich.table import Table
from sqlalchemy import select, text

from app.cli.store import Store
from app.cli.store import opened as open_store
from app.db import transaction
from app.models import Head, Role, Stage
from app.models.ids import uuid7
from app.services import opinions, tasks, worklist, worklist_claims, worklist_items
from app.services.filters import ImageFilter
from app.services.keys import Caller
from app.services.opinions import Verdict, Wanted
from app.services.worklist import Order, WorklistFilter

ROWS, REPEATS, TASK, SECONDS = 100_000, 30, "empty-container", 600.0
_IMAGES = """
    INSERT INTO image (id, sha256, media_type, byte_count, width, height, bit_depth, source, received_at)
    SELECT uuidv7(), sha256(convert_to('row ' || i, 'UTF8')), 'image/jpeg', 1, 2000, 800, 8, 'gate-' || i % 4,
        now() - i * interval '1 minute'
    FROM generate_series(1, CAST(:rows AS int)) i
"""
# One image in fifty is a truck with two containers, each judged by itself.
_REGIONS = """
    INSERT INTO region (image_id, ordinal, x, y, width, height)
    SELECT id, ordinal, 0, 0, 1000, 800 FROM (SELECT id, row_number() OVER () AS number FROM image) image
    CROSS JOIN generate_series(0, 1) ordinal WHERE ordinal = 0 OR number % 50 = 0
"""
# By the live head and by one that it replaced. Four in ten are loaded, risks as a calibrated head's: most near 0 and
# 1. Some 5 % of decisions are left to a person.
_PREDICTIONS = """
    INSERT INTO prediction (image_id, region_id, task, head_id, probabilities, decision, threshold, risk)
    SELECT image_id, id, :task, head, jsonb_build_object('empty', 1 - risk, 'loaded', risk),
        CASE WHEN random() < 0.01 THEN 'cannot_judge' WHEN risk >= 0.5 THEN 'loaded'
             WHEN risk >= 0.4 THEN 'review' ELSE 'empty' END, 0.5, risk
    FROM (SELECT id, image_id, head,
          CASE WHEN random() < 0.4 THEN 1 - 0.6 * power(random(), 4) ELSE 0.6 * power(random(), 4) END AS risk
          FROM region CROSS JOIN (SELECT id AS head FROM head WHERE task = :task) h ORDER BY region.id) r
"""
_REPLACED = """
    INSERT INTO head (id, task, version, stage, feature_set_id, algorithm, threshold, artifact, author)
    SELECT uuidv7(), task, version + 1000, 'archived', feature_set_id, algorithm, threshold, artifact, author FROM head
    WHERE task = :task AND stage = 'live' AND NOT EXISTS (SELECT FROM head WHERE version > 1000)
"""
_DECLARATIONS = """
    INSERT INTO declaration (image_id, task, class_name, author)
    SELECT p.image_id, :task,
        CASE WHEN (max(p.risk) >= 0.5) = (random() >= :wrong) THEN 'loaded' ELSE 'empty' END, 'papers'
    FROM prediction p WHERE p.head_id = :head GROUP BY p.image_id HAVING random() < :declared
"""
_LABELS = """
    WITH said AS (
        INSERT INTO label (image_id, task, class_name, author, source)
        SELECT id, :task, 'loaded', 'inspector ' || (random() * 9)::int, 'review' FROM image WHERE random() < :decided
        RETURNING id, image_id, author)
    INSERT INTO opinion (id, image_id, task, verdict, class_name, label_id, author)
    SELECT uuidv7(), image_id, :task, 'confirm', 'loaded', id, author FROM said
"""
_IMPORTED = """
    INSERT INTO label (image_id, task, class_name, author, source)
    SELECT id, :task, 'empty', 'import', 'import' FROM image WHERE random() < 0.3
"""
_ARCHIVES = {
    "in service": {"declared": 0.9, "wrong": 0.02, "decided": 0.1},
    "nothing to find": {"declared": 1.0, "wrong": 0.0, "decided": 1.0},
    "no papers": {"declared": 0.0, "wrong": 0.0, "decided": 0.1},
}
ANN = Caller("ann", Role.INSPECTOR, uuid7())


def fill(store: Store, rows: int) -> None:
    """Images with their regions; what is there is kept."""
    with transaction(store.sessions) as session:
        if session.scalar(text("SELECT count(*) FROM image")) == rows:
            return
        session.execute(text("TRUNCATE image CASCADE"))
        session.execute(text("SELECT setseed(0.5)"))
        session.execute(text(_IMAGES), {"rows": rows})
        session.execute(text(_REGIONS))


def say(store: Store, shares: dict[str, float]) -> None:
    """Let the head judge everything anew, papers declare and people decide."""
    with transaction(store.sessions) as session:
        session.execute(text("TRUNCATE prediction, declaration, label, opinion, opinion_withdrawal, label_withdrawal"))
        session.execute(text("TRUNCATE worklist_claim"))
        head = session.scalars(select(Head).where(Head.task == TASK, Head.stage == Stage.LIVE)).one()
        session.execute(text(_REPLACED), {"task": TASK})
        values = {"task": TASK, "head": head.id, **shares}
        session.execute(text("SELECT setseed(0.5)"))
        for statement in (_PREDICTIONS, _DECLARATIONS, _LABELS, _IMPORTED):
            session.execute(text(statement), values)
    with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE"))
        connection.execute(text("CHECKPOINT"))


def page(store: Store, wanted: WorklistFilter, limit: int = 50, cursor: str | None = None) -> str | None:
    """One page as the API reads it; the cursor of the next."""
    with transaction(store.sessions) as session:
        task = tasks.named(session, TASK)
        found, following = worklist.page(session, task, wanted, author=ANN.name, limit=limit, cursor=cursor)
        worklist_items.describe(session, task, [one.image_id for one in found], author=ANN.name, holder=ANN.holder)
    return following


def counted(store: Store) -> worklist.Counts:
    with transaction(store.sessions) as session:
        return worklist.counts(session, tasks.named(session, TASK), WorklistFilter(), author=ANN.name)


def claimed(store: Store, caller: Caller = ANN, count: int = 3) -> list[UUID]:
    with transaction(store.sessions) as session:
        return worklist_claims.claim_next(
            session, TASK, WorklistFilter(), caller=caller, count=count, without=[], seconds=SECONDS
        )


def decided(store: Store) -> None:
    """Claim the next scan, as somebody new, and decide."""
    caller = Caller("bob", Role.INSPECTOR, uuid7())
    for image in claimed(store, caller, 1):
        wanted = Wanted(id=uuid7(), image_id=image, verdict=Verdict.CONFIRM, class_name="loaded", shown={})
        with transaction(store.sessions) as session:
            opinions.give(session, TASK, wanted, caller=caller)


def deep(store: Store) -> Callable[[], object]:
    """The page behind the first two thousand."""
    cursor = None
    for _ in range(10):
        cursor = page(store, WorklistFilter(), 200, cursor) or cursor
    return lambda: page(store, WorklistFilter(), 50, cursor)


def measured(act: Callable[[], object], repeats: int) -> dict[str, float]:
    """Milliseconds: the median and the 95th percentile."""
    act()
    taken = []
    for _ in range(repeats):
        started = time.perf_counter()
        act()
        taken.append((time.perf_counter() - started) * 1000)
    return {"p50_ms": round(float(np.median(taken)), 1), "p95_ms": round(float(np.percentile(taken, 95)), 1)}


def acts(store: Store) -> dict[str, Callable[[], object]]:
    of_source = WorklistFilter(where=ImageFilter(source="gate-1"))
    return {
        "first page (50)": lambda: page(store, WorklistFilter()),
        "capacity: the 40 likeliest findings": lambda: page(store, WorklistFilter(order=Order.FINDINGS), 40),
        "first page of one source": lambda: page(store, of_source),
        "page behind the first 2,000": deep(store),
        "counts of all piles": lambda: counted(store),
        "claim the next three": lambda: claimed(store),
        "claim one and decide": lambda: decided(store),
    }


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.worklist", description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS, help="images")
    parser.add_argument("--repeats", type=int, default=REPEATS, help="how often each is asked")
    parser.add_argument("--data", type=Path, default=None, help="keep the store in this folder, and use it again")
    parser.add_argument("--json", action="store_true", help="print JSON")
    given = parser.parse_args()
    found: dict[str, Any] = {}
    with (
        tempfile.TemporaryDirectory(prefix="penumbra-bench-") as temporary,
        open_store(given.data or Path(temporary)) as store,
    ):
        fill(store, given.rows)
        for name, shares in _ARCHIVES.items():
            say(store, shares)
            times = {what: measured(act, given.repeats) for what, act in acts(store).items()}
            found[name] = {"open": counted(store).piles, **times}
    json.dump(found, sys.stdout, indent=1) if given.json else _print(found, given.rows)
    return 0


def _print(found: dict[str, Any], rows: int) -> None:
    table = Table("what", *found, title=f"{rows:,} images: p50, p95 in ms", title_justify="left")
    for what in next(iter(found.values())):
        if what == "open":
            piles = [", ".join(f"{pile} {n:,}" for pile, n in one["open"].items()) for one in found.values()]
            table.add_row(what, *piles)
        else:
            table.add_row(what, *(f"{one[what]['p50_ms']:.0f}, {one[what]['p95_ms']:.0f}" for one in found.values()))
    Console(width=160).print(table)


if __name__ == "__main__":
    sys.exit(main())
