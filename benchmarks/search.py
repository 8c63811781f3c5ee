"""`python -m benchmarks.search`: the lab's search against scikit-learn's GridSearchCV, on the same grid and folds.

Both sides scale within the fold, fit L2 logistic regressions of log-spaced C, and judge by the AUC of the rows held
out; the features are float32 and made up as `vectors` says. The lab's side is the whole of `search`, folds included.
"""

import argparse
import json
import os
import platform
import sys
import threading
import time
import warnings
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from app.heads.recipe import Algorithm, HeadRecipe
from app.heads.table import TrainingTable
from app.heads.trainers.base import Run
from app.heads.trainers.folds import Fold
from app.heads.trainers.search import search

MAX_ITER = 500
FILMS = 4  # of one subject
Features = NDArray[np.float32]


@dataclass(frozen=True)
class Side:
    """One side's figures: AUC of each C (mean over the folds), and what it took."""

    name: str
    seconds: float
    cpu_seconds: float  # of all processes: less moved by what else the machine does
    peak_mib: float  # above what stood before, all processes
    aucs: tuple[float, ...]
    unfinished: int | None  # fits that scikit-learn stopped at max_iter


def vectors(rows: int, dimensions: int, seed: int = 0) -> tuple[Features, NDArray[np.int64]]:
    """Return rectified features like a backbone's, and the classes of two kinds of scan.

    128 latent factors with the spectrum of a power law (the k-th deviates by k^-0.6) are mixed at random, a fifth
    of noise is added, each channel is cut off at 0 with a third of its values asleep, and has a scale of its own.
    The class is drawn by the log-odds of a direction among the factors. Standardised, DenseNet121's features of chest
    films have the covariance eigenvalues 220, 135, 54, 12 and 1.2 (first, second, sixth, 21st, 101st); these have 346,
    173, 56, 14 and 2.4.
    """
    rng = np.random.default_rng(seed)
    deviations = np.arange(1.0, 129.0) ** -0.6
    factors = rng.standard_normal((rows, 128), dtype=np.float32)
    mixing = rng.standard_normal((128, dimensions)) * deviations[:, None]
    x = factors @ (mixing / np.linalg.norm(mixing, axis=0)).astype(np.float32)
    x += 0.2 * rng.standard_normal(x.shape, dtype=np.float32)
    x -= rng.uniform(-1.5, 0.5, dimensions).astype(np.float32)
    np.maximum(x, 0, out=x)
    x *= rng.lognormal(-1, 1, dimensions).astype(np.float32)
    direction = rng.standard_normal(128) * deviations
    odds = 10 * factors @ (direction / np.linalg.norm(direction))
    return x, (rng.random(rows) < 1 / (1 + np.exp(-odds))).astype(np.int64)


def lab(x: Features, y: NDArray[np.int64], strengths: list[float], folds: int) -> tuple[Side, tuple[Fold, ...]]:
    """Search as `train` does: one BLAS thread in each of two folds at a time."""
    half = x.shape[1] // 2
    table = TrainingTable(
        task="benchmark",
        classes=("empty", "loaded"),
        positive="loaded",
        feature_set="0" * 64,
        feature_set_name="synthetic",
        avg=x[:, :half],
        max=x[:, half:],
        y=y,
        groups=np.arange(len(y)) // FILMS,
    )
    params = {"C": strengths, "max_iter": MAX_ITER}
    recipe = HeadRecipe.single(Algorithm.LOGISTIC_REGRESSION, params=params, folds=folds)
    with Watch() as watch, threadpool_limits(limits=1, user_api="blas"):
        found = search(table, recipe, Run(0, lambda: None), lambda *_: None)
    aucs = {float(one.candidate.params["C"]): one.auc for one in found.tried}
    return watch.side("Penumbra", tuple(aucs[c] for c in strengths)), found.folds


