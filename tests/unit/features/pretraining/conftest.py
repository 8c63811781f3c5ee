"""A handful of simulated scenes and films, made once; and a network with one layer a block."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.features.pretraining import films as film_files
from app.features.pretraining.batches import Material
from app.features.pretraining.scenes import Scenes, Wanted, scenes


@pytest.fixture(scope="session")
def scene_folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("scenes")


@pytest.fixture(scope="session")
def some_scenes(scene_folder) -> Scenes:
    return scenes(scene_folder, Wanted(6, 4, seed=3))


@pytest.fixture(scope="session")
def film_folder(tmp_path_factory) -> Path:
    """Six smooth random films of two sizes."""
    folder = tmp_path_factory.mktemp("films")
    for number in range(6):
        rng = np.random.default_rng(number)
        small = Image.fromarray(rng.integers(20, 230, (9, 9), dtype=np.uint8))
        small.resize((200, 160 + 40 * (number % 2)), Image.Resampling.BICUBIC).save(folder / f"{number}.png")
    return folder


@pytest.fixture(scope="session")
def material(some_scenes, film_folder) -> Material:
    return Material(film_files.read(film_files.found([film_folder]))[0], some_scenes)
