"""Steps, a log line now and then, a checkpoint, and the same end however often it was interrupted. Loads Keras."""

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from app.errors import NotTrainable
from app.features.finetuning import checkpoint
from app.features.finetuning.checkpoint import Standing
from app.features.pretraining.batches import Batch, Material, batches
from app.features.pretraining.learner import LARGEST_NORM, Learner, learned
from app.features.pretraining.recipe import PretrainingRecipe

Point = dict[str, Any]
EVERY_STEPS = 20
CHECKPOINT_SECONDS = 120.0


@dataclass(frozen=True)
class Session:
    """Where a training keeps itself, under which key, and who hears of it."""

    folder: Path
    key: str
    on_point: Callable[[Point], None] = lambda _: None


def rate_at(recipe: PretrainingRecipe, step: int) -> float:
    """Learning rate: linear over the warm-up, then a cosine to 1 % (Loshchilov and Hutter, ICLR 2017)."""
    if step < recipe.warmup:
        return recipe.rate * (step + 1) / recipe.warmup
    share = (step - recipe.warmup) / max(1, recipe.steps - recipe.warmup)
    return recipe.rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, share))))


def prepare(learner: Learner, first: Batch) -> None:
    """Give `learner` its optimizer and its heads their shapes."""
    recipe = learner.recipe
    optimizer = keras.optimizers.AdamW(recipe.rate, weight_decay=recipe.weight_decay, global_clipnorm=LARGEST_NORM)
    learner.compile(optimizer=optimizer, jit_compile=keras.config.backend() == "jax")
    learner({"seen": first.seen, "clean": first.clean}, training=False)
    # Decay pulls to zero: right for kernels, wrong for scales whose neutral value is one.
    excluded = [v for v in learner.trainable_variables if v.path.rpartition("/")[2] != "kernel"]
    optimizer.exclude_from_weight_decay(var_list=excluded)
    optimizer.build(learner.trainable_variables)


def fit(learner: Learner, material: Material, session: Session) -> list[Point]:
    """Train `learner`, which is prepared, to the recipe's last step; the log.

    Goes on from the checkpoint of the same key in the session's folder, where there is one: what a step sees follows
    from the seed and the step.
    """
    recipe = learner.recipe
    log, start = _resumed(learner, session)
    since, kept, images = time.perf_counter(), time.perf_counter(), 0
    for step, one in enumerate(batches(material, recipe, start), start=start):
        learner.optimizer.learning_rate.assign(rate_at(recipe, step))
        said = learner.train_on_batch({"seen": one.seen, "clean": one.clean}, one.truth, return_dict=True)
        images += len(one.seen)
        done = step + 1
        if done % EVERY_STEPS == 0 or done == recipe.steps:
            now = time.perf_counter()
            log.append(_point(recipe, done, said, images / (now - since)))
            _require_finite(log[-1])
            session.on_point(log[-1])
            learner.reset_metrics()
            since, images = now, 0
            if now - kept > CHECKPOINT_SECONDS or done == recipe.steps:
                _keep(learner, session, log)
                kept = now
    return log


def _point(recipe: PretrainingRecipe, done: int, said: dict[str, Any], speed: float) -> Point:
    losses = {name: round(float(value), 5) for name, value in said.items()}
    return {
        "step": done, "of": recipe.steps, "side": recipe.phase_of(done - 1).side,
        "rate": rate_at(recipe, done - 1), "images_per_second": round(speed, 1), **losses,
    }  # fmt: skip


def _require_finite(point: Point) -> None:
    if not math.isfinite(point["loss"]):
        raise NotTrainable(
            f"The loss is {point['loss']} at step {point['step']}: start again with a lower rate, or in fp32."
        )


def _resumed(learner: Learner, session: Session) -> tuple[list[Point], int]:
    standing = checkpoint.read(session.folder, session.key)
    if standing is None:
        return [], 0
    for variable, value in zip(learned(learner), standing.present, strict=True):
        variable.assign(value)
    for variable, value in zip(learner.optimizer.variables, standing.optimizer, strict=True):
        variable.assign(value)
    return standing.history, int(standing.history[-1]["step"])


def _keep(learner: Learner, session: Session, log: list[Point]) -> None:
    present = [np.array(variable.numpy()) for variable in learned(learner)]
    optimizer = [np.array(variable.numpy()) for variable in learner.optimizer.variables]
    checkpoint.write(Standing(present, optimizer, [], log), session.folder, session.key)
    lines = "".join(json.dumps(point) + "\n" for point in log)
    (session.folder / "log.jsonl").write_text(lines, encoding="utf-8")
