"""`python -m benchmarks.explanations`: does a scan's hottest region matter more to the head than any other of its size?

On simulated scans, whose cargo is known and can be taken out: every window of three by three cells is replaced, in the
image, by the same scan's empty container, and the network runs again. Prints Markdown, or JSON.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.features.engines import build_extractor
from app.features.spec import Extractor, Features
from app.heads.algorithms import Algorithm
from app.heads.arrays import FeatureRows
from app.heads.explanation import WINDOW, Explanation, Shares, hottest_window
from app.heads.explanation_graph import ExplainedHead
from app.heads.pooling import Pooling
from app.heads.recipe import HeadRecipe
from app.heads.table import TrainingTable
from app.heads.trainers import train
from app.imaging.resize import prepare
from app.simulator import Truth, simulate, simulate_emptied

Floats = NDArray[np.floating]
PARAMS: Mapping[Algorithm, Mapping[str, Any]] = {
    Algorithm.LOGISTIC_REGRESSION: {"C": 0.01},
    Algorithm.RBF_SVM: {"C": 10.0, "gamma": 0.3},
    Algorithm.RANDOM_FOREST: {"trees": 150},
}
TRAINED_ON, PROBED = 501, 502  # seeds


@dataclass(frozen=True)
class Probe:
    """A loaded scan: its map (h, w, c), the features of it with each window emptied, and what is cargo.

    `cargo` (h, w) says of each cell whether its middle lies in a cargo box; `on_cargo` (windows,) whether most of a
    window's cells do. Windows go by rows.
    """

    map: Floats
    masked: Features
    cargo: NDArray[np.bool_]
    on_cargo: NDArray[np.bool_]


def prepared(pixels: NDArray[np.uint8], extractor: Extractor) -> NDArray[np.float32]:
    return prepare(pixels.astype(np.float32) / np.float32(255), extractor.spec.preprocessing)


def probe(rng: np.random.Generator, extractor: Extractor) -> Probe:
    """One loaded scan, with each of its windows emptied in turn."""
    scan, emptied = simulate_emptied(rng, scanner="port")
    map_ = extractor.feature_map(prepared(scan.pixels, extractor)[None])[0]
    rows, columns = map_.shape[:2]
    cargo = cargo_cells(scan.truth, scan.pixels.shape, (rows, columns))
    masked, on_cargo = [], []
    for row, column in windows(rows, columns):
        masked.append(prepared(without(scan.pixels, emptied, (row, column), (rows, columns)), extractor))
        on_cargo.append(cargo[row : row + WINDOW, column : column + WINDOW].mean() >= 0.5)
    return Probe(map_, extractor.extract(np.stack(masked)), cargo, np.array(on_cargo))


def windows(rows: int, columns: int) -> Iterator[tuple[int, int]]:
    """First row and column of each window, in the order of `Probe.masked`."""
    return ((row, column) for row in range(rows - WINDOW + 1) for column in range(columns - WINDOW + 1))


def without(
    pixels: NDArray[np.uint8], emptied: NDArray[np.uint8], first: tuple[int, int], cells: tuple[int, int]
) -> NDArray[np.uint8]:
    """The scan with the window that begins at cell `first` of `cells` as if nothing stood there."""
    made = pixels.copy()
    place = tuple(
        slice(round(at * size / count), round((at + WINDOW) * size / count))
        for at, size, count in zip(first, pixels.shape, cells, strict=True)
    )
    made[place] = emptied[place]
    return made


def cargo_cells(truth: Truth, shape: tuple[int, ...], cells: tuple[int, int]) -> NDArray[np.bool_]:
    """Which cells have their middle in a cargo box: (rows, columns)."""
    y, x = ((np.arange(count) + 0.5) * size / count for count, size in zip(cells, shape, strict=True))
    found = np.zeros(cells, bool)
    for box in truth.boxes:
        found |= ((y >= box.y) & (y < box.y + box.h))[:, None] & ((x >= box.x) & (x < box.x + box.w))
    return found


def table_of(extractor: Extractor, count: int) -> TrainingTable:
    """Vectors of `count` simulated scans, half of them loaded."""
    found: list[Features] = []
    y = np.arange(count) % 2
    for start in range(0, count, 64):
        some = [
            prepared(
                simulate(np.random.default_rng([TRAINED_ON, i]), loaded=bool(y[i]), scanner="port").pixels, extractor
            )
            for i in range(start, min(start + 64, count))
        ]
        found.append(extractor.extract(np.stack(some)))
    return TrainingTable(
        task="empty-container", classes=("empty", "loaded"), positive="loaded", feature_set=extractor.spec.digest,
        feature_set_name=extractor.spec.name, avg=np.concatenate([one.avg for one in found]),
        max=np.concatenate([one.max for one in found]), y=y,
    )  # fmt: skip


def judged(head: ExplainedHead, probes: list[Probe]) -> dict[str, Any]:
    """What the explanations of a head are worth, over all probes."""
    rows: list[dict[str, Any]] = []
    methods: set[str] = set()
    started = time.perf_counter()
    explained = [head.explain(one.map) for one in probes]
    seconds = time.perf_counter() - started
    for one, found in zip(probes, explained, strict=True):
        methods.add(found.method.value)
        rows.append(compared(one, found, head))
    figures = {name: float(np.nanmean([row[name] for row in rows])) for name in rows[0]}
    return {"method": ", ".join(sorted(methods)), **figures, "ms": 1000 * seconds / len(probes)}


def compared(one: Probe, found: Explanation, head: ExplainedHead) -> dict[str, float]:
    """How far the log-odds fall without the hottest window, and without the others; which cells are hot."""
    fall = head.log_odds(Shares.of(one.map).pooled) - head.log_odds(FeatureRows(one.masked.avg, one.masked.max))
    row, column, _, _ = hottest_window(found.heat)
    hottest = row * (found.heat.shape[1] - WINDOW + 1) + column
    others = np.delete(fall, hottest)
    on_cargo = np.delete(fall, hottest)[np.delete(one.on_cargo, hottest)]
    return {
        "falls": float(fall[hottest] > 0),
        "beats": float(np.mean(fall[hottest] > others) + 0.5 * np.mean(fall[hottest] == others)),
        "above_mean": float(fall[hottest] > others.mean()),
        "above_cargo_mean": float(fall[hottest] > on_cargo.mean()) if len(on_cargo) else np.nan,
        "change_hottest": -float(fall[hottest]),
        "change_other": -float(others.mean()),
        "change_cargo": -float(on_cargo.mean()) if len(on_cargo) else np.nan,
        "hot_in_cargo": float(one.cargo[found.hottest]),
        "chance": float(one.cargo.mean()),
    }


def measure(extractor: Extractor, *, scans: int, trained_on: int) -> dict[str, Any]:
    table = table_of(extractor, trained_on)
    probes = [probe(np.random.default_rng([PROBED, number]), extractor) for number in range(scans)]
    rows = []
    for algorithm, params in PARAMS.items():
        for pooling in Pooling:
            trained = train(table, HeadRecipe.single(algorithm, pooling=pooling, params=params, folds=3))
            figures = judged(ExplainedHead(trained.artifact), probes)
            rows.append({"algorithm": algorithm.value, "pooling": pooling.value, **figures})
            print(f"{algorithm} on {pooling}: done", file=sys.stderr)
    return {"engine": extractor.engine, "scans": scans, "trained_on": trained_on, "rows": rows}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.explanations", description=__doc__)
    parser.add_argument("--scans", type=int, default=200, help="loaded scans to explain and to mask")
    parser.add_argument("--trained-on", type=int, default=1500, help="scans that the heads learn from")
    parser.add_argument("--cache", type=Path, help="folder of converted graphs; a temporary one without it")
    parser.add_argument("--json", action="store_true", help="print JSON")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="penumbra-bench-") as folder:
        extractor = build_extractor(
            "densenet121-xray", weights=None, engine="auto", precision="auto", cache_dir=given.cache or Path(folder)
        )
        found = measure(extractor, scans=given.scans, trained_on=given.trained_on)
    if given.json:
        json.dump(found, sys.stdout, indent=1)
        print()
    else:
        _print(found)
    return 0


HEADINGS = (
    "head", "method", "falls", "more than another", "more than their mean", "more than their mean on cargo",
    "log-odds, hottest", "another", "on cargo", "hottest cell in cargo", "chance", "ms",
)  # fmt: skip


def _print(found: dict[str, Any]) -> None:
    print(f"{found['scans']} loaded scans, {found['engine']}, heads trained on {found['trained_on']} others\n")
    print("| " + " | ".join(HEADINGS) + " |")
    print("|---" * len(HEADINGS) + "|")
    for row in found["rows"]:
        shares = [f"{100 * row[name]:.0f} %" for name in ("falls", "beats", "above_mean", "above_cargo_mean")]
        changes = [f"{row[name]:+.2f}" for name in ("change_hottest", "change_other", "change_cargo")]
        places = [f"{100 * row[name]:.0f} %" for name in ("hot_in_cargo", "chance")]
        head = f"{row['algorithm']}, {row['pooling']}"
        print("| " + " | ".join([head, row["method"], *shares, *changes, *places, f"{row['ms']:.1f}"]) + " |")


if __name__ == "__main__":
    sys.exit(main())
