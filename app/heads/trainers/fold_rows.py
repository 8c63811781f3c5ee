"""What a fold's models learn from: scaled rows with their copies and weights, and nothing of the rows held out."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from app.errors import InvalidInput
from app.heads.algorithms import Algorithm, Candidate
from app.heads.arrays import Float32, Float64, Ints
from app.heads.pooling import Pooling
from app.heads.recipe import HeadRecipe
from app.heads.table import TrainingTable
from app.heads.trainers.base import Rows
from app.heads.trainers.scaling import Scaling


def training_rows(
    table: TrainingTable, recipe: HeadRecipe, pooling: Pooling, index: Ints, *, seed: int
) -> tuple[Scaling, Rows]:
    """Return the rows that `index` names, scaled by themselves, and the scaling.

    Augmented copies join the rows that they copy and share their weight, so that an image counts as much with copies
    as without. Balanced sampling repeats rows of the rarer classes, drawn with `seed`.
    """
    if recipe.sampling is not None:
        index = _balanced(table.y[index], index, seed)
    x = pooling.take(table.avg, table.max, index)
    scaling = Scaling.fit(x)
    scaled, weight = scaling(x), row_weights(table, recipe)[index]
    owners = index
    if recipe.augmentation is not None and table.augmented is not None:
        copies, of = _copies(table.augmented.of, index)
        shares = 1.0 + np.bincount(of, minlength=len(index))
        weight = np.concatenate([weight / shares, (weight / shares)[of]])
        owners = np.concatenate([index, index[of]])
        added = pooling.take(table.augmented.avg, table.augmented.max, copies)
        scaled = np.concatenate([scaled, scaling(added)])
    return scaling, Rows(scaled, table.y[owners], weight, table.group_codes[owners], len(table.classes))


# These weigh their penalty against the sum of the rows' losses; the others against a mean, or not at all.
_SUMMED = (Algorithm.LOGISTIC_REGRESSION, Algorithm.LINEAR_SVM, Algorithm.RBF_SVM, Algorithm.GRADIENT_BOOSTING)


def refit_rows(table: TrainingTable, recipe: HeadRecipe, candidate: Candidate, folds: int) -> tuple[Scaling, Rows]:
    """Return all rows, scaled, weighing together what the rows of a fold's model weigh, (folds - 1) / folds.

    More rows under the same penalty make larger coefficients, and scores on a wider scale than the out-of-fold ones
    that calibration and thresholds come from: a recall promised with 95 % confidence was kept by 87 % of heads on
    1,000 rows x 400, and by 95 % or more once the penalty kept its share (measured 2026-11).
    """
    scaling, rows = training_rows(table, recipe, candidate.pooling, np.arange(len(table.y)), seed=recipe.seed)
    if candidate.algorithm in _SUMMED:
        rows = replace(rows, weight=rows.weight * ((folds - 1) / folds))
    return scaling, rows


def held_rows(table: TrainingTable, pooling: Pooling, index: Ints, scaling: Scaling) -> Float32:
    """Return the rows that `index` names as the models of `scaling` see them: originals alone, never copies."""
    return scaling(pooling.take(table.avg, table.max, index))


def row_weights(table: TrainingTable, recipe: HeadRecipe) -> Float64:
    """Return each row's weight (n,): its own times its slices' times its class's.

    Raises `InvalidInput` for a class that the task lacks, or a slice that no row is in.
    """
    own = np.ones(len(table.y)) if table.weight is None else np.asarray(table.weight, dtype=np.float64)
    for name, weights in recipe.sample_weight.items():
        own = own * _of_slices(table, name, weights)
    given = recipe.class_weight
    if given is None:
        return own
    if given == "balanced":
        counts = np.array(list(table.class_counts.values()))
        return own * (len(table.y) / (len(counts) * counts))[table.y]
    unknown = sorted(set(given) - set(table.classes))
    if unknown:
        raise InvalidInput(f"class_weight names {', '.join(unknown)}; the task has {', '.join(table.classes)}")
    return np.asarray(own * np.array([given.get(name, 1.0) for name in table.classes])[table.y])


def _of_slices(table: TrainingTable, name: str, weights: Mapping[str, float]) -> Float64:
    if name not in table.slices:
        raise InvalidInput(
            f"sample_weight names '{name}'; rows are told apart by {', '.join(table.slices) or 'nothing'}"
        )
    values = table.slices[name]
    unknown = sorted(set(weights) - set(values.tolist()))
    if unknown:
        raise InvalidInput(f"sample_weight: no row has {name} {', '.join(unknown)}; there are {_named(values)}")
    return np.array([weights.get(value, 1.0) for value in values.tolist()])


def _named(values: np.ndarray) -> str:
    names = np.unique(values).tolist()
    return ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")


def _balanced(y: Ints, index: Ints, seed: int) -> Ints:
    """Return `index` with rows of the rarer classes repeated until every class has as many."""
    rng = np.random.default_rng(seed)
    most = int(np.bincount(y).max())
    chosen = [index]
    for label in np.unique(y):
        own = index[y == label]
        chosen.append(rng.choice(own, most - len(own)))
    return np.concatenate(chosen)


def _copies(of: Ints, index: Ints) -> tuple[Ints, Ints]:
    """Return the numbers of the copies whose row is in `index`, and each one's position there."""
    order = np.argsort(of, kind="stable")
    first, last = (np.searchsorted(of[order], index, side=side) for side in ("left", "right"))
    counts = last - first
    positions = np.repeat(np.arange(len(index)), counts)
    within = np.arange(len(positions)) - np.repeat(np.cumsum(counts) - counts, counts)
    return order[np.repeat(first, counts) + within], positions
