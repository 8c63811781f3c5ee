"""Epochs: steps on the training rows, a look at the held-out ones, a checkpoint, until nothing gets better."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.features.finetuning import checkpoint
from app.features.finetuning.cache import Activations
from app.features.finetuning.checkpoint import Standing
from app.features.finetuning.network import Learner, assign
from app.features.finetuning.recipe import BackboneRecipe
from app.heads.metrics import balanced_accuracy, confusion_matrix, roc_auc

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]
Point = dict[str, Any]


@dataclass(frozen=True)
class Rows:
    """Class indexes `y` (n,) of all rows, which of them are learned from and which held out, and what decides.

    `threshold`: at or above it a probability of class `positive` is that class.
    """

    y: Ints
    learned: Ints
    held: Ints
    classes: int
    positive: int
    threshold: float


@dataclass(frozen=True)
class Watch:
    """Who hears of a training: `on_epoch` gets the curve so far, `checkpoint` may raise Cancelled, between batches.

    `on_filled` gets how many rows of how many have their activations, `on_progress` how many epochs have ended.
    """

    on_epoch: Callable[[list[Point]], None] = lambda _: None
    on_filled: Callable[[int, int], None] = lambda *_: None
    on_progress: Callable[[int, int], None] = lambda *_: None
    checkpoint: Callable[[], None] = lambda: None


def fit(
    learner: Learner, cached: Activations, rows: Rows, recipe: BackboneRecipe, *, folder: Path, key: str, watch: Watch
) -> list[Point]:
    """Train `learner` and leave it as it was in its best epoch; the curve, whose first point is the start.

    Goes on from the checkpoint of the same `key` in `folder`, where there is one. Every draw follows from the seed and
    the epoch, so that a training that was interrupted ends like one that was not.
    """
    standing = checkpoint.read(folder, key)
    if standing is None:
        start = {"epoch": 0, "validation": judged(learner, cached, rows)}
        standing = Standing(_values(learner.state), _values(learner.optimizer.variables), [], [start])
        standing.best = standing.present
    else:
        assign(learner.state, standing.present)
        assign(learner.optimizer.variables, standing.optimizer)
    watch.on_epoch(standing.history)
    while len(standing.history) <= recipe.epochs and not _over(standing, recipe.patience):
        point = _epoch(learner, cached, rows, recipe, len(standing.history), watch)
        standing.history.append(point)
        standing.present, standing.optimizer = _values(learner.state), _values(learner.optimizer.variables)
        if standing.best_epoch == point["epoch"]:
            standing.best = standing.present
        checkpoint.write(standing, folder, key)
        watch.on_epoch(standing.history)
        watch.on_progress(len(standing.history) - 1, recipe.epochs)
    assign(learner.state, standing.best)
    return standing.history


def judged(learner: Learner, cached: Activations, rows: Rows) -> dict[str, float]:
    """Loss, AUC and balanced accuracy of the held-out rows, in inference mode."""
    return figures(answers(learner, cached, rows.held), rows.y[rows.held], rows)


def answers(learner: Learner, cached: Activations, which: Ints) -> Floats:
    """Log-odds (n, classes) of rows as they are, without copies."""
    pieces = np.array_split(which, max(1, len(which) // 128))
    return np.concatenate([learner.log_odds(cached.of(piece)) for piece in pieces])


def figures(logits: Floats, y: Ints, rows: Rows) -> dict[str, float]:
    """Mean cross-entropy, AUC of the positive class, and balanced accuracy at the threshold, of log-odds."""
    log_p = log_softmax(logits)
    said = np.exp(log_p[:, rows.positive])
    others = np.array(log_p)
    others[:, rows.positive] = -np.inf
    decided = np.where(said >= rows.threshold, rows.positive, others.argmax(axis=1))
    return {
        "loss": float(-log_p[np.arange(len(y)), y].mean()),
        "auc": roc_auc(y == rows.positive, said),
        "balanced_accuracy": balanced_accuracy(confusion_matrix(y, decided, rows.classes)),
    }


def log_softmax(logits: Floats) -> NDArray[np.float64]:
    odds = logits.astype(np.float64)
    odds -= odds.max(axis=1, keepdims=True)
    return np.asarray(odds - np.log(np.exp(odds).sum(axis=1, keepdims=True)))


def _epoch(
    learner: Learner, cached: Activations, rows: Rows, recipe: BackboneRecipe, epoch: int, watch: Watch
) -> Point:
    """One pass over the training rows, each in a version drawn at random; the point of the curve."""
    started = time.perf_counter()
    rng = np.random.default_rng([recipe.seed, epoch])
    order = rng.permutation(rows.learned)
    versions = rng.integers(0, cached.versions_of(order))
    weights = _weights(rows, recipe)
    batches = math.ceil(len(order) / recipe.batch)
    said = np.empty((len(order), rows.classes), np.float32)
    rate = 0.0
    for number, place in enumerate(np.array_split(np.arange(len(order)), batches)):
        watch.checkpoint()
        rate = rate_at(recipe, (epoch - 1) + (number + 1) / batches)
        chosen = order[place]
        y = rows.y[chosen]
        said[place], _ = learner.step(cached.of(chosen, versions[place]), y, weights[y], rate)
    # The training figures are of the answers before each step, on copies: what learning sees, for free.
    train = figures(said, rows.y[order], rows)
    seconds = time.perf_counter() - started
    return {
        "epoch": epoch, "train": train, "validation": judged(learner, cached, rows),
        "rate": rate, "seconds": round(seconds, 3),
    }  # fmt: skip


def rate_at(recipe: BackboneRecipe, epochs_done: float) -> float:
    """The learning rate: linear over the first epoch, then a cosine to zero (Loshchilov and Hutter, ICLR 2017)."""
    if epochs_done <= 1 or recipe.epochs == 1:
        return recipe.highest_rate * min(1.0, epochs_done)
    share = (epochs_done - 1) / (recipe.epochs - 1)
    return recipe.highest_rate * 0.5 * (1 + math.cos(math.pi * min(1.0, share)))


def _weights(rows: Rows, recipe: BackboneRecipe) -> Floats:
    """A weight for each class, 1 on average over the training rows."""
    if recipe.class_weight is None:
        return np.ones(rows.classes, np.float32)
    counts = np.bincount(rows.y[rows.learned], minlength=rows.classes)
    return (len(rows.learned) / (rows.classes * np.maximum(counts, 1))).astype(np.float32)


def _over(standing: Standing, patience: int) -> bool:
    return len(standing.history) - 1 - standing.best_epoch >= patience


def _values(variables: Any) -> list[NDArray[Any]]:
    return [np.array(variable.numpy()) for variable in variables]
