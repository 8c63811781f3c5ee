"""Round goods: drums, paper reels, steel coils, tyres."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from app.simulator.bodies import Part
from app.simulator.cargo.hold import Hold, Item, density, fill_levels, slots
from app.simulator.matter import RUBBER, STEEL, VOID, Material, metal, organic
from app.simulator.noise import curve, lumps
from app.simulator.shapes import Pair, across, comb, crosswise, prism, ring, tube, upright


@dataclass(frozen=True)
class _Drum:
    """One container's drums: size, contents, and how far they are filled."""

    radius_m: float
    height_m: float
    contents: Material
    fill: float
    rim: Material


def drums(rng: np.random.Generator, hold: Hold) -> list[Item]:
    """Drums in tiers, four deep: filled below, an empty rim above that shows as an ellipse."""
    contents, rim = organic(density(rng, 0.45, 1.4)), metal(rng.uniform(1, 4))
    drum = _Drum(rng.uniform(0.28, 0.31), rng.uniform(0.85, 0.98), contents, rng.uniform(0.75, 0.95), rim)
    stretch = hold.stretch(rng.choice([rng.uniform(0.5, 1), 0.99, 0.99]))
    places = slots(hold, stretch, drum.radius_m * rng.uniform(2.0, 2.12))
    most = max(1, int(hold.height / drum.height_m))
    levels = fill_levels(rng, len(places), hold.doors_left, 0.0)
    tiers = np.clip(np.ceil(levels * most - 0.35), 1, most).astype(int)
    middles, items = np.array([sum(place) / 2 for place in places]), list[Item]()
    for tier in range(int(tiers.max())):
        floor, there = hold.floor + tier * drum.height_m + 0.01, middles[tiers > tier]
        items += [_file(rng, hold, drum, float(middle), floor) for middle in there]
        items.append(_steel(hold, drum, there, floor))
    return items


def _axes(hold: Hold, drum: _Drum) -> tuple[float, float, int]:
    """Depths of the nearest and of the farthest drum's axis of a file, and the number of drums in it."""
    deep = int(hold.breadth / drum.radius_m / 2)
    return hold.depth[0] + drum.radius_m, hold.depth[0] + (2 * deep - 1) * drum.radius_m, deep


def _file(rng: np.random.Generator, hold: Hold, drum: _Drum, middle: float, floor: float) -> Item:
    """What is in one drum-high row of drums from the near wall to the far one; its outline has the rims' height."""
    radius, (near, far, deep) = drum.radius_m, _axes(hold, drum)
    span = (middle - radius * 0.985, middle + radius * 0.985)
    half = radius * np.sqrt(1 - across(hold.beam, span) ** 2)
    if not len(half):
        return ()
    depth = (near - half, far + half)
    # The air between the drums of a file, as a share of its length at each column.
    share = (2 * deep * half / np.maximum(depth[1] - depth[0], 1e-3)).astype(np.float32)[None, :]
    level = floor + drum.height_m * drum.fill + 0.02 * curve(rng, len(half), 6)
    contents = prism(hold.beam, span, depth, (floor + 0.02, level))
    whole, deepest = (middle - radius, middle + radius), (near - radius, far + radius)
    outline = prism(hold.beam, whole, deepest, (floor, floor + drum.height_m))
    return (Part(contents, drum.contents, share), Part(outline, VOID))


def _steel(hold: Hold, drum: _Drum, middles: NDArray[np.floating], floor: float) -> Item:
    """Rims and lids of the nearest and the farthest drum of all files of a tier, and their bottoms."""
    (near, far, _), top, wall = _axes(hold, drum), floor + drum.height_m, 0.0025
    rim, parts = (floor + drum.height_m * drum.fill - 0.05, top), list[Part]()
    for axis in (near, far):
        parts += tube(hold.beam, (middles, axis), (drum.radius_m - wall, drum.radius_m), rim, drum.rim)
        lid = upright(hold.beam, (middles, axis), drum.radius_m, (top - 0.0012, top))
        parts.append(Part(lid, metal(4)))
    wide = 2 * drum.radius_m
    parts.append(Part(comb(hold.beam, middles - wide / 2, wide, (near, far), (floor, floor + 0.0015)), STEEL))
    return tuple(replace(part, outlined=False) for part in parts)


def rolls(rng: np.random.Generator, hold: Hold) -> list[Item]:
    """Paper reels on end, steel coils on the floor, or tyres in columns."""
    choice = rng.random()
    if choice < 0.45:
        return _reels(rng, hold)
    return _coils(rng, hold) if choice < 0.7 else _tyres(rng, hold)


