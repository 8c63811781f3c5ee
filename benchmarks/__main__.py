"""`make bench`: what the service costs over the bare engine, measured in one run.

The machine's speed drifts, so what is compared is measured in turn: the engine before and after
the service, and the median of the two is what the service is held against.
"""

import argparse
import json
import os
import platform
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks import engine, service
from benchmarks.films import films

CORPUS = Path(__file__).resolve().parents[1] / "../shared/corpus/chest/train"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--films", type=Path, default=CORPUS, help="folder of JPEG films; simulated scans without it")
    parser.add_argument("--count", type=int, default=1000, help="how many to ingest")
    parser.add_argument("--json", action="store_true", help="print JSON")
    given = parser.parse_args()
    contents = films(given.films, given.count)
    source = str(given.films.name) if given.films.is_dir() else "simulated scans"
    with tempfile.TemporaryDirectory(prefix="penumbra-bench-") as folder:
        cache = Path(folder) / "data" / "cache"
        before = engine.measure(contents, cache)
        served = service.measure(contents, Path(folder) / "data")
        after = engine.measure(contents, cache)
    rows = _rows(before, served, after, source, len(contents))
    if given.json:
        json.dump({"when": datetime.now(UTC).isoformat(), "rows": rows}, sys.stdout, indent=1)
        print()
    else:
        _print(rows)
    return 0


def _rows(
    before: engine.Figures, served: service.Figures, after: engine.Figures, source: str, count: int
) -> list[tuple[str, str]]:
    forward = (before.engine_per_second + after.engine_per_second) / 2
    predict = (before.keras_per_second + after.keras_per_second) / 2
    return [
        ("machine", f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"),
        ("images", f"{count} of {source}"),
        ("engine", before.engine),
        ("bare forward pass, batch 32", f"{forward:.1f} images/s ({before.engine_per_second:.1f} before, "
                                        f"{after.engine_per_second:.1f} after)"),
        ("Keras predict, batch 32", f"{predict:.1f} images/s"),
        ("engine / Keras predict", f"{forward / predict:.2f}"),
        ("HTTP upload to committed vectors and predictions", f"{served.ingest_per_second:.1f} images/s"),
        ("ingest / bare forward pass", f"{served.ingest_per_second / forward:.2f}"),
        ("one upload, Prefer: wait", f"p50 {served.upload_ms[0]:.0f} ms, p99 {served.upload_ms[1]:.0f} ms"),
        ("predict a stored image, 1 client", served.one_client),
        ("predict a stored image, 4 clients", served.four_clients),
        ("memory of the API after it (RSS)", f"{served.api_mib:.0f} MiB"),
        ("memory of the worker after it (RSS)", f"{served.worker_mib:.0f} MiB"),
    ]  # fmt: skip


def _print(rows: list[tuple[str, str]]) -> None:
    table = Table("what", "measured", title=f"Penumbra, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC", title_justify="left")
    for row in rows:
        table.add_row(*row)
    Console(width=110).print(table)


if __name__ == "__main__":
    sys.exit(main())
