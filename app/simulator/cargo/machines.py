"""Machines and vehicles: dense blocks, shafts, wheels and thin frames put together."""

import numpy as np

from app.simulator.bodies import Part
from app.simulator.cargo.hold import Hold, Item, density
from app.simulator.matter import RUBBER, metal
from app.simulator.noise import curve, lumps
from app.simulator.shapes import Pair, across, box, comb, crosswise, prism, ring


def machines(rng: np.random.Generator, hold: Hold) -> list[Item]:
    """One to six machines on the floor, or one to three cars."""
    cars = rng.random() < 0.3
    wanted = rng.uniform(3.8, 4.6) if cars else rng.uniform(0.9, 3.5)
    count = max(1, min(int(rng.integers(1, 7)), int(hold.length * 0.97 / wanted)))
    wanted = min(wanted, hold.length * 0.9)
    free = hold.length - count * wanted
    gaps = rng.dirichlet(np.ones(count + 1)) * free
    items, x = list[Item](), hold.x[0]
    for number in range(count):
        x += gaps[number]
        items.append(_car(rng, hold, x, wanted) if cars else machine(rng, hold, (x, x + wanted)))
        x += wanted
    return items


def machine(rng: np.random.Generator, hold: Hold, along: Pair) -> Item:
    """A skid, a housing, a few dense blocks, round bodies and a frame."""
    length, tall = along[1] - along[0], hold.height * rng.uniform(0.25, 0.9)
    row = (hold.depth[0] + rng.uniform(0.1, 0.5), hold.depth[1] - rng.uniform(0.1, 0.5))
    skid = box(hold.beam, along, row, (hold.floor, hold.floor + 0.12))
    parts = [Part(skid, metal(rng.uniform(0.3, 1.2)))]
    u = across(hold.beam, along)
    if len(u):
        top = hold.floor + tall * np.clip(0.8 + 0.2 * curve(rng, len(u), 4), 0.3, 1)
        housing = prism(hold.beam, along, row, (hold.floor + 0.1, top))
        parts.append(Part(housing, metal(density(rng, 0.01, 0.25)), lumps(rng, 6, 8, 0.7)))
    for _ in range(int(rng.integers(2, 8))):
        x0, wide = along[0] + rng.uniform(0, 0.7) * length, rng.uniform(0.08, 0.35) * length
        z0 = hold.floor + rng.uniform(0.02, 0.55) * tall
        span, z = (x0, min(x0 + wide, along[1])), (z0, z0 + rng.uniform(0.1, 0.4) * tall)
        parts.append(Part(box(hold.beam, span, row, z), metal(density(rng, 0.05, 1.5))))
    return (*parts, *_rounds(rng, hold, along, tall, row), *_frame(rng, hold, along, tall, row))


def _rounds(rng: np.random.Generator, hold: Hold, along: Pair, tall: float, row: Pair) -> list[Part]:
    parts = list[Part]()
    for _ in range(int(rng.integers(0, 5))):
        radius = rng.uniform(0.06, 0.3) * min(tall, along[1] - along[0])
        x = rng.uniform(along[0] + radius, along[1] - radius)
        z = rng.uniform(hold.floor + radius, max(hold.floor + tall - radius, hold.floor + radius + 0.01))
        near = rng.uniform(row[0], row[0] + 0.6)
        depth, steel = (near, near + rng.uniform(0.05, 0.6)), metal(density(rng, 0.5, 5))
        if rng.random() < 0.5:
            parts += ring(hold.beam, (x, z), (radius * 0.8, radius), depth, steel)
        else:
            parts.append(Part(crosswise(hold.beam, (x, z), radius, depth), steel))
    return parts


def _frame(rng: np.random.Generator, hold: Hold, along: Pair, tall: float, row: Pair) -> list[Part]:
    starts = np.linspace(along[0], along[1] - 0.06, int(rng.integers(2, 5)))
    high = (hold.floor, hold.floor + tall)
    posts = [Part(comb(hold.beam, starts, 0.06, (d, d + 0.06), high), metal(1.8)) for d in (row[0], row[1] - 0.06)]
    beam = box(hold.beam, along, (row[0], row[0] + 0.06), (high[1] - 0.06, high[1]))
    return [*posts, Part(beam, metal(1.8))]


def _car(rng: np.random.Generator, hold: Hold, x: float, length: float) -> Item:
    """A car in side view: thin body, glass house, engine, wheels."""
    along, flip = (x, x + length), rng.random() < 0.5
    u = across(hold.beam, along) * (-1 if flip else 1)
    if not len(u):
        return ()
    row = (hold.depth[0] + 0.3, hold.depth[1] - 0.3)
    roof = np.interp(u, [-1, -0.9, -0.45, -0.2, 0.35, 0.7, 0.98, 1], [0.6, 0.85, 0.95, 1.4, 1.42, 1.05, 0.9, 0.6])
    body = prism(hold.beam, along, row, (hold.floor + 0.2, hold.floor + roof))
    sill = prism(hold.beam, along, row, (hold.floor + 0.2, hold.floor + np.minimum(roof, 0.75)))
    parts = [Part(body, metal(0.02), lumps(rng, 6, 12, 0.5)), Part(sill, metal(0.05), lumps(rng, 3, 14, 0.6))]
    front = x + length * (0.82 if flip else 0.18)
    engine = box(
        hold.beam,
        (front - 0.3, front + 0.35),
        (row[0] + 0.4, row[1] - 0.4),
        (hold.floor + 0.3, hold.floor + 0.8),
    )
    parts.append(Part(engine, metal(rng.uniform(0.8, 2))))
    for at in (0.18, 0.8):
        middle = x + length * (1 - at if flip else at)
        for near in (row[0], row[1] - 0.2):
            parts += ring(hold.beam, (middle, hold.floor + 0.31), (0.2, 0.31), (near, near + 0.2), RUBBER)
            parts.append(Part(crosswise(hold.beam, (middle, hold.floor + 0.31), 0.15, (near, near + 0.08)), metal(2)))
    return tuple(parts)
