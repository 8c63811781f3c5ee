"""How far an embedding moves when nothing but the circumstances change, against a hidden load of 50 kg.

A distance is one less the cosine of two vectors, either as they are pooled (`raw`), or scaled as a head sees them
(`standardised`). What matters is the ratio of medians: below 1, the load moves the embedding more than the nuisance.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.heads.pooling import Pooling
from app.heads.trainers.scaling import Scaling
from benchmarks.backbone.prepared import Prepared
from benchmarks.backbone.vectors import Backbone, Floats, Selection, where

BASE, LOAD = "base", "load"
# Pairs of the same scene by two scanners: the second is held against the first, and the distance named after it.
SCANNERS = ("scene", "another scanner")
HELD_OUT = ("held-out scene", "a held-out scanner")
SPACES = ("standardised", "raw")


def measure(scenes: Prepared, reference: Selection, backbones: Sequence[Backbone]) -> dict[str, Any]:
    """Medians and ratios by backbone, pooling and space; `reference` gives the scale of each feature."""
    return {
        "scenes": len(where(scenes, "what", BASE)),
        "reference": len(reference),
        "backbones": {one.name: _of(scenes, reference, one) for one in backbones},
    }


def _of(scenes: Prepared, reference: Selection, backbone: Backbone) -> dict[str, Any]:
    vectors, known = backbone.vectors(scenes), reference.vectors(backbone)
    what, number = scenes.column("what"), scenes.column("scene")
    found: dict[str, Any] = {}
    for pooling in Pooling:
        x, scaling = vectors.features(pooling), Scaling.fit(known.features(pooling))
        found[pooling.value] = {
            space: ratios(distances(scaling(x) if space == "standardised" else x, what, number)) for space in SPACES
        }
    return found


def distances(x: Floats, what: NDArray[Any], scene: NDArray[Any]) -> dict[str, NDArray[np.float64]]:
    """Cosine distances by kind of change, one a scene, in order of scene."""
    unit = x / np.maximum(np.linalg.norm(x.astype(np.float64), axis=1, keepdims=True), 1e-12)

    def rows(kind: str) -> NDArray[np.float64]:
        which = np.flatnonzero(what == kind)
        return np.asarray(unit[which[np.argsort(scene[which], kind="stable")]])

    changes = [str(kind) for kind in dict.fromkeys(what) if kind not in (BASE, *SCANNERS, *HELD_OUT)]
    found = [(BASE, kind) for kind in changes] + [SCANNERS, HELD_OUT]
    return {kind: 1 - (rows(base) * rows(kind)).sum(axis=1) for base, kind in found}


def ratios(found: dict[str, NDArray[np.float64]]) -> dict[str, Any]:
    """Medians, each nuisance's over the load's, and that of all nuisances together."""
    load = float(np.median(found[LOAD]))
    nuisances = {kind: one for kind, one in found.items() if kind != LOAD}
    every = np.concatenate(list(nuisances.values()))
    return {
        "load": load,
        "nuisance": {kind: float(np.median(one)) for kind, one in nuisances.items()},
        "ratio": {kind: float(np.median(one)) / load for kind, one in nuisances.items()}
        | {"all": float(np.median(every)) / load},
    }
