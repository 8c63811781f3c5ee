"""`python -m benchmarks.backfill`: an archive described by a second network while uploads go on.

The whole service runs: API, database, one extraction worker. Images are in feature set A already; then B is added and
filled behind live traffic. A client uploads scans at a steady rate throughout and waits for each, so that the same run
tells the live latency without and with the backfill. The worker is killed twice and the backfill paused once. Prints
a Markdown table.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2 as httpx
import numpy as np
from sqlalchemy import text

from app.cli.store import opened
from app.db import transaction
from app.services import backfill, feature_sets
from benchmarks.traffic import CORPUS, KIND, House, LiveTraffic, Upload, running, scans, until

FILES_PER_REQUEST = 25
# A lease is how long the work of a killed worker stays with it.
SETTINGS = {"PENUMBRA_LEASE_SECONDS": "15", "PENUMBRA_RECONCILE_SECONDS": "5"}
KILL_AT, PAUSE_AT, PAUSE_SECONDS = (0.2, 0.45), 0.7, 5.0


def fill(house: House, contents: Sequence[bytes]) -> float:
    """Upload everything and wait for its vectors in A; images a second."""
    started = time.perf_counter()
    chunks = [contents[i : i + FILES_PER_REQUEST] for i in range(0, len(contents), FILES_PER_REQUEST)]
    with house.client() as client, ThreadPoolExecutor(2) as pool:

        def send(chunk: Sequence[bytes]) -> None:
            parts = [("files", (f"film-{i}.jpg", content)) for i, content in enumerate(chunk)]
            client.post("/v1/images", files=parts, data=KIND).raise_for_status()

        list(pool.map(send, chunks))
        until(lambda: client.get("/v1/stats").json()["pending"] == 0, 1800, "extraction into A")
    return len(contents) / (time.perf_counter() - started)


def add(house: House) -> str:
    """Add B from the command line, as an operator would."""
    weights = CORPUS / "weights" / "densenet121_imagenet_full_float32.npz"
    named = ["densenet121-imagenet", "--weights", str(weights)] if weights.is_file() else ["second"]
    words = named if weights.is_file() else [*named, "--weights", "random:1"]
    command = [sys.executable, "-m", "app.cli.application", "features", "add", *words, "--data", str(house.data)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return named[0]


@dataclass
class Course:
    """What happened during a backfill, in seconds of the run."""

    began: float = 0.0
    loaded: float = 0.0
    ended: float = 0.0
    kills: list[float] = field(default_factory=list)
    recovered: list[float] = field(default_factory=list)
    paused: tuple[float, float] = (0.0, 0.0)
    done_at_pause: int = 0
    done_after_pause: int = 0

    def undisturbed(self, one: Upload) -> bool:
        return not any(
            one.due < end and one.answered > start for start, end in zip(self.kills, self.recovered, strict=True)
        )


def run_backfill(house: House, name: str, live: LiveTraffic) -> Course:
    course = Course(began=house.now())
    with house.client() as client:

        def coverage() -> dict[str, int]:
            return dict(client.get(f"/v1/feature-sets/{name}").json()["coverage"])

        def share() -> float:
            found = coverage()
            return found["done"] / found["applicable"]

        client.post(f"/v1/feature-sets/{name}/backfill").raise_for_status()
        until(lambda: coverage()["done"] > 0, 1800, "the first vectors in B")
        course.loaded = house.now()
        for bound in KILL_AT:
            until(lambda bound=bound: share() >= bound, 1800, f"{bound:.0%} of the backfill")  # type: ignore[misc]
            kill(house, live, course)
        until(lambda: share() >= PAUSE_AT, 1800, f"{PAUSE_AT:.0%} of the backfill")
        pause(client, name, course, house, coverage)
        until(lambda: coverage()["pending"] == 0, 1800, "the end of the backfill")
        course.ended = house.now()
    return course


def kill(house: House, live: LiveTraffic, course: Course) -> None:
    """SIGKILL to the worker; it has recovered when an upload that was sent since is answered."""
    worker = house.worker()
    if worker is None:
        raise RuntimeError("there is no extraction worker to kill")
    worker.kill()
    at = house.now()
    until(lambda: any(one.due > at for one in live.between(at, house.now())), 600, "the worker's return")
    course.kills.append(at)
    course.recovered.append(house.now())


def pause(
    client: httpx.Client, name: str, course: Course, house: House, coverage: Callable[[], dict[str, int]]
) -> None:
    client.post(f"/v1/feature-sets/{name}/pause").raise_for_status()
    start = house.now()
    time.sleep(1.5)  # what was in hand is finished
    course.done_at_pause = coverage()["done"]
    time.sleep(PAUSE_SECONDS)
    course.done_after_pause = coverage()["done"]
    client.post(f"/v1/feature-sets/{name}/resume").raise_for_status()
    course.paused = (start, house.now())


def counted(house: House, name: str) -> dict[str, int]:
    """What the database holds in the end."""
    with opened(house.data) as store, transaction(store.sessions) as session:
        feature_set = feature_sets.named(session, name)
        coverage = backfill.coverage(session, feature_set)
        row = session.execute(
            text(
                """
                SELECT (SELECT count(*) FROM image) AS images,
                    (SELECT count(*) FROM embedding WHERE feature_set_id = :fs) AS vectors,
                    (SELECT count(DISTINCT region_id) FROM embedding WHERE feature_set_id = :fs) AS regions,
                    (SELECT count(*) FROM job WHERE feature_set_id = :fs AND kind = 'extract'
                        AND state = 'succeeded') AS succeeded,
                    (SELECT count(*) FROM job WHERE feature_set_id = :fs AND losses > 0) AS lost,
                    (SELECT count(*) FROM job WHERE feature_set_id = :fs AND state <> 'succeeded') AS unfinished
                """
            ),
            {"fs": feature_set.id},
        ).one()
    found = {**row._mapping, "failed": coverage.failed, "pending": coverage.pending}
    assert found["vectors"] == found["regions"] == found["images"], found
    assert found["pending"] == found["failed"] == found["unfinished"] == 0, found
    return found


def measure(images: int, per_second: float, calm_seconds: float, port: int, folder: Path) -> dict[str, Any]:
    archive, source = scans(images, "archive")
    uploads, _ = scans(500, "live")
    contents = [next(archive) for _ in range(images)]
    with running(folder / "data", port, SETTINGS) as house:
        fill(house, [next(uploads) for _ in range(FILES_PER_REQUEST)])  # warms the path up
        ingest = fill(house, contents)
        first = " and ".join(live_sets(house))
        with LiveTraffic(house, uploads, per_second) as live:
            time.sleep(2)
            calm = (house.now(), house.now() + calm_seconds)
            time.sleep(calm_seconds)
            name = add(house)
            course = run_backfill(house, name, live)
            after = house.now()
        until(lambda: counted_pending(house, name) == 0, 1800, "the last uploads in B")
        counts = counted(house, name)
    if live.trouble:
        raise RuntimeError(f"{len(live.trouble)} uploads failed, such as {live.trouble[0]}")
    quiet = live.between(*calm)
    filling = live.between(course.loaded, course.ended)
    busy = [one for one in filling if course.undisturbed(one) and not course.paused[0] <= one.due < course.paused[1]]
    disturbed = [one for one in live.between(course.began, after) if not course.undisturbed(one)]
    working = (
        course.ended
        - course.loaded
        - sum(b - a for a, b in [*zip(course.kills, course.recovered, strict=True), course.paused])
    )
    return {
        "source": source, "images": images, "first": first, "second": name, "ingest": ingest, "counts": counts,
        "quiet": _latencies(quiet), "busy": _latencies(busy), "disturbed": _latencies(disturbed),
        "loading": course.loaded - course.began, "seconds": course.ended - course.loaded,
        "away": [b - a for a, b in zip(course.kills, course.recovered, strict=True)],
        "paused": (course.done_at_pause, course.done_after_pause), "per_second": per_second,
        "rate": counts["images"] / working,
    }  # fmt: skip


def live_sets(house: House) -> list[str]:
    """What describes the films already."""
    with house.client() as client:
        sets = client.get("/v1/feature-sets").json()
    return [one["name"] for one in sets if one["stage"] == "live" and one["profile"] in (None, "chest")]


def counted_pending(house: House, name: str) -> int:
    with house.client() as client:
        return int(client.get(f"/v1/feature-sets/{name}").json()["coverage"]["pending"])


def _latencies(found: Sequence[Upload]) -> dict[str, float]:
    if not found:
        return {"n": 0}
    values = [one.milliseconds for one in found]
    p50, p95 = np.percentile(values, [50, 95])
    return {"n": len(values), "p50": float(p50), "p95": float(p95), "max": max(values)}


def table(found: dict[str, Any]) -> str:
    counts = found["counts"]

    def said(one: dict[str, float]) -> str:
        if not one["n"]:
            return "none measured"
        return f"p50 {one['p50']:.0f} ms, p95 {one['p95']:.0f} ms, worst {one['max']:.0f} ms ({one['n']} uploads)"

    at_pause, after_pause = found["paused"]
    rows = [
        ("machine", f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"),
        ("archive", f"{found['images']:,} {found['source']} in {found['first']}, {found['ingest']:.0f} images/s"),
        ("filled", f"{found['second']}, loaded and converted by the running worker in {found['loading']:.0f} s"),
        (f"live latency without it, {found['per_second']:g} uploads/s", said(found["quiet"])),
        ("live latency while it is filled", said(found["busy"])),
        ("live latency of uploads that met a killed worker", said(found["disturbed"])),
        ("backfill", f"{found['seconds']:.0f} s in all; {found['rate']:.0f} images/s while it ran, uploads beside it"),
        ("worker killed, seconds until uploads were answered", ", ".join(f"{s:.1f}" for s in found["away"])),
        ("paused for 5 s", f"{after_pause - at_pause} vectors came meanwhile"),
        ("vectors in the end", f"{counts['vectors']:,} of {counts['images']:,} images, {counts['regions']:,} regions"),
        ("lost with a killed worker and done again", f"{counts['lost']} jobs; failed: {counts['failed']}"),
        ("done twice", f"{counts['vectors'] - counts['regions']}"),
    ]  # fmt: skip
    return "\n".join(["| what | measured |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)])


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.backfill", description=__doc__)
    parser.add_argument("--images", type=int, default=5_000)
    parser.add_argument("--rate", type=float, default=2.0, help="live uploads a second")
    parser.add_argument("--calm", type=float, default=20.0, help="seconds of live uploads before the backfill")
    parser.add_argument("--port", type=int, default=8499)
    parser.add_argument("--cache", type=Path, help="folder of converted networks, used and kept; else each is made")
    parser.add_argument("--json", action="store_true", help="print JSON")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="penumbra-bench-") as folder:
        if given.cache:
            given.cache.mkdir(parents=True, exist_ok=True)
            (Path(folder) / "data").mkdir()
            (Path(folder) / "data" / "cache").symlink_to(given.cache.resolve(), target_is_directory=True)
        found = measure(given.images, given.rate, given.calm, given.port, Path(folder))
    print(json.dumps(found, indent=1) if given.json else table(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
