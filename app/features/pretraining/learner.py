"""Student, teacher and what is asked of the student, as one Keras model; on any of Keras's backends. Loads Keras."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from app.features.pretraining.network import Tensor, channel_axis, spatial_axes
from app.features.pretraining.recipe import PretrainingRecipe
from app.features.pretraining.scenes import FAMILIES
from app.imaging.preprocessing import IMAGENET_MEAN, IMAGENET_STD

LARGEST_NORM = 5.0
LEAST_SHARE = 0.3
"""No channel's spread counts as less than this share of the median one, or rare channels would drown the others."""
MASS_WEIGHT, FAMILY_WEIGHT, PEAK_SHARE = 0.5, 0.3, 0.25
PARTS = ("map", "avg", "max", "presence", "mass", "family", "cells", "ratio")


@dataclass(frozen=True)
class Spread:
    """Standard deviations of the features to be resembled, one a channel, float32 (1024,): what losses divide by.

    `map` over positions and scans, `avg` and `max` over scans.
    """

    map: NDArray[np.float32]
    avg: NDArray[np.float32]
    max: NDArray[np.float32]

    @classmethod
    def of(cls, maps: NDArray[np.float32]) -> "Spread":
        """From last feature maps, float32 (n, rows, columns, 1024)."""
        return cls(*(_floored(np.std(one, axis=axes)) for one, axes in (
            (maps, (0, 1, 2)), (maps.mean((1, 2)), 0), (maps.max((1, 2)), 0),
        )))  # fmt: skip


def _floored(spread: NDArray[np.floating]) -> NDArray[np.float32]:
    return np.asarray(np.maximum(spread, LEAST_SHARE * np.median(spread)), np.float32)


def normalised(grey: Tensor) -> Tensor:
    """Grey (n, side, side) in [0, 1] to the RGB that DenseNet121 reads, laid out as `network` wants it."""
    rgb = ops.stack([(grey - mean) / std for mean, std in zip(IMAGENET_MEAN, IMAGENET_STD, strict=True)], axis=-1)
    # A view that keeps the channels last in memory, which is the layout that PyTorch computes fastest.
    return ops.transpose(rgb, (0, 3, 1, 2)) if channel_axis() == 1 else rgb