def grid_search(x: Features, y: NDArray[np.int64], strengths: list[float], folds: tuple[Fold, ...]) -> Side:
    """Let scikit-learn search, a process a core; what both sides do not need (refit) is left out."""
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(max_iter=MAX_ITER))
    searching = GridSearchCV(
        pipeline,
        {"logisticregression__C": strengths},
        scoring={"auc": "roc_auc", "steps": _steps},
        cv=[(fold.train, fold.validation) for fold in folds],
        n_jobs=os.cpu_count(),
        refit=False,
    )
    with Watch() as watch, warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        found = searching.fit(x, y).cv_results_
    steps = np.array([found[f"split{number}_test_steps"] for number in range(len(folds))])
    aucs = tuple(float(auc) for auc in found["mean_test_auc"])
    return watch.side("scikit-learn GridSearchCV", aucs, int((steps >= MAX_ITER).sum()))


def _steps(model: Any, _x: Features, _y: NDArray[np.int64]) -> int:
    return int(model[-1].n_iter_[0])


class Watch:
    """Time, processor time and highest memory of this process and its children while the block runs."""

    def __enter__(self) -> "Watch":
        self._cpu, self._before = _used()
        self._highest, self._over = self._before, threading.Event()
        self._watcher = threading.Thread(target=self._look, daemon=True)
        self._watcher.start()
        self._started = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.perf_counter() - self._started
        self.cpu_seconds = _used()[0] - self._cpu
        self._over.set()
        self._watcher.join()

    def side(self, name: str, aucs: tuple[float, ...], unfinished: int | None = None) -> Side:
        return Side(name, self.seconds, self.cpu_seconds, (self._highest - self._before) / 2**20, aucs, unfinished)

    def _look(self) -> None:
        while not self._over.wait(0.5):
            self._highest = max(self._highest, _used()[1])


def _used() -> tuple[float, int]:
    """Return processor seconds and bytes; pages that processes share count once where the system tells."""
    seconds, total, own = 0.0, 0, psutil.Process()
    for process in (own, *own.children(recursive=True)):
        try:
            told, times = process.memory_full_info(), process.cpu_times()
        except psutil.Error:
            continue  # it has just ended
        total += getattr(told, "pss", told.rss)
        seconds += times.user + times.system
    return seconds, total


def rows_of(ours: Side, theirs: Side, given: argparse.Namespace, load: float) -> list[tuple[str, str]]:
    best, other = max(ours.aucs), max(theirs.aucs)
    apart = max(abs(a - b) for a, b in zip(ours.aucs, theirs.aucs, strict=True))
    return [
        ("machine", f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"),
        ("load before", f"{load:.1f}"),
        ("search", f"{given.configs} values of C from 1e-6 to 10, {given.folds} folds, {given.rows} x {given.dims}"),
        *(
            (
                side.name,
                f"{side.seconds:.1f} s ({side.cpu_seconds:.0f} s of processor), {side.peak_mib:.0f} MiB more memory",
            )
            for side in (ours, theirs)
        ),
        ("ratio", f"{theirs.seconds / ours.seconds:.1f} ({theirs.cpu_seconds / ours.cpu_seconds:.1f} of processor)"),
        ("best AUC", f"{best:.5f} and {other:.5f}, difference {best - other:+.5f}"),
        ("largest difference at one C", f"{apart:.5f}"),
        ("scikit-learn's fits stopped at max_iter", f"{theirs.unfinished} of {given.configs * given.folds}"),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.search", description=__doc__)
    parser.add_argument("--rows", type=int, default=20_800)
    parser.add_argument("--dims", type=int, default=2048)
    parser.add_argument("--configs", type=int, default=60)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="print JSON")
    given = parser.parse_args()
    load = os.getloadavg()[0]
    x, y = vectors(given.rows, given.dims)
    strengths = [float(c) for c in np.logspace(-6, 1, given.configs)]
    ours, folds = lab(x, y, strengths, given.folds)
    theirs = grid_search(x, y, strengths, folds)
    rows = rows_of(ours, theirs, given, load)
    if given.json:
        sides = {side.name: side.__dict__ for side in (ours, theirs)}
        json.dump({"when": datetime.now(UTC).isoformat(), "rows": rows, "sides": sides}, sys.stdout, indent=1)
        print()
        return 0
    table = Table("what", "measured", title=f"Search, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC", title_justify="left")
    for row in rows:
        table.add_row(*row)
    Console(width=110).print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