def _reels(rng: np.random.Generator, hold: Hold) -> list[Item]:
    """Two reels deep, staggered, up to three high."""
    radius, tall = rng.uniform(0.4, 0.57), rng.uniform(0.6, 1.3)
    places = slots(hold, hold.stretch(rng.uniform(0.55, 0.99)), radius * 2.02)
    tiers = np.maximum(1, (fill_levels(rng, len(places), hold.doors_left) * hold.height / tall + 0.3).astype(int))
    paper, items = organic(density(rng, 0.3, 0.9)), list[Item]()
    for place, count in zip(places, tiers, strict=True):
        for depth in (hold.depth[0] + radius, hold.depth[1] - radius):
            for tier in range(int(count)):
                z = hold.floor + tier * tall
                if z + tall > hold.ceiling:
                    break
                body = upright(hold.beam, (sum(place) / 2, depth), radius, (z + 0.01, z + tall - 0.01))
                core = upright(hold.beam, (sum(place) / 2, depth), 0.04, (z + 0.01, z + tall - 0.01))
                items.append((Part(body, paper, lumps(rng, 4, 1, 0.03)), Part(core, paper.hole())))
    return items


def _coils(rng: np.random.Generator, hold: Hold) -> list[Item]:
    """Steel or aluminium coils on the floor, apart, for they are heavy."""
    along = hold.stretch(rng.uniform(0.7, 0.98))
    steel, items = metal(density(rng, 1.0, 5.0)), list[Item]()
    count = int(rng.integers(1, max(2, int((along[1] - along[0]) / 1.2))))
    for middle in np.linspace(along[0] + 0.6, along[1] - 0.6, count):
        radius, wide = rng.uniform(0.3, 0.55), rng.uniform(0.5, 1.3)
        near = hold.depth[0] + (hold.breadth - wide) / 2
        radii, x = (radius * rng.uniform(0.4, 0.6), radius), float(middle + rng.normal(0, 0.05))
        coil = ring(hold.beam, (x, hold.floor + 0.08 + radius), radii, (near, near + wide), steel)
        cradle = crosswise(hold.beam, (x, hold.floor + 0.06), 0.06, (near, near + wide))
        items.append((*coil, Part(cradle, organic(0.6))))
    return items


def _tyres(rng: np.random.Generator, hold: Hold) -> list[Item]:
    """Columns of lying tyres, a little askew, each a hollow ring with a thick tread."""
    radius, thick = rng.uniform(0.32, 0.55), rng.uniform(0.18, 0.3)
    places = slots(hold, hold.stretch(rng.uniform(0.6, 0.99)), radius * rng.uniform(1.7, 2.2))
    levels = fill_levels(rng, len(places), hold.doors_left, 0.05)
    rows = np.linspace(hold.depth[0] + radius, hold.depth[1] - radius, int(rng.integers(1, 3)) + 1)
    items = []
    for place, share in zip(places, levels, strict=True):
        for depth in rows:
            x, z = sum(place) / 2 + rng.normal(0, 0.05), hold.floor
            lean = rng.normal(0, 0.06)
            while z + thick < hold.level(share):
                items.append(_tyre(hold, (x, float(depth), radius), (z, z + thick), lean))
                z, x = z + thick, x + rng.normal(0, 0.02)
                lean = 0.8 * lean + rng.normal(0, 0.05)
    return items


def _tyre(hold: Hold, at: tuple[float, float, float], z: Pair, lean: float) -> Item:
    """A tyre lying askew; `at` is its axis along and in depth, and its radius."""
    radius = at[2]
    span = (at[0] - radius, at[0] + radius)
    u = across(hold.beam, span)
    tilt = lean * u * radius * 2
    outer, hollow = (
        radius * np.sqrt(1 - u**2),
        np.sqrt(np.clip((radius * 0.9) ** 2 - (u * radius) ** 2, 0, None)),
    )
    bead = np.sqrt(np.clip((radius * 0.6) ** 2 - (u * radius) ** 2, 0, None))
    low, high, wall = z[0] + tilt, z[1] + tilt, 0.015
    hole = RUBBER.hole()
    return (
        Part(prism(hold.beam, span, (at[1] - outer, at[1] + outer), (low, high)), RUBBER),
        Part(prism(hold.beam, span, (at[1] - hollow, at[1] + hollow), (low + wall, high - wall)), hole),
        Part(prism(hold.beam, span, (at[1] - bead, at[1] + bead), (low, low + wall)), hole),
        Part(prism(hold.beam, span, (at[1] - bead, at[1] + bead), (high - wall, high)), hole),
    )
