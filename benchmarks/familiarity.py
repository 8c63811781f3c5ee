"""`python -m benchmarks.familiarity`: which scans the starter heads take for strangers, and how far those lie.

Every group is prepared and described as each head's feature set does it. Films are what two of the heads were trained
on, so for these it is measured by patients apart: against what the films of the other patients make familiar.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import sklearn.datasets
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.table import Table
from sklearn.model_selection import GroupKFold

from app.features.weights import CURRENT
from app.features.weights.resolution import BUNDLE
from app.heads.familiarity import FEWEST_ROWS, Familiarity
from app.heads.scoring import Head
from app.imaging import prepare as prepared_pixels
from app.simulator import RANDOM
from benchmarks.backbone import corpus
from benchmarks.backbone.corpus import VIEWS, Drawn, File
from benchmarks.backbone.prepared import Facts, Job, Picture, Prepared, prepare
from benchmarks.backbone.simulated import Asked, OfDay, code
from benchmarks.backbone.vectors import Backbone, usable_precision
from benchmarks.starters import KINDS, PLAIN, STARTERS

SEED = 15
SIDE = 224
FILMS = "chest, patients apart"
FOLDS = 5
FEWEST_FILMS = 2 * FEWEST_ROWS


@dataclass(frozen=True)
class NoXRay(Drawn):
    """Grey pixels that are no X-ray: a crop of a photograph of scikit-learn's, noise, or a flat field."""

    what: str
    number: int
    views: tuple[str, ...]

    def make(self) -> list[Picture]:
        plane = crop(self.number) if self.what == "photograph" else field(self.number)
        return [(prepared_pixels(plane, VIEWS[view]), {"view": view}) for view in self.views]


def crop(number: int) -> NDArray[np.float32]:
    """A square of a photograph, grey, of 120 to 400 pixels a side."""
    rng = np.random.default_rng([SEED, number])
    photographs = sklearn.datasets.load_sample_images().images
    whole = np.asarray(Image.fromarray(photographs[number % len(photographs)]).convert("L"), np.float32)
    side = int(rng.integers(120, 401))
    top, left = (int(rng.integers(0, size - side + 1)) for size in whole.shape)
    return np.ascontiguousarray(whole[top : top + side, left : left + side]) / np.float32(255)


