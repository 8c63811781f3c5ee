"""Would more scans help? The winner's parameters on growing parts of each fold's training subjects."""

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from app.errors import NotTrainable
from app.heads.arrays import Ints
from app.heads.metrics import roc_auc
from app.heads.recipe import HeadRecipe
from app.heads.table import TrainingTable
from app.heads.trainers.base import Run, Trainer
from app.heads.trainers.fold_rows import held_rows, training_rows
from app.heads.trainers.registry import trainer_for
from app.heads.trainers.search import Searched, Winner

SHARES = (0.1, 0.2, 0.4, 0.7)  # of the training subjects; the search has measured all of them
LEAST_SUBJECTS = 10  # of each class: below that a fold's AUC is a draw of lots
LIMIT_SECONDS = 30.0


def learning_curve(
    table: TrainingTable, recipe: HeadRecipe, searched: Searched, run: Run, *, limit_seconds: float = LIMIT_SECONDS
) -> dict[str, Any]:
    """Return the AUC of each fold's held-out rows after training on nested, stratified parts of its subjects.

    Of an ensemble, its best member is measured. Sizes too small to learn from, and sizes that do not fit into
    `limit_seconds`, are left out and named in `notes`. Raises `Cancelled`.
    """
    winner = max(searched.winners, key=lambda one: one.tried.auc)
    points, notes = [], []
    until = time.monotonic() + limit_seconds
    for share in SHARES:
        parts = [nested(table, fold.train, share, seed=run.seed + n) for n, fold in enumerate(searched.folds)]
        if min(_subjects(table, part) for part in parts) < LEAST_SUBJECTS:
            notes.append(f"{share * 100:g} % left out: fewer than {LEAST_SUBJECTS} subjects of a class")
            continue
        try:
            found = _fold_aucs(table, recipe, searched, winner, parts, run, until)
        except (NotTrainable, ValueError) as error:  # a library's word for too few rows
            notes.append(f"{share * 100:g} % left out: {error}")
            continue
        if len(found) < len(parts):
            notes.append(f"{share * 100:g} %: {len(found)} of {len(parts)} folds within {limit_seconds:g} seconds")
        if len(found) >= min(2, len(parts)):
            points.append(_point(table, share, parts[: len(found)], found))
    whole = [fold.train for fold in searched.folds]
    points.append(_point(table, 1.0, whole, winner.tried.fold_auc))
    return {"of": winner.candidate.to_json(), "points": points, "notes": notes}


def nested(table: TrainingTable, index: Ints, share: float, *, seed: int) -> Ints:
    """Return the rows of `index` that belong to a share of its subjects, every class represented alike.

    A larger share holds every subject of a smaller one. A subject with rows of several classes counts by its first.
    """
    codes, first = np.unique(table.group_codes[index], return_index=True)
    order = np.random.default_rng(seed).permutation(len(codes))
    classes = table.y[index][first][order]
    quantile = np.empty(len(codes))
    for label in np.unique(classes):
        own = np.flatnonzero(classes == label)
        quantile[own] = (np.arange(len(own)) + 0.5) / len(own)
    kept = codes[order][quantile <= share]
    return index[np.isin(table.group_codes[index], kept)]


def _fold_aucs(
    table: TrainingTable, recipe: HeadRecipe, searched: Searched, winner: Winner, parts: Sequence[Ints], run: Run,
    until: float,
) -> list[float]:  # fmt: skip
    """Return the AUC of each fold, of as many as are begun before `until`."""
    trainer, found = trainer_for(winner.candidate.algorithm), []
    for number, part in enumerate(parts):
        run.checkpoint()
        if time.monotonic() > until:
            break
        held = searched.folds[number].validation
        found.append(_auc(table, recipe, winner, trainer, part, held, run, number))
    return found


def _auc(
    table: TrainingTable, recipe: HeadRecipe, winner: Winner, trainer: Trainer, part: Ints, held: Ints, run: Run,
    number: int,
) -> float:  # fmt: skip
    pooling = winner.candidate.pooling
    scaling, rows = training_rows(table, recipe, pooling, part, seed=recipe.seed + number)
    scores = next(trainer.search(rows, held_rows(table, pooling, held, scaling), [winner.candidate.params], run))
    positive = table.positive_index
    margin = scores[:, positive] - np.delete(scores, positive, axis=1).max(axis=1)
    return roc_auc(table.is_positive[held], margin)


def _subjects(table: TrainingTable, index: Ints) -> int:
    """Return how many subjects the class with the fewest of them has."""
    return min(len(np.unique(table.group_codes[index][table.y[index] == k])) for k in range(len(table.classes)))


def _point(table: TrainingTable, share: float, parts: Sequence[Ints], fold_auc: Sequence[float]) -> dict[str, Any]:
    return {
        "share": share,
        "rows": round(float(np.mean([len(part) for part in parts]))),
        "subjects": round(float(np.mean([len(np.unique(table.group_codes[part])) for part in parts]))),
        "auc": float(np.mean(fold_auc)),
        "fold_auc": [float(value) for value in fold_auc],
    }
