"""Search until nothing is left to try or the budget is spent, and take the winners."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from app.errors import NotTrainable
from app.heads.algorithms import Candidate
from app.heads.arrays import Float64, Ints
from app.heads.recipe import MAX_CANDIDATES, HeadRecipe, Method
from app.heads.table import TrainingTable
from app.heads.trainers.base import Run, Trainer
from app.heads.trainers.choice import Tried, choose
from app.heads.trainers.evaluation import Evaluation, NoLog, TrialLog
from app.heads.trainers.folds import Fold, make_folds
from app.heads.trainers.proposals import Proposals, proposals_for

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Winner:
    """A chosen candidate, what trains it, and its out-of-fold scores, float64 (n, classes)."""

    tried: Tried
    trainer: Trainer
    scores: Float64

    @property
    def candidate(self) -> Candidate:
        return self.tried.candidate


@dataclass(frozen=True)
class Searched:
    """Everything that was tried; the winner, or an ensemble's members: the winner of each space."""

    tried: tuple[Tried, ...]
    winners: tuple[Winner, ...]
    folds: tuple[Fold, ...]
    fold_of: Ints  # (n,)
    stopped_by: str  # "all candidates", "trials" or "seconds"

    @property
    def fits(self) -> int:
        return len(self.tried) * len(self.folds)


def search(
    table: TrainingTable, recipe: HeadRecipe, run: Run, progress: Progress, log: TrialLog | None = None
) -> Searched:
    """Search as `recipe` says. Raises `NotTrainable` where folds cannot be made or a fit diverges, `Cancelled`."""
    folds = make_folds(table.y, table.group_codes, folds=recipe.folds, seed=recipe.seed, names=table.classes)
    evaluation = Evaluation(table, recipe, folds, run, log or NoLog())
    stopped_by = _spend_budget(evaluation, recipe, progress)
    tried = tuple(evaluation.tried())
    winners = tuple(
        Winner(one, evaluation.trainer(one.candidate.algorithm), evaluation.scores(one.candidate))
        for one in choose_winners(tried, recipe)
    )
    return Searched(tried, winners, tuple(folds), _fold_of(len(table.y), folds), stopped_by)


def choose_winners(tried: Sequence[Tried], recipe: HeadRecipe) -> list[Tried]:
    """Return the winner, or for an ensemble the winner of each space, each once.

    Raises `NotTrainable` where an ensemble would have a single member.
    """
    if recipe.ensemble is None:
        return [tried[choose(tried)]]
    members = [[one for one in tried if space.holds(one.candidate)] for space in recipe.spaces]
    chosen = [group[choose(group)] for group in members if group]
    winners = list({one.candidate.key: one for one in chosen}.values())
    if len(winners) < 2:
        raise NotTrainable("The ensemble has a single member; give more time, or spaces that differ")
    return winners


def _spend_budget(evaluation: Evaluation, recipe: HeadRecipe, progress: Progress) -> str:
    """Evaluate batch after batch; why it stopped."""
    proposals, seconds = proposals_for(recipe), recipe.search.seconds
    started, folds, least = time.monotonic(), len(evaluation.folds), len(recipe.spaces)
    size = MAX_CANDIDATES if seconds is None else least

    def tell(done: int) -> None:
        progress(done, _total(done, time.monotonic() - started, proposals, seconds, folds))

    while batch := proposals.ask(size):
        for one in evaluation.evaluate(batch, tell):
            proposals.tell(one.candidate, one.auc)
        spent = time.monotonic() - started
        if seconds is not None:
            if spent >= seconds:
                return "seconds"
            # A quarter of what is left at a time: enough to share work, little enough to end in time.
            pace = spent * folds / max(1, len(evaluation.results))
            size = max(least, int((seconds - spent) / 4 / max(pace, 1e-6)))
    return "all candidates" if recipe.search.method is Method.GRID else "trials"


def _total(done: int, spent: float, proposals: Proposals, seconds: float | None, folds: int) -> int:
    """Return how many fits there will be, and one for the last; estimated where only seconds bound them."""
    known = MAX_CANDIDATES if proposals.total is None else proposals.total
    by_count = known * folds
    by_time = by_count if seconds is None else int(done * seconds / max(spent, 1e-3))
    return max(done, min(by_count, by_time)) + 1


def _fold_of(rows: int, folds: Sequence[Fold]) -> Ints:
    fold_of = np.empty(rows, dtype=np.int64)
    for number, fold in enumerate(folds):
        fold_of[fold.validation] = number
    return fold_of
