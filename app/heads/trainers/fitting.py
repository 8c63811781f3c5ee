"""From a table and a recipe to a checked artifact: search, join, calibrate, judge, refit, convert, compare, report."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from app.errors import Cancelled
from app.heads.arrays import Float32, Float64, Ints
from app.heads.artifact import HeadMetadata
from app.heads.evidence import Evidence
from app.heads.familiarity import Familiarity
from app.heads.policies import Judgement, judge
from app.heads.pooling import Pooling
from app.heads.recipe import HeadRecipe
from app.heads.table import TrainingTable
from app.heads.trainers.base import Run
from app.heads.trainers.ensemble import Joint, fit_joint, log_probabilities
from app.heads.trainers.evaluation import TrialLog
from app.heads.trainers.fold_rows import refit_rows, row_weights
from app.heads.trainers.learning_curve import learning_curve
from app.heads.trainers.links import Calibrated, Link, fit_link
from app.heads.trainers.pipeline import Ensemble, Pipeline, SinglePipeline, convert
from app.heads.trainers.report import build_report, library_versions
from app.heads.trainers.search import Progress, Searched, Winner, search


@dataclass(frozen=True)
class TrainedHead:
    """A candidate head: its artifact, what that says, and the evidence.

    `evidence` holds the out-of-fold answers through the head's own link, among which its threshold was chosen.
    """

    artifact: bytes
    metadata: HeadMetadata
    report: dict[str, Any]
    evidence: Evidence

    @property
    def threshold(self) -> float:
        return self.metadata.threshold

    @property
    def out_of_fold(self) -> Float32:
        return self.evidence.probabilities

    @property
    def fold_of(self) -> Ints:
        return self.evidence.fold_of


def train(
    table: TrainingTable,
    recipe: HeadRecipe,
    *,
    on_progress: Progress | None = None,
    should_stop: Callable[[], bool] | None = None,
    log: TrialLog | None = None,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> TrainedHead:
    """Train a head on `table`, the same for the same seed, and prove that its artifact answers as the trainer does.

    Parameters, calibration and threshold come from out-of-fold scores, a subject never on two sides. `on_progress`
    hears (fits done, fits in all); `log` keeps results, so that a training that was killed goes on where it was.
    Raises `NotTrainable` where rows or subjects are too few, `Cancelled` once `should_stop` says so, `HeadRefused`
    where the artifact differs from its trainer.
    """
    run = Run(recipe.seed, _checkpoint(should_stop))
    # One BLAS thread: a gradient is a pass over memory, and on a busy machine two threads waiting for each other
    # took 1.3 s where one took 0.01 s (960 x 2,048, 29 iterations, measured 2026-11). Sums repeat exactly, too.
    with threadpool_limits(limits=1, user_api="blas"):
        return _train(table, recipe, run, on_progress or (lambda *_: None), log, clock())


def _train(
    table: TrainingTable, recipe: HeadRecipe, run: Run, progress: Progress, log: TrialLog | None, now: datetime
) -> TrainedHead:
    started = time.perf_counter()
    searched = search(table, recipe, run, progress, log)
    seconds = {"search": time.perf_counter() - started}
    answers = _answers(table, recipe, searched)
    # float32 from here on: the threshold is chosen among numbers that scoring can give.
    final = answers.calibrated.final.astype(np.float32)
    judgement = judge(
        recipe.policy, recipe.abstain, table.is_positive, final[:, table.positive_index],
        groups=table.group_codes, prevalence=recipe.prevalence, classes=table.classes, positive_class=table.positive,
    )  # fmt: skip
    metadata = _describe(table, recipe, searched, judgement, now)
    pipeline = _fit_on_all(table, recipe, searched, answers, run)
    seconds["fit"] = time.perf_counter() - started - seconds["search"]
    familiarity = Familiarity.fit(table.avg, table.group_codes, seed=recipe.seed)
    artifact, parity = convert(pipeline, table, metadata, final, familiarity)
    evidence = _evidence(table, searched, final)
    curve = learning_curve(table, recipe, searched, run)
    seconds["total"] = time.perf_counter() - started
    report = build_report(
        table, recipe, metadata, searched, evidence, parity, seconds,
        calibrated=answers.calibrated, contract=judgement.contract, learning_curve=curve, joint=answers.joint,
    )  # fmt: skip
    progress(searched.fits + 1, searched.fits + 1)
    return TrainedHead(artifact, metadata, report, evidence)


@dataclass(frozen=True)
class _Answers:
    """The out-of-fold answers of the head: each member's own link, how they are joined, and the link of it all."""

    links: tuple[Link, ...]  # of the members of an ensemble
    joint: Joint | None
    calibrated: Calibrated


