"""What one step sees: films, views of scenes and pairs, in a fixed order; drawn from the seed and the step alone."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from app.features.pretraining.nuisance import (
    Bytes,
    Grey,
    Placing,
    film_placing,
    jittered,
    placed,
    scan_placing,
    showing,
    shown,
)
from app.features.pretraining.recipe import PretrainingRecipe
from app.features.pretraining.scenes import Scenes, drawn

AHEAD = 3
MASS_UNIT_KG = 1.0
STRIDE = 32
FILM_NUISANCE = 0.5
"""Of what simulated scans are varied by: viewers of films are set more alike, and detail is what films are about."""


@dataclass(frozen=True)
class Material:
    """All there is to learn from: films uint8 (n, side, side), and simulated scenes; either may be absent."""

    films: Bytes | None
    scenes: Scenes | None


@dataclass(frozen=True)
class Batch:
    """seen float32 (n, side, side): what the student is shown, in the order films, views (first, second), pairs
    (without, with). clean (m, side, side): films and first views as the teacher is shown them.

    truth of the n - films simulated ones: presence (k,), log_mass (k,) as log10(1 + kg), family (k,), and cells
    (k, map, map), the share of each cell of the last feature map that cargo covers.
    """

    seen: Grey
    clean: Grey
    truth: dict[str, NDArray[np.generic]]


def batch(material: Material, recipe: PretrainingRecipe, step: int) -> Batch:
    """The batch of a step: the same in every process."""
    rng = np.random.default_rng([recipe.seed, step])
    side = recipe.phase_of(step).side
    films = [_film(rng, material, side, recipe.nuisance) for _ in range(recipe.films)]
    chosen = [] if material.scenes is None else list(drawn(rng, material.scenes, recipe.views, recipe.pairs))
    views = [_view(rng, material.scenes, index, side, recipe.nuisance) for index in chosen[: recipe.views]]
    pairs = [_pair(rng, material.scenes, index, side, recipe.nuisance) for index in chosen[recipe.views :]]
    seen = [film[1] for film in films]
    seen += [one[number] for group in (views, pairs) for number in (0, 1) for one in group]
    cells = [one[number] for group in (views, pairs) for number in (2, 3) for one in group]
    clean = [film[0] for film in films] + [one[4] for one in views]
    order = [(index, number) for group in (chosen[: recipe.views], chosen[recipe.views :])
             for number in (0, 1) for index in group]  # fmt: skip
    return Batch(_stack(seen, side), _stack(clean, side), _truth(material.scenes, order, cells))


def _stack(planes: list[Grey], side: int) -> Grey:
    return np.stack(planes) if planes else np.zeros((0, side, side), np.float32)


def _film(rng: np.random.Generator, material: Material, side: int, strength: float) -> tuple[Grey, Grey]:
    assert material.films is not None
    plane = material.films[int(rng.integers(len(material.films)))]
    clean = placed(plane, film_placing(rng), side)
    return clean, shown(clean, showing(rng, FILM_NUISANCE * strength))


def _view(rng: np.random.Generator, scenes: Scenes | None, index: int, side: int, strength: float) -> tuple[Grey, ...]:
    """Two views of a scene, the cells of each, and the first as the teacher is shown it."""
    assert scenes is not None
    first = scan_placing(rng, scenes.boxes[index, 0])
    second = jittered(rng, first)
    planes = [placed(scenes.planes[index, n], place, side) for n, place in enumerate((first, second))]
    cells = [_cells(scenes.cargo[index, n], place, side) for n, place in enumerate((first, second))]
    return (*(shown(plane, showing(rng, strength)) for plane in planes), *cells, planes[0])


def _pair(rng: np.random.Generator, scenes: Scenes | None, index: int, side: int, strength: float) -> tuple[Grey, ...]:
    """A container without and with its load, placed and shown alike, and the cells of each."""
    assert scenes is not None
    place, how = scan_placing(rng, scenes.boxes[index, 0]), showing(rng, strength)
    planes = [shown(placed(scenes.planes[index, n], place, side), how) for n in (0, 1)]
    return (*planes, *(_cells(scenes.cargo[index, n], place, side) for n in (0, 1)))


def _cells(cargo: Bytes, place: Placing, side: int) -> Grey:
    return placed(cargo, place, side // STRIDE, Image.Resampling.BOX)


def _truth(scenes: Scenes | None, order: list[tuple[int, int]], cells: list[Grey]) -> dict[str, NDArray[np.generic]]:
    if scenes is None or not order:
        return {}
    rows, numbers = (np.array(part) for part in zip(*order, strict=True))
    mass, family = scenes.mass_kg[rows, numbers], scenes.family[rows, numbers]
    return {
        "presence": (family > 0).astype(np.float32),
        "log_mass": np.log10(1 + mass / MASS_UNIT_KG).astype(np.float32),
        "family": family,
        "cells": np.stack(cells),
    }


def batches(material: Material, recipe: PretrainingRecipe, start: int) -> Iterator[Batch]:
    """The batches of steps `start` to the last, made on a thread while the step before is taken."""
    with ThreadPoolExecutor(1, "batches") as pool:
        coming: list[Future[Batch]] = []
        try:
            for step in range(start, recipe.steps):
                while len(coming) < AHEAD and step + len(coming) < recipe.steps:
                    coming.append(pool.submit(batch, material, recipe, step + len(coming)))
                yield coming.pop(0).result()
        finally:
            pool.shutdown(cancel_futures=True)
