"""Score every candidate on every fold, and choose by out-of-fold AUC, the simpler where it cannot tell."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from app.errors import InvalidInput, NotTrainable
from app.heads.arrays import Float32, Float64, Ints
from app.heads.metrics import roc_auc
from app.heads.recipe import HeadRecipe, Number
from app.heads.table import TrainingTable
from app.heads.trainers.base import Rows, Run, Trainer
from app.heads.trainers.folds import Fold, make_folds
from app.heads.trainers.scaling import Scaling

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Candidate:
    params: Mapping[str, Number]
    fold_auc: tuple[float, ...]

    @property
    def auc(self) -> float:
        return float(np.mean(self.fold_auc))

    def to_json(self) -> dict[str, Any]:
        return {"params": dict(self.params), "auc": self.auc, "fold_auc": list(self.fold_auc)}


@dataclass(frozen=True)
class Searched:
    """The candidates as measured, and the chosen one's out-of-fold `scores` float64 (n, classes)."""

    candidates: tuple[Candidate, ...]
    chosen: int
    scores: Float64
    fold_of: Ints  # (n,)

    @property
    def fits(self) -> int:
        return sum(len(one.fold_auc) for one in self.candidates)

    @property
    def winner(self) -> Candidate:
        return self.candidates[self.chosen]


def search(table: TrainingTable, recipe: HeadRecipe, trainer: Trainer, run: Run, progress: Progress) -> Searched:
    """Fit every candidate on every fold. Scaling is fitted a fold, on its training rows, for all candidates."""
    candidates = recipe.candidates()
    folds = make_folds(table.y, table.group_codes, folds=recipe.folds, seed=recipe.seed, names=table.classes)
    x, weight = table.features(recipe.pooling), row_weights(table, recipe)
    scores = np.full((len(candidates), len(x), len(table.classes)), np.nan)
    fold_of = np.empty(len(x), dtype=np.int64)
    total = len(candidates) * len(folds) + 1
    for number, fold in enumerate(folds):
        fold_of[fold.validation] = number
        rows, held = _scaled(table, x, weight, fold)
        run.checkpoint()
        found = trainer.search(rows, held, candidates, run)
        for position, held_scores in enumerate(found):
            scores[position, fold.validation] = require_converged(held_scores)
            progress(number * len(candidates) + position + 1, total)
            run.checkpoint()
    measured = tuple(Candidate(params, _fold_aucs(table, scores[i], folds)) for i, params in enumerate(candidates))
    chosen = choose(measured)
    return Searched(measured, chosen, scores[chosen], fold_of)


def choose(measured: Sequence[Candidate]) -> int:
    """The most regularised candidate whose AUC lies within one standard error of the best one's.

    The one-standard-error rule (Breiman, Friedman, Olshen and Stone, Classification and Regression Trees, 1984,
    section 3.4.3): cross-validation cannot tell such candidates apart, and the films of a new site favour the
    simpler. Candidates without a penalty `C` have no such order, and the best one is taken.
    """
    best = int(np.argmax([one.auc for one in measured]))
    if not all("C" in one.params for one in measured):
        return best
    folds = measured[best].fold_auc
    error = float(np.std(folds, ddof=1)) / np.sqrt(len(folds))
    near = [i for i, one in enumerate(measured) if one.auc >= measured[best].auc - error]
    return min(near, key=lambda i: (measured[i].params["C"], measured[i].params.get("gamma", 0)))


def require_converged(scores: Float64) -> Float64:
    """Return `scores`; raises `NotTrainable` where a fit ran away to infinity."""
    if not np.isfinite(scores).all():
        raise NotTrainable("A fit diverged (its scores are not finite); give a smaller learning rate")
    return scores


def _scaled(table: TrainingTable, x: Float32, weight: Float64, fold: Fold) -> tuple[Rows, Float32]:
    part = x[fold.train]
    scaling = Scaling.fit(part)
    rows = Rows(
        scaling(part),
        table.y[fold.train],
        weight[fold.train],
        table.group_codes[fold.train],
        len(table.classes),
    )
    return rows, scaling(x[fold.validation])


def _fold_aucs(table: TrainingTable, scores: Float64, folds: list[Fold]) -> tuple[float, ...]:
    positive = table.positive_index
    margin = scores[:, positive] - np.delete(scores, positive, axis=1).max(axis=1)
    return tuple(roc_auc(table.is_positive[f.validation], margin[f.validation]) for f in folds)


def row_weights(table: TrainingTable, recipe: HeadRecipe) -> Float64:
    """Return each row's weight (n,), from its class. Raises `InvalidInput` for a class that the task lacks."""
    given = recipe.class_weight
    if given is None:
        return np.ones(len(table.y))
    if given == "balanced":
        counts = np.array(list(table.class_counts.values()))
        return np.asarray((len(table.y) / (len(counts) * counts))[table.y])
    unknown = sorted(set(given) - set(table.classes))
    if unknown:
        raise InvalidInput(f"class_weight names {', '.join(unknown)}; the task has {', '.join(table.classes)}")
    return np.array([given.get(name, 1.0) for name in table.classes])[table.y]