class Learner(keras.Model):  # type: ignore[misc]  # Keras has no types
    """The student with linear heads for the truth of simulated scans, beside a teacher that stays as it is.

    Heads are linear on standardised poolings, for that is all that heads in use will be.
    """

    def __init__(
        self, student: keras.Model, teacher: keras.Model | None, spread: Spread, recipe: PretrainingRecipe
    ) -> None:
        super().__init__(name="pretraining")
        self.student, self.teacher, self.recipe = student, teacher, recipe
        if teacher is not None:
            teacher.trainable = False
        dense = {"presence": 1, "mass": 1, "family": len(FAMILIES)}
        self.heads = {name: keras.layers.Dense(size, dtype="float32", name=name) for name, size in dense.items()}
        self.cells = keras.layers.Dense(1, dtype="float32", name="cells")
        for head in (*self.heads.values(), self.cells):
            head.trainable = bool(recipe.truth and recipe.simulated)
        self._spread = spread
        self.parts = {name: keras.metrics.Mean(name=name) for name in PARTS}

    def call(self, inputs: Mapping[str, Tensor], training: bool | None = None) -> dict[str, Tensor]:
        """Feature map (n, rows, columns, 1024), poolings, and what the heads say of the simulated ones."""
        with_statistics = bool(training) and self.recipe.batch_statistics
        found = self.student(normalised(inputs["seen"]), training=with_statistics)
        outputs = self._features(found)
        avg, peak = ops.divide(outputs["avg"], self._spread.avg), ops.divide(outputs["max"], self._spread.max)
        simulated = ops.concatenate([avg, peak], axis=-1)[self.recipe.films :]
        outputs |= {name: head(simulated) for name, head in self.heads.items()}
        place = ops.divide(outputs["map"][self.recipe.films :], self._spread.map)
        return outputs | {"cells": self.cells(place)[..., 0], "standard": ops.concatenate([avg, peak], axis=-1)}

    def _features(self, found: Tensor) -> dict[str, Tensor]:
        found = ops.cast(found, "float32")
        avg, peak = ops.mean(found, spatial_axes()), ops.max(found, spatial_axes())
        last = ops.transpose(found, (0, 2, 3, 1)) if channel_axis() == 1 else found
        return {"map": last, "avg": avg, "max": peak}

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Tensor:
        del sample_weight, training
        recipe, loss = self.recipe, ops.zeros((), "float32")
        for weight, parts in (
            (recipe.distillation, self._distillation(x, y_pred)),
            (recipe.truth, self._truth(y, y_pred)),
            (recipe.invariance, self._invariance(y_pred)),
        ):
            for name, (share, value) in parts.items() if weight else ():
                self.parts[name].update_state(value)
                loss = loss + weight * share * value
        return loss

    def _distillation(self, x: Mapping[str, Tensor], said: Mapping[str, Tensor]) -> dict[str, tuple[float, Tensor]]:
        """How far features of scans as shown are from the teacher's of the same scans, shown plainly."""
        if self.teacher is None or not self.recipe.distillation:
            return {}
        wanted = self._features(ops.stop_gradient(self.teacher(normalised(x["clean"]), training=False)))
        films, spread = self.recipe.films, self._spread

        def apart(name: str) -> Tensor:
            # Films, and behind them the first view of each scene.
            return ops.divide(said[name][: films + self.recipe.views] - wanted[name], getattr(spread, name))

        return {
            "map": (2.0, _huber(apart("map"))),
            "avg": (0.25, ops.mean(ops.square(apart("avg")))),
            "max": (0.25, ops.mean(ops.square(apart("max"))) * PEAK_SHARE),
        }

    def _truth(self, y: Mapping[str, Tensor], said: Mapping[str, Tensor]) -> dict[str, tuple[float, Tensor]]:
        if not self.recipe.simulated or not self.recipe.truth:
            return {}
        from_logits = keras.losses.BinaryCrossentropy(from_logits=True)
        family = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        return {
            "presence": (1.0, from_logits(y["presence"], said["presence"][:, 0])),
            "mass": (MASS_WEIGHT, _huber(ops.subtract(said["mass"][:, 0], y["log_mass"]))),
            "family": (FAMILY_WEIGHT, family(y["family"], said["family"])),
            "cells": (1.0, from_logits(y["cells"], said["cells"])),
        }

    def _invariance(self, said: Mapping[str, Tensor]) -> dict[str, tuple[float, Tensor]]:
        """Logarithm of the change between two views of a scene over the change that a hidden load makes."""
        films, views, pairs = self.recipe.films, self.recipe.views, self.recipe.pairs
        if not (views and pairs) or not self.recipe.invariance:
            return {}
        standard = said["standard"]
        first, second = standard[films : films + views], standard[films + views : films + 2 * views]
        start = films + 2 * views
        without, loaded = standard[start : start + pairs], standard[start + pairs :]
        nuisance, load = _distance(first, second), _distance(without, loaded)
        return {"ratio": (1.0, ops.log(nuisance + 1e-3) - ops.log(load + 1e-3))}


def _huber(difference: Tensor) -> Tensor:
    """Smooth L1, mean over all (Girshick, "Fast R-CNN", ICCV 2015, equation 3)."""
    size = ops.abs(difference)
    return ops.mean(ops.where(size < 1, 0.5 * ops.square(size), size - 0.5))


def _distance(a: Tensor, b: Tensor) -> Tensor:
    """Mean cosine distance of rows."""
    return 1 - ops.mean(ops.sum(ops.normalize(a, axis=-1) * ops.normalize(b, axis=-1), axis=-1))


def learned(learner: Learner) -> list[keras.Variable]:
    """Every variable that a training changes, in a fixed order: the student's and the heads', not the teacher's."""
    heads = [variable for head in (*learner.heads.values(), learner.cells) for variable in head.variables]
    return [*learner.student.variables, *heads]
