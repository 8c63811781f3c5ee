"""One or a few items on the floor, near the doors more often than not: what empty-looking loads are."""

import numpy as np
from PIL import Image, ImageDraw

from app.simulator.beam import Floats
from app.simulator.bodies import Part
from app.simulator.cargo.hold import Hold, Item, density
from app.simulator.cargo.machines import machine
from app.simulator.cargo.unit_loads import crate, pallet
from app.simulator.matter import metal, organic
from app.simulator.shapes import Pair, prism, upright


def sparse(rng: np.random.Generator, hold: Hold) -> list[Item]:
    """One to four items."""
    return _some(rng, hold, int(rng.choice([1, 1, 2, 3, 4])), by_doors=bool(rng.random() < 0.6))


def sparse_by_doors(rng: np.random.Generator, hold: Hold) -> list[Item]:
    """One to three items, close together and to the doors."""
    return _some(rng, hold, int(rng.integers(1, 4)), by_doors=True)


def _some(rng: np.random.Generator, hold: Hold, count: int, *, by_doors: bool) -> list[Item]:
    items, edge = list[Item](), 0.0
    for _ in range(count):
        wide = rng.uniform(0.4, 1.4)
        start = edge + rng.uniform(0, 0.4) if by_doors else rng.uniform(0, hold.length - wide)
        if start + wide > hold.length:
            break
        edge = start + wide
        along = (start + hold.x[0], edge + hold.x[0])
        items.append(_one(rng, hold, along if hold.doors_left else _mirror(hold, along)))
    return items


def _mirror(hold: Hold, along: Pair) -> Pair:
    return hold.x[0] + hold.x[1] - along[1], hold.x[0] + hold.x[1] - along[0]


def _one(rng: np.random.Generator, hold: Hold, along: Pair) -> Item:
    row = hold.rows(int(rng.integers(1, 4)))[0]
    top = hold.floor + rng.uniform(0.25, 1.6)
    match int(rng.integers(5)):
        case 0:
            goods = (min(0.9, top / hold.height), density(rng, 0.08, 0.8))
            return pallet(rng, hold, along, row, goods)
        case 1:
            return crate(rng, hold, along, row, top)
        case 2:
            radius = min(0.3, (row[1] - row[0]) / 2)
            body = upright(hold.beam, (along[0] + radius, row[0] + radius), radius, (hold.floor, hold.floor + 0.9))
            return (Part(body, organic(density(rng, 0.2, 1.2))),)
        case 3:
            return machine(rng, hold, along)
        case _:
            return _brush(rng, hold, along, row, top)


def _brush(rng: np.random.Generator, hold: Hold, along: Pair, row: Pair, top: float) -> Item:
    """Loose thin goods, branches or scrap: mostly air, torn at the top."""
    columns, parts = hold.beam.columns(*along), list[Part]()
    weight = density(rng, 0.02, 0.15)
    for near in np.linspace(row[0], row[1], 4)[:-1]:
        ragged = top - np.abs(rng.normal(0, 0.12, columns.stop - columns.start))
        depth = (float(near), float(near) + (row[1] - row[0]) / 3)
        body = prism(hold.beam, along, depth, (hold.floor, np.maximum(ragged, hold.floor + 0.1)))
        parts.append(Part(body, metal(weight), _twigs(rng)))
    return tuple(part for part in parts if not part.body.empty)


def _twigs(rng: np.random.Generator) -> Floats:
    """Crossing strokes on a thin ground, float32 (80, 40)."""
    image = Image.new("F", (40, 80), 0.2)
    draw = ImageDraw.Draw(image)
    for _ in range(int(rng.integers(40, 110))):
        x, y, lean, reach = rng.uniform(0, 40), rng.uniform(0, 80), rng.normal(0, 0.6), rng.uniform(5, 40)
        draw.line((x, y, x + reach * np.sin(lean), y - reach * np.cos(lean)), fill=float(rng.uniform(0.6, 3)))
    return np.asarray(image, np.float32)


def litter(rng: np.random.Generator, hold: Hold) -> Item:
    """Sweepings and scraps of dunnage that empty containers carry too; not cargo."""
    parts = []
    for _ in range(int(rng.integers(1, 5))):
        x, wide = rng.uniform(*hold.x), rng.uniform(0.05, 0.6)
        along = (x, min(x + wide, hold.x[1]))
        near = rng.uniform(hold.depth[0], hold.depth[1] - 0.3)
        columns = hold.beam.columns(*along)
        top = hold.floor + np.abs(rng.normal(0, 0.015, columns.stop - columns.start)) + 0.002
        body = prism(hold.beam, along, (near, near + rng.uniform(0.05, 0.3)), (hold.floor, top))
        if not body.empty:
            parts.append(Part(body, organic(density(rng, 0.1, 0.6))))
    return tuple(parts)
