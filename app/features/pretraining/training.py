"""From a recipe and what it names to a network's arrays. Loads Keras."""

import hashlib
import json
import os
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import keras
import numpy as np

from app.errors import InvalidInput
from app.features.backbone import body_variables, computing, set_weights
from app.features.pretraining import films as film_files
from app.features.pretraining import scenes as simulated
from app.features.pretraining.batches import Material, batch
from app.features.pretraining.learner import Learner, Spread, normalised
from app.features.pretraining.loop import Point, Session, fit, prepare
from app.features.pretraining.network import densenet121, spatial_axes
from app.features.pretraining.recipe import PretrainingRecipe
from app.features.weights.arrays import Arrays, read_arrays, weights_digest

SPREAD_BATCHES = 8
Told = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Order:
    """What to train, from what, and where: folders and files are absolute paths."""

    recipe: PretrainingRecipe
    out: Path
    films: tuple[Path, ...] = ()
    teacher: Path | None = None
    start: Path | None = None
    scenes: Path | None = None
    """Where simulated scenes are kept; OUT/scenes without it."""

    def check(self) -> None:
        """Raises InvalidInput for what contradicts itself."""
        if self.recipe.films and not self.films:
            raise InvalidInput("The recipe takes films and no folder of films is named: say --films, or films = 0.")
        if self.recipe.distillation and self.teacher is None:
            raise InvalidInput("Distillation needs a teacher: name its weights, or weigh distillation 0.")


def train(order: Order, told: Told = lambda _: None) -> dict[str, Any]:
    """Pretrain DenseNet121; the report, which is also in OUT/report.json, with OUT/weights.npz and OUT/log.jsonl.

    Goes on from OUT where it was interrupted. Raises InvalidInput, ConfigurationError, NotTrainable.
    """
    order.check()
    started = time.perf_counter()
    order.out.mkdir(parents=True, exist_ok=True)
    keras.utils.set_random_seed(order.recipe.seed)
    material, seen = _material(order, told)
    sources = {name: read_arrays(path) if path else None for name, path in
               (("teacher", order.teacher), ("start", order.start))}  # fmt: skip
    seen |= {name: weights_digest(arrays) if arrays else None for name, arrays in sources.items()}
    learner = _learner(order.recipe, material, sources["teacher"], sources["start"])
    key = hashlib.sha256(json.dumps([order.recipe.to_json(), seen], sort_keys=True).encode()).hexdigest()
    session = Session(order.out, key, lambda point: told({"stage": "training", **point}))
    log = fit(learner, material, session)
    arrays = student_arrays(learner)
    np.savez(order.out / "weights.npz", **arrays)  # type: ignore[arg-type]  # it takes names of arrays as keywords
    report = _report(order, seen, log, weights_digest(arrays), time.perf_counter() - started)
    (order.out / "report.json").write_text(json.dumps(report, indent=1), encoding="utf-8")
    return report


def _material(order: Order, told: Told) -> tuple[Material, dict[str, Any]]:
    """What is learned from, and what a card has to say of it."""
    recipe, seen = order.recipe, dict[str, Any]()
    planes, scenes = None, None
    if recipe.films:
        files = film_files.found(order.films)
        planes, digest, refused = film_files.read(files, lambda n, of: told({"stage": "films", "step": n, "of": of}))
        seen |= {"films": len(planes), "films_digest": digest}
        for path, why in refused:
            told({"stage": "refused", "file": str(path), "why": why})
    if recipe.simulated:
        wanted = simulated.Wanted(recipe.scenes, max(1, recipe.scenes // 2), recipe.seed, recipe.random_scanners)
        folder = order.scenes or order.out / "scenes"
        scenes = simulated.scenes(folder, wanted, lambda n, of: told({"stage": "scenes", "step": n, "of": of}))
        seen |= {"scenes": asdict(wanted)}
    return Material(planes, scenes), seen


def _learner(recipe: PretrainingRecipe, material: Material, teacher: Arrays | None, start: Arrays | None) -> Learner:
    with computing(recipe.precision):
        guide = densenet121() if teacher else None
        student = densenet121()
    if guide is not None:
        set_weights(guide, teacher or {})
    if start is not None:
        set_weights(student, start)
    first = batch(material, recipe, 0)
    learner = Learner(student, guide, _spread(guide or student, material, recipe), recipe)
    prepare(learner, first)
    return learner


def _spread(network: keras.Model, material: Material, recipe: PretrainingRecipe) -> Spread:
    """Of the network to be resembled, on scans as the teacher is shown them (as the student is, without films)."""
    maps = []
    for step in range(SPREAD_BATCHES):
        one = batch(material, recipe, step)
        scans = one.clean if len(one.clean) else one.seen
        found = keras.ops.convert_to_numpy(keras.ops.cast(network(normalised(scans), training=False), "float32"))
        maps.append(found.transpose(0, 2, 3, 1) if spatial_axes() == (2, 3) else found)
    return Spread.of(np.concatenate(maps))


def student_arrays(learner: Learner) -> Arrays:
    """The student's weights, float32, by the names that Keras's own DenseNet121 gives them."""
    found = body_variables(learner.student)
    return {name: np.array(v.numpy(), np.float32) for name, v in found.items()}


def _report(order: Order, seen: dict[str, Any], log: list[Point], digest: str, seconds: float) -> dict[str, Any]:
    backend = keras.config.backend()
    return {
        "recipe": order.recipe.to_json(),
        "seen": seen,
        "weights_digest": digest,
        "images": order.recipe.steps * (order.recipe.films + order.recipe.simulated),
        "last": log[-1],
        "seconds": round(seconds),
        "machine": {"processor": platform.processor() or platform.machine(), "cores": os.cpu_count()},
        "versions": {name: version(name) for name in ("keras", backend, "numpy")},
        "backend": backend,
    }