def field(number: int) -> NDArray[np.float32]:
    """White noise, noise of patches of 8 pixels, or one grey all over."""
    rng = np.random.default_rng([SEED, number])
    if number % 3 == 0:
        return rng.random((SIDE, SIDE), np.float32)
    if number % 3 == 1:
        return np.repeat(np.repeat(rng.random((SIDE // 8, SIDE // 8), np.float32), 8, 0), 8, 1)
    return np.full((SIDE, SIDE), rng.random(), np.float32)


def groups(folder: Path, simulated: int, films: int | None) -> Iterator[tuple[str, Sequence[Job]]]:
    """Scans by what they are, as every view prepares them."""
    views = tuple(VIEWS)

    def seen(files: Sequence[File]) -> list[File]:
        return [replace(file, views=views) for file in files]

    yield "simulated, held out", [OfDay(SEED, index, views) for index in range(simulated)]
    random = (Asked("", (SEED, n), RANDOM, n % 2 == 0, views=views) for n in range(simulated))
    yield "simulated, scanners at random", list(random)
    yield "real containers", seen(corpus.containers(folder))
    yield FILMS, seen(corpus.chest(folder, films))
    yield "chest, original size", seen(corpus.original_size(folder))
    yield "chest, COVID-19, other hospitals", seen(corpus.covid(folder, None))
    sides = seen(corpus.orientation(folder))
    for y, name in enumerate(("frontal", "lateral")):
        yield f"chest, {name}, other hospitals", [file for file in sides if file.y == y]
    yield "crops of photographs in grey", [NoXRay("photograph", number, views) for number in range(100)]
    yield "noise, flat fields", [NoXRay("field", number, views) for number in range(36)]


@dataclass(frozen=True)
class Starter:
    """A head that ships, and the view of a scan that its feature set describes."""

    task: str
    view: str
    familiarity: Familiarity

    @property
    def name(self) -> str:
        return f"{self.task}, {'plain pixels' if self.view == 'plain' else f'{self.view} profile'}"


def starters() -> Iterator[Starter]:
    for profile, kind in KINDS.items():
        for view, feature_set in (("plain", PLAIN), (profile, kind.prepared)):
            familiar = Head.load((STARTERS / f"{kind.stem(feature_set)}.onnx").read_bytes()).familiarity
            assert familiar is not None, f"{kind.task}: a starter head without references"
            yield Starter(kind.task, view, familiar)


def measure(head: Starter, group: str, scans: Prepared, backbone: Backbone) -> Facts:
    """How many scans of a group the head refuses, and the distances of the nearest and the furthest."""
    mine = scans.column("view") == head.view
    avg = backbone.vectors(scans).avg[mine]
    if group == FILMS and head.task == KINDS["chest"].task:
        distances, limits = apart(avg, scans.column("subject")[mine])
    else:
        distances, limits = head.familiarity.distances(avg), np.full(len(avg), head.familiarity.limit)
    return {
        "head": head.name, "limit": head.familiarity.limit, "group": group, "scans": len(avg),
        "refused": float((distances > limits).mean()),
        "nearest": float(distances.min()), "furthest": float(distances.max()),
    }  # fmt: skip


def apart(avg: NDArray[np.float32], subjects: NDArray[Any]) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Each row's distance to what the other patients' films make familiar, and the limit there."""
    distances, limits = np.empty(len(avg), np.float32), np.empty(len(avg))
    for others, mine in GroupKFold(FOLDS).split(avg, groups=subjects):
        familiar = Familiarity.fit(avg[others], np.unique(subjects[others], return_inverse=True)[1])
        assert familiar is not None
        distances[mine], limits[mine] = familiar.distances(avg[mine]), familiar.limit
    return distances, limits


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.familiarity", description=__doc__)
    parser.add_argument("--corpus", type=Path, default=Path("../shared/corpus"))
    parser.add_argument("--simulated", type=int, default=1000, help="scans of a day, and as many of random scanners")
    parser.add_argument("--films", type=int, help="films to take, whole patients; all if not said")
    parser.add_argument("--cache", type=Path, help="folder for scans and vectors; without it nothing is kept")
    parser.add_argument("--json", action="store_true", help="print JSON")
    given = parser.parse_args()
    if given.films is not None and given.films < FEWEST_FILMS:
        parser.error(f"--films {given.films}: a head of fewer than {FEWEST_FILMS} films knows of no strangers")
    with tempfile.TemporaryDirectory(prefix="penumbra-familiarity-") as scratch:
        cache = given.cache or Path(scratch)
        backbone = Backbone.of(CURRENT.file, str(BUNDLE / CURRENT.file), usable_precision("bf16"), cache)
        heads, found = list(starters()), list[Facts]()
        for group, jobs in groups(given.corpus, given.simulated, given.films):
            scans = prepare(group.replace(", ", "-").replace(" ", "-"), jobs, cache, code=code)
            found += [measure(head, group, scans, backbone) for head in heads]
    if given.json:
        json.dump(found, sys.stdout, indent=1)
        print()
        return 0
    show(heads, found)
    return 0


def show(heads: Sequence[Starter], found: Sequence[Facts]) -> None:
    columns = [f"{head.name} (limit {head.familiarity.limit:.3f})" for head in heads]
    table = Table("refused, % (cosine distances)", "scans", *columns, title="Strangers", title_justify="left")
    for start in range(0, len(found), len(heads)):
        row = found[start : start + len(heads)]
        said = [f"{100 * one['refused']:.1f} ({one['nearest']:.3f} to {one['furthest']:.3f})" for one in row]
        table.add_row(row[0]["group"], f"{row[0]['scans']:,}", *said)
    Console(width=180).print(table)


if __name__ == "__main__":
    sys.exit(main())
