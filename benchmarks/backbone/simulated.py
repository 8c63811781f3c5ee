"""The simulated scans: a day that heads learn from, hard ones, and scenes that are changed one thing at a time."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from app import imaging, simulator
from app.imaging import Preprocessing
from app.simulator import (
    HELD_OUT_SCANNERS,
    RANDOM,
    TRAINING_SCANNERS,
    Case,
    Scan,
    encode_jpeg,
    port_day,
    simulate,
    simulate_pair,
    simulate_views,
)
from benchmarks.backbone.change import BASE, HELD_OUT, LOAD, SCANNERS
from benchmarks.backbone.corpus import VIEWS, Drawn, views_of
from benchmarks.backbone.hard import CURVE, DAY, EMPTIES, UNKNOWN
from benchmarks.backbone.nuisances import NUISANCES
from benchmarks.backbone.prepared import Facts, Picture
from benchmarks.backbone.sizes import Sizes

DAY_SEED, EXTRA_SEED, CURVE_SEED, EMPTY_SEED, CASE_SEED, SCENE_SEED, UNKNOWN_SEED = 7, 8, 9, 10, 11, 12, 13
HIDDEN_KG = 50.0
LOADED_CASES = (Case.ONE_PALLET, Case.FLOOR_ONLY, Case.BY_DOOR, Case.FOAM)
EMPTY_CASES = (Case.DARK_EMPTY, Case.DIRT, Case.TRAILER)


@dataclass(frozen=True)
class OfDay(Drawn):
    """A scan of a port's day, as `penumbra simulate` draws it."""

    seed: int
    index: int
    views: tuple[str, ...]

    def make(self) -> list[Picture]:
        scan = next(port_day(self.index + 1, self.seed, start=self.index))
        return views_of(encode_jpeg(scan), self.views, {**facts(scan), "role": DAY})


@dataclass(frozen=True)
class Asked(Drawn):
    """A scan of one scanner, of a case or of none."""

    role: str
    seed: tuple[int, ...]
    scanner: str
    loaded: bool
    case: str | None = None
    mass_kg: float | None = None
    views: tuple[str, ...] = ("plain",)

    def make(self) -> list[Picture]:
        case = None if self.case is None else Case(self.case)
        rng = np.random.default_rng(self.seed)
        scan = simulate(rng, loaded=self.loaded, scanner=self.scanner, case=case, mass_kg=self.mass_kg)
        known = {**facts(scan), "role": self.role, "asked_kg": self.mass_kg or 0.0}
        return views_of(encode_jpeg(scan), self.views, known)


@dataclass(frozen=True)
class Changed:
    """One scene: as it is, with a hidden load, under each nuisance, and by other scanners. Never encoded: no nuisance
    is to be hidden by another one's JPEG."""

    scene: int
    count: int = 2 + len(NUISANCES) + 4

    @property
    def key(self) -> str:
        return repr((self, SCENE_SEED, HIDDEN_KG, VIEWS["plain"].digest))

    def make(self) -> list[Picture]:
        rng = np.random.default_rng([SCENE_SEED, self.scene])
        without, loaded = simulate_pair(rng, mass_kg=HIDDEN_KG)
        sign = 1.0 if self.scene % 2 else -1.0
        plane = grey(without)
        found = [(BASE, plane), (LOAD, grey(loaded))]
        found += [(name, change(plane, sign)) for name, change in NUISANCES.items()]
        for kinds, others in ((SCANNERS, TRAINING_SCANNERS), (HELD_OUT, HELD_OUT_SCANNERS)):
            first = _one_of(rng, TRAINING_SCANNERS)
            second = _one_of(rng, [name for name in others if name != first])
            views = simulate_views(rng, loaded=False, count=2, scanners=(first, second))
            found += [(kind, grey(view)) for kind, view in zip(kinds, views, strict=True)]
        return [(_plain(one), {"what": what, "scene": self.scene}) for what, one in found]


def day(count: int) -> list[OfDay]:
    """Scans that heads learn from, in both views: of training scanners alone, as the simulator draws them."""
    return [OfDay(DAY_SEED, index, ("container", "plain")) for index in range(count)]


