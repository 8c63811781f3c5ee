"""Loads that look like none: one pallet, goods on the floor only, goods by the doors, foam."""

from collections.abc import Callable, Mapping
from itertools import pairwise

import numpy as np

from app.simulator.bodies import Part
from app.simulator.cargo.hold import Hold, Item, density
from app.simulator.cargo.sparse import sparse_by_doors
from app.simulator.cargo.unit_loads import pallet
from app.simulator.matter import metal, organic
from app.simulator.noise import curve, lumps, tiles
from app.simulator.shapes import across, prism
from app.simulator.truth import Case, Family

Loading = tuple[Family, list[Item]]


def one_pallet(rng: np.random.Generator, hold: Hold) -> Loading:
    """A single pallet anywhere, high or flat."""
    long, row = rng.choice([0.8, 1.2]), hold.rows(2, 0.06)[int(rng.integers(2))]
    start = rng.uniform(hold.x[0], hold.x[1] - long)
    goods = (rng.uniform(0.08, 0.6), density(rng, 0.03, 0.6))
    return Family.PALLETS, [pallet(rng, hold, (start, start + long), row, goods)]


def floor_only(rng: np.random.Generator, hold: Hold) -> Loading:
    """One layer on the floor: plates, sheets, sacks or flat cartons, 2 to 30 cm high."""
    along = hold.stretch(rng.uniform(0.3, 0.99))
    if rng.random() < 0.35:
        high, goods, family = rng.uniform(0.02, 0.12), metal(density(rng, 0.8, 5)), Family.LONG
    else:
        high, goods, family = rng.uniform(0.06, 0.3), organic(density(rng, 0.15, 0.9)), Family.STACKS
    count, items = int(rng.integers(1, 14)), list[Item]()
    edges = np.linspace(*along, count + 1)
    for start, stop in pairwise(edges):
        span = (float(start) + 0.01, float(stop) - 0.01)
        u = across(hold.beam, span)
        if len(u):
            top = hold.floor + high * (1 - 0.15 * np.abs(curve(rng, len(u), 4)))
            items.append((Part(prism(hold.beam, span, hold.depth, (hold.floor, top)), goods),))
    return family, items


def by_door(rng: np.random.Generator, hold: Hold) -> Loading:
    """One to three items within reach of the doors."""
    return Family.SPARSE, sparse_by_doors(rng, hold)


def foam(rng: np.random.Generator, hold: Hold) -> Loading:
    """Foam, wadding, empty packaging: even, nearly transparent, mostly up to the roof."""
    along, share = hold.stretch(rng.choice([rng.uniform(0.5, 1), 0.995])), rng.uniform(0.55, 0.98)
    weight = density(rng, 0.01, 0.04)
    if rng.random() < 0.5:
        texture = lumps(rng, int(rng.integers(2, 9)), int(rng.integers(2, 30)), rng.uniform(0.0, 0.15))
    else:
        texture = tiles(rng, int(rng.integers(2, 6)), int(rng.integers(3, 20)), rng.uniform(0, 0.15), 0.85)
    body = prism(hold.beam, along, hold.depth, (hold.floor, hold.level(share)))
    return Family.LIGHT, [(Part(body, organic(weight), texture),)]


HARD_LOADS: Mapping[Case, Callable[[np.random.Generator, Hold], Loading]] = {
    Case.ONE_PALLET: one_pallet,
    Case.FLOOR_ONLY: floor_only,
    Case.BY_DOOR: by_door,
    Case.FOAM: foam,
}
