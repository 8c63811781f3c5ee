"""Sacks, bales and big bags in stacks; loose goods; foam."""

from dataclasses import dataclass

import numpy as np

from app.simulator.beam import Floats
from app.simulator.bodies import Part
from app.simulator.cargo.hold import Hold, Item, density, fill_levels, slots
from app.simulator.matter import organic
from app.simulator.noise import curve, lumps, tiles
from app.simulator.shapes import Pair, across, prism


@dataclass(frozen=True)
class _Manner:
    """How one container's stacks are built."""

    layers: int
    gap_m: float
    contrast: float
    ragged_m: float
    rounding_m: float
    waist: float
    weight_g_cm3: float


def _sacks(rng: np.random.Generator) -> _Manner:
    return _Manner(
        layers=int(rng.integers(6, 20)),
        gap_m=rng.uniform(0.005, 0.05),
        contrast=rng.uniform(0.05, 0.35),
        ragged_m=rng.uniform(0.01, 0.09),
        rounding_m=rng.uniform(0.02, 0.1),
        waist=rng.uniform(0.02, 0.15),
        weight_g_cm3=density(rng, 0.3, 0.95),
    )


def _big_bags(rng: np.random.Generator) -> _Manner:
    return _Manner(
        layers=int(rng.integers(1, 3)),
        gap_m=rng.uniform(0.01, 0.06),
        contrast=rng.uniform(0.0, 0.08),
        ragged_m=rng.uniform(0.0, 0.04),
        rounding_m=rng.uniform(0.05, 0.25),
        waist=rng.uniform(0.03, 0.3),
        weight_g_cm3=density(rng, 0.3, 1.1),
    )


def stacks(rng: np.random.Generator, hold: Hold) -> list[Item]:
    """Stacks of sacks (narrow, ragged) or big bags (wide, rounded), in one or two rows."""
    big = rng.random() < 0.4
    manner = _big_bags(rng) if big else _sacks(rng)
    pitch = rng.uniform(0.8, 1.15) if big else rng.uniform(0.32, 0.7)
    places = slots(hold, hold.stretch(rng.choice([rng.uniform(0.5, 1), 0.99, 0.99, 0.99])), pitch)
    levels = fill_levels(rng, len(places), hold.doors_left, 0.01 if big else rng.uniform(0.005, 0.03))
    rows, items = hold.rows(int(rng.integers(1, 3)) if big else int(rng.integers(2, 5))), list[Item]()
    for place, level in zip(places, levels, strict=True):
        if rng.random() < 0.01:
            continue
        for row in rows:
            shift = rng.uniform(-0.5, 0.5) * manner.gap_m
            along = (place[0] + manner.gap_m / 2 + shift, place[1] - manner.gap_m / 2 + shift)
            share = float(np.clip(level + rng.normal(0, 0.012), 0.06, 0.985))
            items.append((_stack(rng, hold, manner, (along, row), share),))
    return [item for item in items if not item[0].body.empty]


def _stack(rng: np.random.Generator, hold: Hold, manner: _Manner, place: tuple[Pair, Pair], share: float) -> Part:
    along, row = place
    u = across(hold.beam, along)
    ragged = manner.ragged_m * np.abs(curve(rng, len(u), int(rng.integers(3, 7))))
    top = hold.level(share) - manner.rounding_m * u**4 - ragged
    waist = manner.waist * (row[1] - row[0]) * np.abs(u) ** 7
    body = prism(hold.beam, along, (row[0] + waist, row[1] - waist), (hold.floor, top))
    return Part(body, organic(manner.weight_g_cm3), _layers(rng, manner))


def _layers(rng: np.random.Generator, manner: _Manner) -> Floats:
    """Density of a stack: its layers' lumps, with edges eaten into unevenly so that gaps waver."""
    texture = lumps(rng, manner.layers * 2, 9, manner.contrast)
    texture[:, [0, -1]] *= rng.uniform(0.3, 1.1, (len(texture), 2)).astype(np.float32)
    return texture


def bulk(rng: np.random.Generator, hold: Hold) -> list[Item]:
    """A heap of grain, ore or granulate: one item, built of slices that differ across the depth."""
    along = hold.stretch(rng.choice([rng.uniform(0.75, 1), 0.998, 0.998]))
    u = across(hold.beam, along)
    if not len(u):
        return []
    surface, crown = _surface(rng, u, hold.doors_left), rng.uniform(0.05, 0.35)
    weight, parts = density(rng, 0.4, 1.3), list[Part]()
    for number, row in enumerate(hold.rows(8, 0.0)):
        sag = crown * np.abs((number - 3.5) / 3.5) ** 1.6
        share = np.clip(surface - sag + 0.003 * curve(rng, len(u), 25), 0.0, 0.99)
        top = hold.floor + share * hold.height
        parts.append(Part(prism(hold.beam, along, row, (hold.floor, top)), organic(weight)))
    return [tuple(parts)]


def _surface(rng: np.random.Generator, u: Floats, doors_left: bool) -> Floats:
    """Share of the height along a heap: humps where the spout stood, falling towards the doors."""
    humps = np.abs(np.sin(np.linspace(rng.uniform(0, 1), np.pi * rng.integers(1, 6), len(u))))
    share = rng.uniform(0.55, 1.05) + rng.uniform(0.0, 0.12) * humps
    share += rng.uniform(0.0, 0.06) * curve(rng, len(u), int(rng.integers(3, 7)))
    beyond = np.clip((-u if doors_left else u) - rng.uniform(-0.5, 0.95), 0, None)
    share -= rng.uniform(0.1, 0.6) * beyond ** rng.uniform(1, 2)
    return np.asarray(share, np.float32)


def light(rng: np.random.Generator, hold: Hold) -> list[Item]:
    """Foam, textiles, empty bottles: nearly uniform, nearly transparent, often up to the roof."""
    return _even(rng, hold) if rng.random() < 0.5 else _light_bales(rng, hold)


def _even(rng: np.random.Generator, hold: Hold) -> list[Item]:
    along = hold.stretch(rng.uniform(0.4, 0.995))
    texture = lumps(rng, int(rng.integers(2, 9)), int(rng.integers(2, 30)), rng.uniform(0.0, 0.2))
    body = prism(hold.beam, along, hold.depth, (hold.floor, hold.level(rng.uniform(0.4, 0.97))))
    return [(Part(body, organic(density(rng, 0.012, 0.09)), texture),)]


def _light_bales(rng: np.random.Generator, hold: Hold) -> list[Item]:
    weight = density(rng, 0.012, 0.09)
    places = slots(hold, hold.stretch(rng.uniform(0.4, 0.995)), rng.uniform(0.5, 1.6))
    levels, items = fill_levels(rng, len(places), hold.doors_left), list[Item]()
    joint, rows = rng.uniform(0.6, 1.3), int(rng.integers(1, 7))
    for place, share in zip(places, levels, strict=True):
        texture = tiles(rng, rows, int(rng.integers(1, 4)), rng.uniform(0, 0.25), joint)
        along = (place[0] + 0.01, place[1] - 0.01)
        body = prism(hold.beam, along, hold.depth, (hold.floor, hold.level(float(share))))
        items.append((Part(body, organic(weight * rng.uniform(0.8, 1.2)), texture),))
    return items
