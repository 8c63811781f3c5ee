"""From labelled scans to a trained network: cut, keep what the front makes, fit, prove. For workers: TensorFlow."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from app.errors import HeadRefused, NotTrainable
from app.features.finetuning.boundaries import boundary
from app.features.finetuning.cache import Activations, Pixels
from app.features.finetuning.loop import Point, Rows, Watch, answers, fit, log_softmax
from app.features.finetuning.network import Learner, arrays, cut, fed, runner
from app.features.finetuning.recipe import LEAST_OF_A_CLASS, LEAST_ROWS, BackboneRecipe
from app.features.finetuning.start import NewHead, StoredHead
from app.features.spec import FeatureSetSpec
from app.features.weights.arrays import Arrays
from app.heads.arrays import Float32, Ints
from app.imaging.augment import named

# Decisions of the stored head that may differ at step zero: its vectors may come from an engine in bf16.
MOST_CHANGED = 0.02


@dataclass(frozen=True)
class LabelledScans:
    """Scans to learn from and to hold out: `y` (n,) class indexes, `held` (n,) of the validation rows.

    `groups` (n,) names each row's subject, none of which may be on both sides. `pixels` prepares a row's versions.
    """

    classes: tuple[str, ...]
    positive: str
    y: Ints
    groups: NDArray[Any]
    held: NDArray[np.bool_]
    pixels: Pixels
    mirrored: bool = False

    def check(self) -> None:
        """Raises NotTrainable, with the remedy, for sides that cannot be learned from or judged."""
        both = np.intersect1d(self.groups[self.held], self.groups[~self.held])
        if len(both):
            raise NotTrainable(f"{len(both)} subjects, such as {both[0]}, are on both sides; move them together.")
        for name, side in (("learn from", ~self.held), ("validate on", self.held)):
            counts = np.bincount(self.y[side], minlength=len(self.classes))
            few = [c for c, count in zip(self.classes, counts, strict=True) if count < LEAST_OF_A_CLASS]
            if few:
                raise NotTrainable(
                    f"There are fewer than {LEAST_OF_A_CLASS} scans of {' and of '.join(few)} to {name}; "
                    "label more subjects of that class."
                )
        if int((~self.held).sum()) < LEAST_ROWS:
            raise NotTrainable(f"{int((~self.held).sum())} scans to learn from: label {LEAST_ROWS} or more.")


@dataclass(frozen=True)
class Start:
    """A stored head to begin with, and what it said of the held-out rows from stored vectors (n, classes)."""

    artifact: bytes
    said: Float32


@dataclass(frozen=True)
class Trained:
    """The network of the best epoch: its arrays, the curve, and the report."""

    arrays: Arrays
    curve: list[Point]
    report: dict[str, Any]


def train(
    body: keras.Model, spec: FeatureSetSpec, scans: LabelledScans, recipe: BackboneRecipe, *,
    start: Start | None, folder: Path, key: str, watch: Watch, threads: int = 2,
) -> Trained:  # fmt: skip
    """Fine-tune the last blocks of `body` behind a stored head, or train all of it without one.

    `spec` says how pixels are prepared and normalised; `folder` holds activations and checkpoints, to go on from.
    The same seed gives the same network, within the rounding of the processor's threads.
    Raises NotTrainable; HeadRefused where step zero is not the stored head; Cancelled as `watch` says.
    """
    scans.check()
    keras.utils.set_random_seed(recipe.seed)
    started = time.perf_counter()
    codes = _codes(scans, recipe)
    if start is None:
        learner, trunk, shape = _from_scratch(body, spec, scans, recipe)
    else:
        learner, trunk, shape = _fine_tuned(body, spec, recipe, start)
    cached = Activations(folder, codes, shape)
    cached.fill(scans.pixels, trunk, threads=threads, on_progress=watch.on_filled, checkpoint=watch.checkpoint)
    filled = time.perf_counter()
    rows = _rows(scans, learner)
    zero = None if start is None else step_zero(learner, cached, rows, start, scans)
    curve = fit(learner, cached, rows, recipe, folder=folder, key=key, watch=watch)
    report = _report(scans, recipe, curve, cached, zero)
    report["seconds"] = {"activations": round(filled - started, 1), "fit": round(time.perf_counter() - filled, 1)}
    return Trained(arrays(body), curve, report)


def step_zero(
    learner: Learner, cached: Activations, rows: Rows, start: Start, scans: LabelledScans
) -> dict[str, float]:
    """How far the network's answers before any step are from the stored head's. Raises HeadRefused if it is another.

    Weights that were not loaded, batch statistics, another normalisation: all of them show here, before an hour of
    training.
    """
    own = np.exp(log_softmax(answers(learner, cached, rows.held)))
    y = rows.y[rows.held]
    here, stored = (_decided(said, rows) for said in (own, start.said))
    changed = int((here != stored).sum())
    found = {
        "rows": len(y),
        "largest_difference": float(np.abs(own - start.said).max()),
        "decisions_changed": changed,
        "accuracy": float((here == y).mean()),
        "stored_accuracy": float((stored == y).mean()),
    }
    if changed > max(1, MOST_CHANGED * len(y)):
        raise HeadRefused(
            f"Before the first step the network decides {changed} of {len(y)} held-out scans otherwise than the stored "
            f"head of {', '.join(scans.classes)} does: its weights or pixels are not those of the stored vectors."
        )
    return found


def _fine_tuned(
    body: keras.Model, spec: FeatureSetSpec, recipe: BackboneRecipe, start: Start
) -> tuple[Learner, Callable[[Float32], Float32], tuple[int, ...]]:
    trunk, tail = cut(body, boundary(spec.backbone, recipe.blocks))
    head = StoredHead(start.artifact)
    learner = Learner(tail, head, weight_decay=recipe.weight_decay, batch_statistics=False)
    return learner, runner(fed(trunk, spec.preprocessing)), tuple(trunk.output_shape[1:])


def _from_scratch(
    body: keras.Model, spec: FeatureSetSpec, scans: LabelledScans, recipe: BackboneRecipe
) -> tuple[Learner, Callable[[Float32], Float32], tuple[int, ...]]:
    """Nothing stays, so what is kept are the pixels."""
    head = NewHead(2 * body.output_shape[-1], len(scans.classes), recipe.seed)
    whole = fed(body, spec.preprocessing)
    learner = Learner(whole, head, weight_decay=recipe.weight_decay, batch_statistics=True)
    return learner, lambda pixels: pixels, (spec.preprocessing.height, spec.preprocessing.width)


def _codes(scans: LabelledScans, recipe: BackboneRecipe) -> list[tuple[int, ...]]:
    """Held-out rows are judged as they are; the others are learned from as themselves and as copies."""
    copies = tuple(named(recipe.augmentation, mirrored=scans.mirrored).codes(recipe.copies)) if recipe.copies else ()
    return [(0,) if held else (0, *copies) for held in scans.held.tolist()]


def _rows(scans: LabelledScans, learner: Learner) -> Rows:
    threshold = learner.head.metadata.threshold if isinstance(learner.head, StoredHead) else 0.5
    return Rows(
        y=scans.y, learned=np.flatnonzero(~scans.held), held=np.flatnonzero(scans.held), classes=len(scans.classes),
        positive=scans.classes.index(scans.positive), threshold=threshold,
    )  # fmt: skip


def _decided(said: NDArray[Any], rows: Rows) -> Ints:
    others = np.array(said, np.float64)
    others[:, rows.positive] = -1
    return np.where(said[:, rows.positive] >= rows.threshold, rows.positive, others.argmax(axis=1))


def _report(
    scans: LabelledScans,
    recipe: BackboneRecipe,
    curve: list[Point],
    cached: Activations,
    zero: Mapping[str, float] | None,
) -> dict[str, Any]:
    best = min(curve, key=lambda point: point["validation"]["loss"])
    return {
        "best_epoch": best["epoch"],
        "improved": best["epoch"] > 0,
        "epochs": len(curve) - 1,
        "start": curve[0]["validation"],
        "best": best["validation"],
        "step_zero": None if zero is None else dict(zero),
        "rows": {"learned": int((~scans.held).sum()), "validated": int(scans.held.sum()), "versions": cached.versions},
        "subjects": {
            "learned": len(np.unique(scans.groups[~scans.held])), "validated": len(np.unique(scans.groups[scans.held])),
        },
        "recipe": recipe.to_json(),
    }  # fmt: skip