def _answers(table: TrainingTable, recipe: HeadRecipe, searched: Searched) -> _Answers:
    """Calibrate the winner, or calibrate and join an ensemble's members; nothing is judged by what it was fitted on."""

    def calibrated(scores: Float64, calibration: str, prevalence: float | None, *, log_odds: bool) -> Calibrated:
        return fit_link(
            scores, table.y, searched.fold_of, log_odds=log_odds, calibration=calibration,
            prevalence=prevalence, positive_index=table.positive_index,
        )  # fmt: skip

    if recipe.ensemble is None:
        winner = searched.winners[0]
        link = calibrated(winner.scores, recipe.calibration, recipe.prevalence, log_odds=winner.trainer.log_odds)
        return _Answers((), None, link)
    members = [
        calibrated(w.scores, "none" if w.trainer.log_odds else "platt", None, log_odds=w.trainer.log_odds)
        for w in searched.winners
    ]
    answers = np.stack([log_probabilities(member.out_of_fold) for member in members])
    joint, scores = fit_joint(recipe.ensemble, answers, table.y, searched.fold_of, weight=row_weights(table, recipe))
    final = calibrated(scores, recipe.calibration, recipe.prevalence, log_odds=True)
    return _Answers(tuple(member.link for member in members), joint, final)


def _fit_on_all(table: TrainingTable, recipe: HeadRecipe, searched: Searched, answers: _Answers, run: Run) -> Pipeline:
    def fitted(winner: Winner, link: Link) -> SinglePipeline:
        run.checkpoint()
        pooling = winner.candidate.pooling
        scaling, rows = refit_rows(table, recipe, winner.candidate, len(searched.folds))
        return SinglePipeline(pooling, scaling, winner.trainer.fit(rows, winner.candidate.params, run), link)

    if answers.joint is None:
        pipeline: Pipeline = fitted(searched.winners[0], answers.calibrated.link)
    else:
        members = tuple(fitted(w, link) for w, link in zip(searched.winners, answers.links, strict=True))
        pipeline = Ensemble(members, answers.joint, answers.calibrated.link)
    run.checkpoint()
    return pipeline


def _describe(
    table: TrainingTable, recipe: HeadRecipe, searched: Searched, judgement: Judgement, now: datetime
) -> HeadMetadata:
    members = [winner.candidate for winner in searched.winners]
    single = members[0] if recipe.ensemble is None else None
    poolings = {member.pooling for member in members}
    return HeadMetadata(
        task=table.task,
        classes=table.classes,
        positive=table.positive,
        threshold=judgement.threshold,
        review_from=judgement.review_from,
        policy=str(recipe.policy) if recipe.abstain is None else f"{recipe.policy}; {recipe.abstain}",
        pooling=poolings.pop() if len(poolings) == 1 else Pooling.BOTH,
        avg_dimensions=table.avg.shape[1],
        max_dimensions=table.max.shape[1],
        feature_set=table.feature_set,
        feature_set_name=table.feature_set_name,
        algorithm=single.algorithm.value if single else recipe.algorithm_name,
        params=dict(single.params) if single else {"members": [member.to_json() for member in members]},
        training_digest=table.digest,
        created_at=now,
        libraries=library_versions({member.algorithm for member in members}),
    )


def _evidence(table: TrainingTable, searched: Searched, probabilities: Float32) -> Evidence:
    rows = len(table.y)
    return Evidence(
        classes=table.classes,
        image_ids=table.image_ids or tuple(str(number) for number in range(rows)),
        region_ids=np.arange(rows) if table.region_ids is None else table.region_ids,
        y=table.y,
        fold_of=searched.fold_of,
        probabilities=probabilities,
    )


def _checkpoint(should_stop: Callable[[], bool] | None) -> Callable[[], None]:
    def check() -> None:
        if should_stop is not None and should_stop():
            raise Cancelled("The training was cancelled; nothing was registered")

    return check
