"""Is a promised recall kept? Heads trained on draws from a pool of scans' features, tested on all the others.

    python -m benchmarks.contract [DATASET.npz]

The file is one that `penumbra dataset export` wrote. Without one, the features are Gaussian: 200 + 200 dimensions, of
which eight tell the classes apart.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from app.heads.arrays import Float32, Ints
from app.heads.policy_words import ThresholdPolicy
from app.heads.recipe import HeadRecipe
from app.heads.scoring import Head
from app.heads.table import TrainingTable
from app.heads.trainers import train

CLASSES = ("empty", "loaded")


@dataclass(frozen=True)
class Draw:
    """What one head promised, and what came of it on rows that it never saw."""

    promise: str
    recall: float  # share of fresh positives not decided negative
    false_alarms: float  # share of fresh negatives decided positive


@dataclass(frozen=True)
class Pool:
    """Features `avg` and `max` float32 (n, dimensions), classes `y` (n,), subjects `groups` (n,) if they repeat."""

    avg: Float32
    max: Float32
    y: Ints
    groups: Ints | None = None

    def rows(self, index: Ints) -> "Pool":
        return Pool(
            self.avg[index], self.max[index], self.y[index], None if self.groups is None else self.groups[index]
        )

    @property
    def table(self) -> TrainingTable:
        groups = None if self.groups is None else self.groups.astype(str)
        return TrainingTable(
            task="contract", classes=CLASSES, positive="loaded", feature_set="0" * 64, feature_set_name="pool",
            avg=self.avg, max=self.max, y=self.y, groups=groups,
        )  # fmt: skip


def one_draw(learned: Pool, fresh: Pool, recipe: HeadRecipe) -> Draw:
    """Train a head on `learned` as any is trained, and let its artifact decide on `fresh`."""
    trained = train(learned.table, recipe)
    head = Head.load(trained.artifact)
    decided = np.array(head.decide(head.probabilities(fresh.avg, fresh.max)))
    positive = fresh.y == 1
    recall, false_alarms = (decided[positive] != "empty").mean(), (decided[~positive] == "loaded").mean()
    return Draw(trained.report["contract"]["sentence"], float(recall), float(false_alarms))


def draws(pool: Pool, recipe: HeadRecipe, *, rows: int, repetitions: int, seed: int = 0) -> Iterator[Draw]:
    """Yield `repetitions` draws of `rows` subjects (rows, where none are named) to learn from; the rest is fresh."""
    subjects = np.arange(len(pool.y)) if pool.groups is None else np.unique(pool.groups, return_inverse=True)[1]
    for number in range(repetitions):
        chosen = np.random.default_rng([seed, number]).permutation(int(subjects.max()) + 1)[:rows]
        learned = np.isin(subjects, chosen)
        yield one_draw(pool.rows(np.flatnonzero(learned)), pool.rows(np.flatnonzero(~learned)), recipe)


def gaussian(rows: int = 21_000, dimensions: int = 200, seed: int = 0) -> Pool:
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, rows)
    x = rng.normal(size=(rows, 2 * dimensions)).astype(np.float32)
    x[:, :8] += 0.8 * y[:, None].astype(np.float32)
    return Pool(x[:, :dimensions], x[:, dimensions:], y)


def from_file(path: Path) -> Pool:
    with np.load(path) as file:
        positive = json.loads(str(file["header"]))["positive"]
        y = (file["class_names"] == positive).astype(np.int64)
        return Pool(file["avg"], file["max"], y, file["subjects"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("features", type=Path, nargs="?", help="an exported dataset, .npz")
    parser.add_argument("--policy", default="recall>=0.95@0.95")
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--repetitions", type=int, default=100)
    given = parser.parse_args()
    pool = gaussian() if given.features is None else from_file(given.features)
    policy = ThresholdPolicy.parse(given.policy)
    recipe = HeadRecipe.single(params={"C": [1e-3]}, policy=policy)
    found = []
    for draw in draws(pool, recipe, rows=given.rows, repetitions=given.repetitions):
        found.append(draw)
        print(f"\r{len(found)} of {given.repetitions}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    recalls, alarms = np.array([d.recall for d in found]), np.array([d.false_alarms for d in found])
    target = policy.value or 0.0
    kept = int((alarms <= target).sum() if policy.kind == "false-alarms" else (recalls >= target).sum())
    print(f"{policy}: {found[0].promise}")
    print(f"held in {kept} of {len(found)} draws of {given.rows} from {len(pool.y)} rows")
    print(f"recall {recalls.mean():.4f} (least {recalls.min():.4f}), false alarms {alarms.mean():.4f}")


if __name__ == "__main__":
    main()
