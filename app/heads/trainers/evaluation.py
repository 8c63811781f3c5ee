"""Candidates on folds: what has been measured, two folds at a time, nothing measured twice.

A fold's rows are cut and scaled once a pooling, and each algorithm gets all its candidates of that pooling at once, so
that it can do once what they have in common.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from app.errors import NotTrainable
from app.heads.algorithms import Algorithm, Candidate
from app.heads.arrays import Float64
from app.heads.metrics import roc_auc
from app.heads.pooling import Pooling
from app.heads.recipe import HeadRecipe
from app.heads.table import TrainingTable
from app.heads.trainers.base import Run, Trainer
from app.heads.trainers.choice import Tried
from app.heads.trainers.fold_rows import held_rows, training_rows
from app.heads.trainers.folds import Fold
from app.heads.trainers.registry import ONE_AT_A_TIME, trainer_for

MOST_THREADS = 4  # each holds a fold's rows: 170 MB at 20,800 x 2,048
KEPT_BYTES = 256 << 20  # scores of candidates, kept so that a winner need not be fitted again


@dataclass(frozen=True)
class FoldResult:
    """One candidate on one fold."""

    candidate: Candidate
    fold: int
    auc: float
    seconds: float


class TrialLog(Protocol):
    """Where results are kept, so that they can be watched and a restart need not repeat them."""

    def known(self) -> Sequence[FoldResult]: ...

    def record(self, result: FoldResult) -> None:
        """Called from the search's threads, one at a time; must not be slow."""
        ...


class NoLog:
    """For trainings that nobody watches and nobody resumes."""

    def known(self) -> Sequence[FoldResult]:
        return ()

    def record(self, result: FoldResult) -> None:
        """Nothing is kept."""


class Evaluation:
    """The candidates of one training on its folds."""

    def __init__(
        self, table: TrainingTable, recipe: HeadRecipe, folds: Sequence[Fold], run: Run, log: TrialLog
    ) -> None:
        self._table, self._recipe, self._run, self._log = table, recipe, run, log
        self.folds = tuple(folds)
        self.results = {(one.candidate.key, one.fold): one for one in log.known() if one.fold < len(folds)}
        self._trainers: dict[Algorithm, Trainer] = {}
        self._kept: dict[tuple[str, int], Float64] = {}
        self._lock = threading.Lock()

    def trainer(self, algorithm: Algorithm) -> Trainer:
        with self._lock:
            if algorithm not in self._trainers:
                self._trainers[algorithm] = trainer_for(algorithm)
            return self._trainers[algorithm]

    def tried(self) -> list[Tried]:
        """Return every candidate that all folds have measured, in the order in which it was first met."""
        found = []
        for key in dict.fromkeys(key for key, _ in self.results):
            whole = [self.results[key, n] for n in range(len(self.folds)) if (key, n) in self.results]
            if len(whole) == len(self.folds):
                aucs = tuple(one.auc for one in whole)
                found.append(Tried(whole[0].candidate, aucs, sum(one.seconds for one in whole)))
        return found

    def evaluate(self, batch: Sequence[Candidate], progress: Callable[[int], None]) -> list[Tried]:
        """Measure what is not yet known of `batch`, telling `progress` how many results there are; return it."""
        for pooling in Pooling:
            group = [c for c in batch if c.pooling is pooling]
            self._spread([c for c in group if c.algorithm in ONE_AT_A_TIME], 1, progress)
            self._spread([c for c in group if c.algorithm not in ONE_AT_A_TIME], MOST_THREADS, progress)
        wanted = {candidate.key for candidate in batch}
        return [one for one in self.tried() if one.candidate.key in wanted]

    def scores(self, candidate: Candidate) -> Float64:
        """Return a candidate's out-of-fold scores (n, classes), fitted again where they were not kept."""
        found = np.full((len(self._table.y), len(self._table.classes)), np.nan)
        for number, fold in enumerate(self.folds):
            kept = self._kept.get((candidate.key, number))
            if kept is None:
                _, _, kept = next(self._fit(number, [candidate]))
            found[fold.validation] = kept
        return found

    def _spread(self, candidates: Sequence[Candidate], threads: int, progress: Callable[[int], None]) -> None:
        """Measure candidates of one pooling, several folds at a time."""

        def measure(number: int) -> None:
            todo = [c for c in candidates if (c.key, number) not in self.results]
            for candidate, seconds, scores in self._fit(number, todo):
                result = FoldResult(candidate, number, self._auc(number, scores), seconds)
                with self._lock:
                    self._keep(result, scores)
                    progress(len(self.results))
                self._run.checkpoint()

        if candidates:
            pool = ThreadPoolExecutor(min(threads, _cores(), len(self.folds)), thread_name_prefix="fold")
            try:
                list(pool.map(measure, range(len(self.folds))))
            finally:
                pool.shutdown(cancel_futures=True)

    def _fit(self, number: int, candidates: Sequence[Candidate]) -> Iterator[tuple[Candidate, float, Float64]]:
        """Yield each candidate, all of one pooling, with its seconds and its scores of the fold's held-out rows."""
        if not candidates:
            return
        self._run.checkpoint()
        fold, pooling = self.folds[number], candidates[0].pooling
        seed = self._recipe.seed + number
        scaling, rows = training_rows(self._table, self._recipe, pooling, fold.train, seed=seed)
        held = held_rows(self._table, pooling, fold.validation, scaling)
        for algorithm in dict.fromkeys(c.algorithm for c in candidates):
            members = [c for c in candidates if c.algorithm is algorithm]
            started = time.perf_counter()
            found = self.trainer(algorithm).search(rows, held, [c.params for c in members], self._run)
            for candidate, scores in zip(members, found, strict=True):
                now = time.perf_counter()
                yield candidate, now - started, require_converged(scores)
                started = now

    def _auc(self, number: int, scores: Float64) -> float:
        positive = self._table.positive_index
        margin = scores[:, positive] - np.delete(scores, positive, axis=1).max(axis=1)
        return roc_auc(self._table.is_positive[self.folds[number].validation], margin)

    def _keep(self, result: FoldResult, scores: Float64) -> None:
        self.results[result.candidate.key, result.fold] = result
        if (len(self._kept) + 1) * scores.nbytes <= KEPT_BYTES:
            self._kept[result.candidate.key, result.fold] = scores
        self._log.record(result)


def require_converged(scores: Float64) -> Float64:
    """Return `scores`; raises `NotTrainable` where a fit ran away to infinity."""
    if not np.isfinite(scores).all():
        raise NotTrainable("A fit diverged (its scores are not finite); give a smaller learning rate")
    return scores


def _cores() -> int:
    """Return how many cores this process may use."""
    allowed = getattr(os, "sched_getaffinity", None)  # not on macOS
    return len(allowed(0)) if allowed is not None else os.cpu_count() or 1
