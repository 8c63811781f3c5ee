"""Simulated scans kept on disk at the size that training draws from: made once, by all cores, the same every time."""

import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from app.errors import ConfigurationError
from app.simulator import RANDOM, TRAINING_SCANNERS, Family, Scan, simulate_pair, simulate_views

Bytes = NDArray[np.uint8]
Progress = Callable[[int, int], None]

HEIGHT, WIDTH = 256, 320
CELL = 4
"""Pixels of a plane to a cell of its map of cargo."""
LIGHTEST_KG, HEAVIEST_KG = 2.0, 400.0
FAMILIES = (None, *Family)
PIECE = 32
KEPT = "scenes.json"


@dataclass(frozen=True)
class Scenes:
    """`count` scenes, each scanned twice; of views first, then of pairs (without and with a hidden load).

    planes uint8 (count, 2, HEIGHT, WIDTH), light background; cargo uint8 (count, 2, HEIGHT / CELL, WIDTH / CELL), 0 to
    255 for the share of a cell that boxes of cargo cover; boxes float32 (count, 2, 4), the container's left, top,
    right and bottom as shares of the frame; mass_kg float32 (count, 2); family int64 (count, 2) into FAMILIES.
    """

    planes: Bytes
    cargo: Bytes
    boxes: NDArray[np.float32]
    mass_kg: NDArray[np.float32]
    family: NDArray[np.int64]
    views: int

    @property
    def pairs(self) -> int:
        return len(self.planes) - self.views

    @classmethod
    def read(cls, folder: Path, views: int) -> Self:
        """Raises ConfigurationError for a folder whose files cannot be read."""
        try:
            arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in _shapes(1)}
        except (OSError, ValueError) as error:
            raise ConfigurationError(f"Simulated scenes in {folder} cannot be read ({error}): delete it.") from error
        return cls(**arrays, views=views)


@dataclass(frozen=True)
class Wanted:
    """What decides every scene: `views` come first, each by two scanners, then `pairs`, each by one.

    With `random_scanners` half of all scans are by scanners that are drawn at random.
    """

    views: int
    pairs: int
    seed: int
    random_scanners: bool = True

    @property
    def scanners(self) -> tuple[str, ...]:
        return (*TRAINING_SCANNERS, RANDOM) if self.random_scanners else TRAINING_SCANNERS


def _shapes(count: int) -> dict[str, tuple[tuple[int, ...], str]]:
    return {
        "planes": ((count, 2, HEIGHT, WIDTH), "|u1"),
        "cargo": ((count, 2, HEIGHT // CELL, WIDTH // CELL), "|u1"),
        "boxes": ((count, 2, 4), "<f4"),
        "mass_kg": ((count, 2), "<f4"),
        "family": ((count, 2), "<i8"),
    }


def scenes(folder: Path, wanted: Wanted, on_progress: Progress = lambda *_: None) -> Scenes:
    """These scenes from `folder`, simulated there first where they are not whole yet.

    Scene i depends on the seed, on i and on which scanners there are only. Raises ConfigurationError where the folder
    cannot be written.
    """
    told = {**asdict(wanted), "size": [HEIGHT, WIDTH], "scanners": list(wanted.scanners)}
    kept = folder / KEPT
    try:
        if not kept.is_file() or json.loads(kept.read_text()) != told:
            _make(folder, wanted, on_progress)
            kept.write_text(json.dumps(told))
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"Simulated scenes cannot be kept in {folder} ({error}): name another.") from error
    return Scenes.read(folder, wanted.views)


def _make(folder: Path, wanted: Wanted, on_progress: Progress) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / KEPT).unlink(missing_ok=True)
    count = wanted.views + wanted.pairs
    files = {
        name: np.lib.format.open_memmap(folder / f"{name}.npy", mode="w+", dtype=kind, shape=shape)
        for name, (shape, kind) in _shapes(count).items()
    }
    # Fork would copy the threads of a loaded framework; spawned processes start clean.
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        pieces = [(wanted, start, min(start + PIECE, count)) for start in range(0, count, PIECE)]
        for (_, start, end), made in zip(pieces, pool.map(_piece, pieces), strict=True):
            for name, values in made.items():
                files[name][start:end] = values
            on_progress(end, count)
    for file in files.values():
        file.flush()


def _piece(asked: tuple[Wanted, int, int]) -> dict[str, NDArray[Any]]:
    wanted, start, end = asked
    rows = [[_reduced(scan) for scan in _scene(wanted, index)] for index in range(start, end)]
    return {name: np.stack([np.stack([one[name] for one in row]) for row in rows]) for name in rows[0][0]}


def _scene(wanted: Wanted, index: int) -> tuple[Scan, Scan]:
    rng = np.random.default_rng([wanted.seed, index])
    if index >= wanted.views:
        mass = float(np.exp(rng.uniform(np.log(LIGHTEST_KG), np.log(HEAVIEST_KG))))
        known = TRAINING_SCANNERS[int(rng.integers(len(TRAINING_SCANNERS)))]
        scanner = RANDOM if wanted.random_scanners and rng.random() >= 0.5 else known
        return simulate_pair(rng, mass_kg=mass, scanner=scanner)
    first, second = simulate_views(rng, count=2, scanners=wanted.scanners)
    return first, second


def _reduced(scan: Scan) -> dict[str, Any]:
    truth = scan.truth
    height, width = scan.pixels.shape[:2]
    grey = Image.fromarray(scan.pixels).convert("L").resize((WIDTH, HEIGHT), Image.Resampling.BILINEAR)
    plane = np.asarray(grey)
    x, y, w, h = truth.container_box
    return {
        "planes": 255 - plane if truth.inverted else plane,
        "cargo": _cells(truth.boxes, (height, width)),
        "boxes": np.array([x / width, y / height, (x + w) / width, (y + h) / height], np.float32),
        "mass_kg": np.float32(truth.cargo_mass_kg),
        "family": np.int64(FAMILIES.index(truth.family)),
    }


def _cells(boxes: tuple[tuple[int, int, int, int], ...], shape: tuple[int, int]) -> Bytes:
    """How much of each cell is covered by boxes of cargo, 0 to 255."""
    covered = np.zeros(shape, np.uint8)
    for x, y, w, h in boxes:
        covered[y : y + h, x : x + w] = 255
    size = (WIDTH // CELL, HEIGHT // CELL)
    return np.asarray(Image.fromarray(covered).resize(size, Image.Resampling.BOX))


def drawn(rng: np.random.Generator, kept: Scenes, views: int, pairs: int) -> Iterator[int]:
    """Indexes of scenes for one step: views, then pairs; each without repetition while there are enough."""
    yield from (int(i) for i in rng.choice(kept.views, views, replace=views > kept.views))
    yield from (kept.views + int(i) for i in rng.choice(kept.pairs, pairs, replace=pairs > kept.pairs))