def extra(count: int) -> list[Asked]:
    """Hard scans that heads learn from beside the day's, of training scanners: half of them hidden loads or cases of
    loading, half cases of emptiness. Masses are drawn evenly in their logarithm."""
    rng, made = np.random.default_rng(EXTRA_SEED), list[Asked]()
    for index in range(count):
        scanner, seed = _one_of(rng, TRAINING_SCANNERS), (EXTRA_SEED, index)
        mass_kg = float(np.exp(rng.uniform(0, np.log(500))))
        if index % 2:
            made.append(Asked("extra", seed, scanner, False, _of(EMPTY_CASES, index // 2)))
        elif index % 4:
            made.append(Asked("extra", seed, scanner, True, _of(LOADED_CASES, index // 4)))
        else:
            made.append(Asked("extra", seed, scanner, True, Case.HIDDEN_LOAD.value, mass_kg))
    return made


def unknown(count: int) -> list[Asked]:
    """Scans that heads learn from, each of a scanner drawn at random, in both views; half of either class, and of the
    loaded ones half are hidden loads. Masses are drawn evenly in their logarithm."""
    rng, made = np.random.default_rng(UNKNOWN_SEED), list[Asked]()
    contents: tuple[tuple[bool, Sequence[Case]], ...] = (
        (True, [Case.HIDDEN_LOAD]), (False, [Case.ORDINARY]), (True, LOADED_CASES), (False, [Case.ORDINARY]),
        (True, [Case.HIDDEN_LOAD]), (False, EMPTY_CASES), (True, [Case.ORDINARY]), (False, [Case.ORDINARY]),
    )  # fmt: skip
    for index in range(count):
        loaded, cases = contents[index % len(contents)]
        case = cases[index // len(contents) % len(cases)]
        mass_kg = float(np.exp(rng.uniform(np.log(3), np.log(500)))) if case is Case.HIDDEN_LOAD else None
        seed = (UNKNOWN_SEED, index)
        made.append(Asked(UNKNOWN, seed, RANDOM, loaded, case.value, mass_kg, ("container", "plain")))
    return made


def hard(sizes: Sizes) -> list[Asked]:
    """Scans of scanners that no head was trained on: hidden loads by mass, the same scenes for each; empties; cases."""
    made = [
        Asked(CURVE, (CURVE_SEED, index), _of(HELD_OUT_SCANNERS, index), True, Case.HIDDEN_LOAD.value, mass_kg)
        for mass_kg in sizes.masses_kg for index in range(sizes.per_mass)
    ]  # fmt: skip
    made += [
        Asked(EMPTIES, (EMPTY_SEED, index), _of(HELD_OUT_SCANNERS, index), False) for index in range(sizes.empties)
    ]
    for number, case in enumerate((*LOADED_CASES, *EMPTY_CASES)):
        loaded = case in LOADED_CASES
        for index in range(sizes.per_case):
            seed, scanner = (CASE_SEED, number, index), _of(HELD_OUT_SCANNERS, index)
            made.append(Asked(case.value, seed, scanner, loaded, case.value))
    return made


def scenes(count: int) -> list[Changed]:
    return [Changed(scene) for scene in range(count)]


def facts(scan: Scan) -> Facts:
    truth = scan.truth
    return {
        "y": int(truth.class_name == "loaded"), "scanner": truth.scanner, "case": str(truth.case),
        "mass_kg": round(truth.cargo_mass_kg, 2), "place": str(truth.place) if truth.place else None,
    }  # fmt: skip


def grey(scan: Scan) -> NDArray[np.float32]:
    """As displayed: colours by their brightness, as decoding takes them."""
    return np.asarray(Image.fromarray(scan.pixels).convert("L"), np.float32) / np.float32(255)


def code() -> str:
    """A digest of all code that these scans come from, so that none of an older simulator is taken for today's."""
    digest = hashlib.sha256()
    for package in (simulator, imaging):
        for file in sorted(Path(str(package.__file__)).parent.rglob("*.py")):
            digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()


def _plain(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    return imaging.prepare(np.ascontiguousarray(plane), Preprocessing())


def _of(names: Sequence[Any], index: int) -> str:
    return str(names[index % len(names)])


def _one_of(rng: np.random.Generator, names: Sequence[str]) -> str:
    return names[int(rng.integers(len(names)))]
