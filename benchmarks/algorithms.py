"""What each algorithm costs: one fit with its defaults, the artifact, its parity and its scoring. Prints Markdown.

The rows are drawn: 5,000 of 1,700 subjects, 1,024 averages and 1,024 maxima, neither negative, moved by 64 causes that
they share, as the activations of a network are. Seconds are of the processor, not of the clock on the wall, so that
other work on the machine does not count; Keras's are summed over its threads.
"""

import argparse
import time
from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from app.heads.algorithms import PARAMS, Algorithm, Params, Space
from app.heads.artifact import HeadMetadata
from app.heads.metrics import roc_auc
from app.heads.pooling import Pooling
from app.heads.scoring import Head
from app.heads.table import TrainingTable
from app.heads.trainers.base import Rows, Run
from app.heads.trainers.pipeline import SinglePipeline, convert
from app.heads.trainers.registry import trainer_for
from app.heads.trainers.scaling import Scaling
from app.heads.trainers.sigmoid import Platt, Softmax

CAUSES = 64
HEADINGS = (
    "algorithm",
    "parameters (default)",
    "fit, CPU s",
    "AUC",
    "artifact, MiB",
    "scoring, CPU us a row",
    "parity",
)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.algorithms", description=__doc__)
    parser.add_argument("--rows", type=int, default=5000)
    parser.add_argument("--only", nargs="*", type=Algorithm, default=list(Algorithm))
    given = parser.parse_args()
    table, fresh = drawn(given.rows, seed=1), drawn(1000, seed=2)
    print("| " + " | ".join(HEADINGS) + " |")
    print("|---" * len(HEADINGS) + "|")
    for algorithm in given.only:
        print("| " + " | ".join(measure(algorithm, table, fresh)) + " |", flush=True)
    return 0


def drawn(count: int, *, seed: int) -> TrainingTable:
    """Return `count` rows of one made-up world, three a subject; another seed draws other subjects."""
    world, rng = np.random.default_rng(0), np.random.default_rng(seed)
    loading, gain = world.normal(size=(CAUSES, 2048)), world.lognormal(0.0, 1.0, 2048)
    owner = np.arange(count) // 3
    causes = 0.7 * rng.normal(size=(owner.max() + 1, CAUSES))[owner] + 0.7 * rng.normal(size=(count, CAUSES))
    strength = causes[:, :8].sum(axis=1) + 3.0 * np.tanh(causes[:, 8] * causes[:, 9])
    y = (rng.normal(size=owner.max() + 1)[owner] + strength > 1.0).astype(np.int64)
    x = np.maximum((causes @ loading) / 8 + rng.normal(size=(count, 2048)), 0.0) * gain
    avg, max_ = np.split(x.astype(np.float32), 2, axis=1)
    return TrainingTable(
        task="empty-container",
        classes=("empty", "loaded"),
        positive="loaded",
        feature_set="0" * 64,
        feature_set_name="drawn",
        avg=avg,
        max=max_,
        y=y,
        groups=owner,
    )


def measure(algorithm: Algorithm, table: TrainingTable, fresh: TrainingTable) -> Sequence[str]:
    trainer, params = trainer_for(algorithm), Space(algorithm).grid()[0].params
    x = table.features(Pooling.BOTH)
    scaling = Scaling.fit(x)
    rows = Rows(scaling(x), table.y, np.ones(len(x)), table.group_codes, 2)
    started = time.process_time()
    with threadpool_limits(limits=1, user_api="blas"):
        fitted = trainer.fit(rows, params, Run(0, lambda: None))
        seconds = time.process_time() - started
        scores = fitted.scores(scaling(fresh.features(Pooling.BOTH)))
        link = Softmax() if trainer.log_odds else Platt.fit(scores, fresh.y)
        pipeline = SinglePipeline(Pooling.BOTH, scaling, fitted, link)
        answers = pipeline.probabilities(table.avg, table.max).astype(np.float32)
        artifact, parity = convert(pipeline, table, _metadata(algorithm, params, table), answers)
    auc = roc_auc(fresh.is_positive, scores[:, 1] - scores[:, 0])
    figures = f"{seconds:.1f}", f"{auc:.3f}", f"{len(artifact) / 2**20:.2f}", f"{_scoring(artifact, fresh):.0f}"
    return algorithm.value, described(algorithm), *figures, f"{parity.max_difference:.1g}"


def described(algorithm: Algorithm) -> str:
    """Return the parameters with their defaults; of a grid, the first value is measured."""
    return ", ".join(f"`{name}` {', '.join(map(str, param.default))}" for name, param in PARAMS[algorithm].items())


def _scoring(artifact: bytes, fresh: TrainingTable) -> float:
    """Return microseconds a row, one thread, the best of three passes."""
    head, best = Head.load(artifact), np.inf
    for _ in range(3):
        started = time.process_time()
        head.probabilities(fresh.avg, fresh.max)
        best = min(best, time.process_time() - started)
    return float(best / len(fresh.y) * 1e6)


def _metadata(algorithm: Algorithm, params: Params, table: TrainingTable) -> HeadMetadata:
    return HeadMetadata(
        task=table.task,
        classes=table.classes,
        positive=table.positive,
        threshold=0.5,
        policy="fixed=0.5",
        pooling=Pooling.BOTH,
        avg_dimensions=table.avg.shape[1],
        max_dimensions=table.max.shape[1],
        feature_set=table.feature_set,
        feature_set_name=table.feature_set_name,
        algorithm=algorithm.value,
        params=dict(params),
        training_digest=table.digest,
        created_at=datetime.now(UTC),
        libraries={},
    )


if __name__ == "__main__":
    raise SystemExit(main())
