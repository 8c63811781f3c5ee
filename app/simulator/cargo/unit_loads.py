"""Rectangular goods: pallets and cartons."""

import numpy as np

from app.simulator.bodies import Part
from app.simulator.cargo.hold import Hold, Item, density, fill_levels, slots
from app.simulator.matter import PLYWOOD, metal, organic
from app.simulator.noise import lumps, tiles
from app.simulator.shapes import Pair, box, comb, prism


def pallets(rng: np.random.Generator, hold: Hold) -> list[Item]:
    """Pallets two abreast, of one sort or mixed, with gaps; some missing."""
    places = slots(hold, hold.stretch(rng.uniform(0.35, 0.99)), rng.uniform(0.85, 1.3))
    top, mixed = rng.uniform(0.3, 0.93), rng.random() < 0.4
    weight, missing, items = density(rng, 0.05, 1.0), rng.uniform(0, 0.15), list[Item]()
    for place in places:
        for row in hold.rows(2, 0.06):
            if rng.random() < missing and len(places) > 1:
                continue
            share = rng.uniform(0.25, 0.93) if mixed else top + rng.normal(0, 0.01)
            own = density(rng, 0.05, 1.0) if mixed else weight * rng.uniform(0.9, 1.1)
            items.append(pallet(rng, hold, place, row, (share, own)))
    return items


def pallet(rng: np.random.Generator, hold: Hold, place: Pair, row: Pair, goods: Pair) -> Item:
    """A wooden pallet and its load; `goods` are the share of the height and the density."""
    layers = max(1, int(goods[0] * rng.uniform(3, 10)))
    gap = rng.uniform(0.01, 0.06)
    along = (place[0] + gap, max(place[1] - gap, place[0] + gap + 0.2))
    starts = np.linspace(along[0], along[1] - 0.1, 3)
    base, deck = hold.floor, hold.floor + 0.144

    blocks = comb(hold.beam, starts, 0.1, row, (base + 0.02, deck - 0.02))
    parts = [Part(blocks, PLYWOOD)]
    boards = ((base, base + 0.02), (deck - 0.022, deck))
    parts.extend(Part(box(hold.beam, along, row, z), PLYWOOD) for z in boards)
    texture = tiles(rng, layers, int(rng.integers(1, 4)), rng.uniform(0.0, 0.2), rng.uniform(0.6, 1.05))
    load = prism(hold.beam, along, row, (deck, max(hold.level(goods[0]), deck + 0.15)))
    return (*parts, Part(load, organic(goods[1]), texture))


def boxes(rng: np.random.Generator, hold: Hold) -> list[Item]:
    """Cartons floor-loaded in columns, of one size or several, the last rows often lower."""
    places = slots(hold, hold.stretch(rng.choice([rng.uniform(0.3, 1), 0.98])), rng.uniform(0.3, 0.75))
    levels = fill_levels(rng, len(places), hold.doors_left, rng.uniform(0, 0.04))
    weight, size = density(rng, 0.05, 0.5), rng.uniform(0.2, 0.6)
    contrast, joint = rng.uniform(0.05, 0.4), rng.uniform(0.65, 1.1)
    items = []
    for place, share in zip(places, levels, strict=True):
        count = max(1, int(share * hold.height / size))
        texture = tiles(rng, count, int(rng.integers(1, 3)), contrast, joint)
        along = (place[0] + 0.008, place[1] - 0.008)
        body = prism(hold.beam, along, hold.depth, (hold.floor, hold.floor + count * size * 0.99))
        items.append((Part(body, organic(weight * rng.uniform(0.8, 1.25)), texture),))
    return [item for item in items if not item[0].body.empty]


def crate(rng: np.random.Generator, hold: Hold, along: Pair, row: Pair, top: float) -> Item:
    """A wooden crate around something denser."""
    outside = prism(hold.beam, along, row, (hold.floor, top))
    shell = Part(outside, organic(density(rng, 0.03, 0.12)))
    inset = 0.15 * (along[1] - along[0])
    inside = (along[0] + inset, along[1] - inset)
    core = prism(hold.beam, inside, (row[0] + 0.1, row[1] - 0.1), (hold.floor + 0.1, top - 0.1))
    return (shell, Part(core, metal(density(rng, 0.02, 0.8)), lumps(rng, 5, 5, 0.6)))
