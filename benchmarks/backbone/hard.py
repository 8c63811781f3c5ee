"""Hard simulated cases on scanners that no head was trained on: how much is found at 1 % false alarms."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.heads.metrics import roc_auc
from app.heads.pooling import Pooling
from benchmarks.backbone.figures import REPLICATES, SEED, Margins, between, share
from benchmarks.backbone.kept import tuned
from benchmarks.backbone.pairs import pairs
from benchmarks.backbone.prepared import Prepared
from benchmarks.backbone.questions import HEADLINE
from benchmarks.backbone.vectors import Backbone, Selection, where

FALSE_ALARMS = 0.01
EACH, OWN, TRANSFERRED = "each", "own", "transferred"
THRESHOLDS = (EACH, OWN, TRANSFERRED)
"""Where a limit is found: among the empties of each tested scanner for its own scans, as when it is commissioned;
among those of all tested scanners together; among those of scanners drawn at random, which the head was trained on, as
when nothing is known of the tested ones."""
DAY, UNKNOWN, CURVE, EMPTIES = "day", "unknown", "curve", "empties"  # roles of scans; others are names of cases


@dataclass(frozen=True, eq=False)
class Scored:
    """Margins of one head: of the tested scans, by role and mass, and out of fold of the empties that it was trained
    on of scanners drawn at random."""

    curve: dict[float, Margins]
    cases: dict[str, Margins]
    empties: Margins
    trained_empties: Margins
    c: float
    curve_scanners: NDArray[Any]  # of each scene, and so of each of a mass's margins
    curve_places: dict[float, NDArray[Any]]  # where each load is hidden
    case_scanners: dict[str, NDArray[Any]]
    empties_scanners: NDArray[Any]

    @cached_property
    def limits(self) -> dict[str, dict[str, float]]:
        """By way and scanner: a scan is called loaded above its limit."""
        return {way: limits(way, self.empties, self.trained_empties, self.empties_scanners) for way in THRESHOLDS}

    def above(self, way: str, margins: Margins, scanners: NDArray[Any]) -> NDArray[np.bool_]:
        """Which of these are called loaded."""
        return margins > bounds(self.limits[way], scanners)


def limits(way: str, empties: Margins, trained_empties: Margins, scanners: NDArray[Any]) -> dict[str, float]:
    """By scanner of the tested `empties`."""
    names = sorted(str(name) for name in set(scanners))
    if way == EACH:
        return {name: limit(empties[scanners == name]) for name in names}
    return dict.fromkeys(names, limit(empties if way == OWN else trained_empties))


def bounds(by_scanner: dict[str, float], scanners: NDArray[Any]) -> Margins:
    """The limit of each scan; of a scanner that has none, the highest."""
    names, rows = np.unique(scanners, return_inverse=True)
    highest = max(by_scanner.values())
    return np.array([by_scanner.get(str(name), highest) for name in names])[rows]


def limit(empties: Margins, alarms: float = FALSE_ALARMS) -> float:
    """The margin that at most this share of `empties` lies above."""
    return float(np.sort(empties)[::-1][int(alarms * len(empties))])


def measure(learned: Selection, tested: Prepared, backbones: Sequence[Backbone]) -> dict[str, Any]:
    """Figures by backbone and pooling of heads trained on `learned`, and what the backbones differ by."""
    found, figures = dict[str, Scored](), dict[str, Any]()
    for backbone in backbones:
        by_pooling = {pooling: _scored(learned, tested, backbone, pooling) for pooling in Pooling}
        found[backbone.name] = by_pooling[HEADLINE]
        figures[backbone.name] = {pooling.value: _figures(tested, one) for pooling, one in by_pooling.items()}
    return {
        "trained": len(learned),
        "trained_loaded": int(learned.column("y").sum()),
        "empties": len(where(tested, "role", EMPTIES)),
        "scenes": len(next(iter(found[backbones[0].name].curve.values()))),
        "masses_kg": sorted(found[backbones[0].name].curve),
        "backbones": figures,
        "differences": [
            {"of": one, "from": other, **_difference(found[one], found[other])} for one, other in pairs(list(found))
        ],
    }


def _scored(learned: Selection, tested: Prepared, backbone: Backbone, pooling: Pooling) -> Scored:
    x, y = learned.vectors(backbone).features(pooling), learned.column("y")
    found = tuned(x, y, np.arange(len(y)), backbone.cache)
    margins = found.head.margins(backbone.vectors(tested).features(pooling))
    roles, masses, places = (tested.column(name) for name in ("role", "asked_kg", "place"))
    scanners, on_curve = tested.column("scanner"), roles == CURVE
    of_mass = {float(kg): on_curve & (masses == kg) for kg in sorted(set(masses[on_curve]))}
    cases = {str(name): roles == name for name in dict.fromkeys(roles) if name not in (CURVE, EMPTIES)}
    return Scored(
        {kg: margins[there] for kg, there in of_mass.items()},
        {name: margins[there] for name, there in cases.items()},
        margins[roles == EMPTIES], found.out_of_fold[(y == 0) & (learned.column("role") == UNKNOWN)], found.head.c,
        scanners[next(iter(of_mass.values()))], {kg: places[there] for kg, there in of_mass.items()},
        {name: scanners[there] for name, there in cases.items()}, scanners[roles == EMPTIES],
    )  # fmt: skip


def _figures(tested: Prepared, scored: Scored) -> dict[str, Any]:
    roles, y = tested.column("role"), tested.column("y")
    return {
        "c": scored.c,
        "auc": {f"{kg:g}": _auc(margins, scored.empties) for kg, margins in scored.curve.items()},
        **{way: _at(way, scored) for way in THRESHOLDS},
        "by_scanner": {str(name): _by_scanner(name, scored) for name in sorted(set(scored.empties_scanners))},
        "by_place": _by_place(scored),
        "loaded_cases": [name for name in scored.cases if y[roles == name].all()],
    }


def _at(way: str, scored: Scored) -> dict[str, Any]:
    """Shares above a limit: of a loaded case its recall, of an empty one its false alarms."""
    curve = {
        f"{kg:g}": share(scored.above(way, margins, scored.curve_scanners)) for kg, margins in scored.curve.items()
    }
    return {
        "limits": scored.limits[way],
        "curve": curve,
        "cases": {
            name: share(scored.above(way, margins, scored.case_scanners[name]))
            for name, margins in scored.cases.items()
        },
        "false_alarms": share(scored.above(way, scored.empties, scored.empties_scanners)),
        "half_found_kg": half_found(list(scored.curve), [one["share"] for one in curve.values()]),
    }


def _by_scanner(name: str, scored: Scored) -> dict[str, float]:
    """Means over the masses on one scanner alone, its threshold at 1 % of its own empties."""
    empties = scored.empties[scored.empties_scanners == name]
    loads = [margins[scored.curve_scanners == name] for margins in scored.curve.values()]
    return {
        "mean_recall": float(np.mean([(one > limit(empties)).mean() for one in loads])),
        "mean_auc": float(np.mean([_auc(one, empties) for one in loads])),
    }


def _by_place(scored: Scored) -> dict[str, dict[str, dict[str, int]]]:
    """By place and mass, how many loads are hidden there and how many of them are found, at each scanner's limit."""
    found: dict[str, dict[str, dict[str, int]]] = {}
    for kg, places in scored.curve_places.items():
        above = scored.above(EACH, scored.curve[kg], scored.curve_scanners)
        for place in sorted(set(places)):
            there = places == place
            counts = {"found": int(above[there].sum()), "of": int(there.sum())}
            found.setdefault(str(place), {})[f"{kg:g}"] = counts
    return found


