"""`python -m benchmarks.matrix`: loading the training matrix from Postgres, against a copy of it in memory.

Each way is measured in turn, several times, and the median counts. `--data DIR` keeps the simulated rows.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from sqlalchemy import text

from app import vectors
from app.cli.store import Store
from app.db import transaction
from benchmarks import archive

ROWS = 20_800


def measure(store: Store, rows: int, repeats: int) -> dict[str, Any]:
    feature_set = store.feature_set(archive.FEATURE_SET)
    with transaction(store.sessions) as session:
        ids = session.scalars(text("SELECT id FROM region ORDER BY id LIMIT :n"), {"n": rows}).all()
        matrix = vectors.copy_out(session, feature_set, ids)

        def load() -> object:
            return vectors.copy_out(session, feature_set, ids)

        def copy() -> object:
            return np.copy(matrix.avg), np.copy(matrix.max)

        def fetch() -> object:
            """What a client gets who knows neither COPY nor the binary form; a tenth of the rows."""
            statement = text(
                f"SELECT avg::text, max::text FROM {vectors.partition(feature_set.id)} "
                "WHERE region_id = ANY (:ids) AND augmentation = 0"
            )
            found = session.execute(statement, {"ids": ids[: rows // 10]})
            return [[np.fromstring(value[1:-1], np.float32, sep=",") for value in row] for row in found]

        seconds = _medians({"load": load, "copy": copy}, repeats)
        text_seconds = _medians({"text": fetch}, 1)["text"]
    return {
        "rows": len(matrix),
        "bytes": matrix.avg.nbytes + matrix.max.nbytes,
        "seconds": seconds["load"],
        "rows_per_second": len(matrix) / seconds["load"],
        "gigabytes_per_second": (matrix.avg.nbytes + matrix.max.nbytes) / seconds["load"] / 1e9,
        "copy_seconds": seconds["copy"],
        "ratio_to_copy": seconds["load"] / seconds["copy"],
        "text_rows_per_second": rows // 10 / text_seconds,
    }


def _medians(ways: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Seconds of each way, taken in turn so that none has the machine's better minutes."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, way in ways.items():
            started = time.perf_counter()
            way()
            taken[name].append(time.perf_counter() - started)
    return {name: statistics.median(values) for name, values in taken.items()}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.matrix", description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--data", type=Path, help="folder of a store to fill and use again; a temporary one without it")
    parser.add_argument("--json", action="store_true", help="print JSON")
    given = parser.parse_args()
    with archive.opened(given.data, given.rows) as store:
        found = measure(store, given.rows, given.repeats)
    if given.json:
        json.dump(found, sys.stdout, indent=1)
        print()
        return 0
    table = Table("what", "measured", title="The training matrix, 2 x 1,024 dimensions", title_justify="left")
    for name, words in {
        "matrix": f"{found['rows']} rows, {found['bytes'] / 2**20:.0f} MiB",
        "load from Postgres": f"{found['seconds']:.3f} s, {found['rows_per_second']:,.0f} rows/s, "
                              f"{found['gigabytes_per_second']:.2f} GB/s",
        "copy in memory": f"{found['copy_seconds']:.3f} s",
        "load / copy": f"{found['ratio_to_copy']:.1f}",
        "text through the driver": f"{found['text_rows_per_second']:,.0f} rows/s",
    }.items():  # fmt: skip
        table.add_row(name, words)
    Console(width=110).print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
