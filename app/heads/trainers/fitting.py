"""From a table and a recipe to a checked artifact: search, calibrate, threshold, refit, convert, compare, report."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, assert_never

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from app.errors import Cancelled
from app.heads.arrays import Float32, Ints
from app.heads.artifact import HeadMetadata
from app.heads.recipe import Algorithm, HeadRecipe
from app.heads.table import TrainingTable
from app.heads.thresholds import choose_threshold
from app.heads.trainers.base import Fit, Rows, Run, Trainer
from app.heads.trainers.links import fit_link
from app.heads.trainers.logistic import LogisticTrainer
from app.heads.trainers.pipeline import Pipeline, convert
from app.heads.trainers.report import build_report, library_versions
from app.heads.trainers.scaling import Scaling
from app.heads.trainers.search import Progress, Searched, row_weights, search
from app.heads.trainers.svm import SvmTrainer


@dataclass(frozen=True)
class TrainedHead:
    """A candidate head: its artifact, what that says, and the evidence."""

    artifact: bytes
    metadata: HeadMetadata
    report: dict[str, Any]
    out_of_fold: Float32  # calibrated probabilities (n, classes), each row by models that never saw its subject
    fold_of: Ints  # (n,)

    @property
    def threshold(self) -> float:
        return self.metadata.threshold


def train(
    table: TrainingTable,
    recipe: HeadRecipe,
    *,
    on_progress: Progress | None = None,
    should_stop: Callable[[], bool] | None = None,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> TrainedHead:
    """Train a head on `table`, the same for the same seed, and prove that its artifact answers as the trainer does.

    Parameters, calibration and threshold come from out-of-fold scores, a subject never on two sides. `on_progress`
    hears (fits done, fits in all). Raises `NotTrainable` where rows or subjects are too few, `Cancelled` once
    `should_stop` says so, `HeadRefused` where the artifact differs from its trainer.
    """
    run = Run(recipe.seed, _checkpoint(should_stop))
    # One BLAS thread: a gradient is a pass over memory, and on a busy machine two threads waiting for each other
    # took 1.3 s where one took 0.01 s (960 x 2,048, 29 iterations, measured 2026-11). Sums repeat exactly, too.
    with threadpool_limits(limits=1, user_api="blas"):
        return _train(table, recipe, run, on_progress or (lambda *_: None), clock())


def _train(table: TrainingTable, recipe: HeadRecipe, run: Run, progress: Progress, now: datetime) -> TrainedHead:
    started = time.perf_counter()
    trainer = trainer_for(recipe.algorithm)
    searched = search(table, recipe, trainer, run, progress)
    search_seconds = time.perf_counter() - started
    link = fit_link(searched.scores, table.y, log_odds=trainer.log_odds)
    # float32 from here on: the threshold is chosen among numbers that scoring can give.
    out_of_fold = link(searched.scores).astype(np.float32)
    threshold = choose_threshold(recipe.policy, table.is_positive, out_of_fold[:, table.positive_index])
    metadata = _describe(table, recipe, searched, threshold, now)
    pipeline = Pipeline(*_fit_on_all(table, recipe, trainer, searched, run), link)
    artifact, parity = convert(pipeline, table, metadata, out_of_fold)
    seconds = {"search": search_seconds, "total": time.perf_counter() - started}
    report = build_report(table, recipe, metadata, searched, out_of_fold, parity, seconds)
    total = searched.fits + 1
    progress(total, total)
    return TrainedHead(artifact, metadata, report, out_of_fold, searched.fold_of)


def _fit_on_all(
    table: TrainingTable, recipe: HeadRecipe, trainer: Trainer, searched: Searched, run: Run
) -> tuple[Scaling, Fit]:
    x = table.features(recipe.pooling)
    scaling = Scaling.fit(x)
    rows = Rows(scaling(x), table.y, row_weights(table, recipe), table.group_codes, len(table.classes))
    fitted = trainer.fit(rows, searched.winner.params, run)
    run.checkpoint()
    return scaling, fitted


def _describe(
    table: TrainingTable, recipe: HeadRecipe, searched: Searched, threshold: float, now: datetime
) -> HeadMetadata:
    return HeadMetadata(
        task=table.task,
        classes=table.classes,
        positive=table.positive,
        threshold=threshold,
        policy=str(recipe.policy),
        pooling=recipe.pooling,
        avg_dimensions=table.avg.shape[1],
        max_dimensions=table.max.shape[1],
        feature_set=table.feature_set,
        feature_set_name=table.feature_set_name,
        algorithm=recipe.algorithm.value,
        params=dict(searched.winner.params),
        training_digest=table.digest,
        created_at=now,
        libraries=library_versions(recipe.algorithm),
    )


def _checkpoint(should_stop: Callable[[], bool] | None) -> Callable[[], None]:
    def check() -> None:
        if should_stop is not None and should_stop():
            raise Cancelled("The training was cancelled; nothing was registered")

    return check


def trainer_for(algorithm: Algorithm) -> Trainer:
    match algorithm:
        case Algorithm.LOGISTIC_REGRESSION:
            return LogisticTrainer()
        case Algorithm.RBF_SVM:
            return SvmTrainer()
        case Algorithm.KERAS_NETWORK:
            # Loads TensorFlow, which the other algorithms must not pay for.
            from app.heads.trainers.network import NetworkTrainer  # noqa: PLC0415

            return NetworkTrainer()
        case _:
            assert_never(algorithm)