def half_found(masses_kg: Sequence[float], recall: Sequence[float], level: float = 0.5) -> float | None:
    """The mass from which on at least half of the loads are found, between two masses by their logarithms.

    None where the heaviest are not; the least mass where all are.
    """
    below = [i for i, one in enumerate(recall) if one < level]
    if not below:
        return float(masses_kg[0])
    last = below[-1]
    if last + 1 == len(recall):
        return None
    part = (level - recall[last]) / (recall[last + 1] - recall[last])
    low, high = np.log(masses_kg[last]), np.log(masses_kg[last + 1])
    return float(np.exp(low + part * (high - low)))


def _auc(loaded: Margins, empties: Margins) -> float:
    positive = np.r_[np.ones(len(loaded), bool), np.zeros(len(empties), bool)]
    return roc_auc(positive, np.r_[loaded, empties])


def _difference(one: Scored, other: Scored) -> dict[str, Any]:
    """Mean recall over the curve's masses: the same scenes and empties are drawn for both, limits found anew."""
    both = {name: _resampled(one, name) - _resampled(other, name) for name in THRESHOLDS}
    return {
        name: {"difference": _mean_recall(one, name) - _mean_recall(other, name), **between(found)}
        for name, found in both.items()
    }


def _mean_recall(scored: Scored, way: str) -> float:
    found = [scored.above(way, margins, scored.curve_scanners) for margins in scored.curve.values()]
    return float(np.mean(found))


def _resampled(scored: Scored, way: str) -> NDArray[np.float64]:
    """Mean recall in each replicate: a scene is drawn with all its masses, an empty among those of its scanner."""
    rng = np.random.default_rng(SEED)
    scenes = np.stack(list(scored.curve.values()))
    owners = [np.flatnonzero(scored.empties_scanners == name) for name in sorted(set(scored.empties_scanners))]
    found = np.empty(REPLICATES)
    for replicate in range(REPLICATES):
        rows = np.concatenate([rng.choice(rows, len(rows)) for rows in owners])
        trained = rng.choice(scored.trained_empties, len(scored.trained_empties))
        by_scanner = limits(way, scored.empties[rows], trained, scored.empties_scanners[rows])
        drawn = rng.integers(0, scenes.shape[1], scenes.shape[1])
        found[replicate] = (scenes[:, drawn] > bounds(by_scanner, scored.curve_scanners[drawn])).mean()
    return found
