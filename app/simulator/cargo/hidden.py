"""A compact load of a stated mass, where it is hard to see."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from app.simulator.beam import Beam
from app.simulator.bodies import Part
from app.simulator.cargo.hold import Hold, Item, density
from app.simulator.container import Frame
from app.simulator.matter import Material, Matter, metal, organic
from app.simulator.shapes import Pair, box
from app.simulator.truth import Kind, Place

LIGHTEST_KG, HEAVIEST_KG = 1.0, 500.0
DENSEST = {Matter.ORGANIC: 1.25, Matter.IRON: 7.87, Matter.LEAD: 11.35}


@dataclass(frozen=True)
class Room:
    """Where a load may lie: metres from the doors, in depth, in height."""

    from_doors: Pair
    depth: Pair
    height: Pair

    @property
    def limits(self) -> tuple[Pair, Pair, Pair]:
        return self.from_doors, self.depth, self.height

    @property
    def size(self) -> tuple[float, float, float]:
        (x0, x1), (y0, y1), (z0, z1) = self.limits
        return x1 - x0, y1 - y0, z1 - z0

    def within(self, view: Pair, beam: Beam) -> "Room":
        """Its part that the crop shows: a stretch of its length, and as deep as its floor is seen."""
        far, source, lowest = self.depth[1], beam.source_height_m, beam.z_top_m - beam.height * beam.z_pitch_m
        if self.height[0] > source and lowest > source:
            far = min(far, 0.98 * beam.near_m * (self.height[0] - source) / (lowest - source))
        along = max(self.from_doors[0], view[0]), min(self.from_doors[1], view[1])
        return Room(along, (self.depth[0], far), self.height)


@dataclass(frozen=True)
class HiddenLoad:
    item: Item
    place: Place
    matter: Matter


def hidden_load(rng: np.random.Generator, hold: Hold, frame: Frame, mass_kg: float) -> HiddenLoad:
    """A load of that mass, all of it in view: one block, whole or in slices.

    Goods that would not fit their place are denser than drawn, and where that cannot be, lie on the floor.
    """
    rooms = _rooms(rng, hold, frame)
    place, goods = list(rooms)[int(rng.integers(len(rooms)))], _goods(rng)
    if _least_density(rooms[place], mass_kg) > DENSEST[goods.matter]:
        place = Place.FLOOR
    goods = Material(max(goods.density_g_cm3, _least_density(rooms[place], mass_kg)), goods.matter)
    size = _size(rng, mass_kg / 1000 / goods.density_g_cm3, rooms[place].size)
    at = [float(rng.uniform(0, free - own)) for free, own in zip(rooms[place].size, size, strict=True)]
    if place is not Place.ROOF:
        at[2] = 0.0
    corner = tuple(low + one for (low, _), one in zip(rooms[place].limits, at, strict=True))
    return HiddenLoad(_slices(rng, hold.beam, frame, corner, size, goods, mass_kg), place, goods.matter)


def _least_density(room: Room, mass_kg: float) -> float:
    """g/cm3 at which the mass fills seven tenths of the room."""
    return mass_kg / 1000 / (0.7 * float(np.prod(room.size)))


def _goods(rng: np.random.Generator) -> Material:
    """Packages of organic matter mostly; loosely packed or solid metal; lead in few."""
    draw = rng.random()
    if draw < 0.7:
        return organic(density(rng, 0.2, 1.2))
    return metal(density(rng, 0.8, 7.0)) if draw < 0.97 else Material(density(rng, 4.0, 11.0), Matter.LEAD)


def _rooms(rng: np.random.Generator, hold: Hold, frame: Frame) -> dict[Place, Room]:
    """What each place offers of what the crop shows; places that are out of view are left out."""
    inside, whole, high = (0.12, 0.12 + hold.length), hold.depth, (hold.floor, hold.ceiling)
    wall = (whole[0], whole[0] + 0.5) if rng.random() < 0.5 else (whole[1] - 0.5, whole[1])
    rooms = {
        Place.FLOOR: Room(inside, whole, high),
        Place.DOORS: Room((inside[0], inside[0] + 1.0), whole, high),
        Place.END_WALL: Room((inside[1] - 1.0, inside[1]), whole, high),
        Place.SIDE_WALL: Room(inside, wall, high),
        Place.CROSS_MEMBERS: Room((0.2, frame.length - 0.6), whole, (0.015, frame.floor - 0.03)),
        Place.ROOF: Room(inside, whole, (hold.ceiling - 0.5, hold.ceiling)),
    }
    if frame.kind is Kind.REEFER:
        rooms[Place.MACHINERY] = Room((frame.length - 0.45, frame.length - 0.05), whole, (0.2, frame.height - 0.2))
    beam = hold.beam
    view = sorted(frame.at(x) for x in (beam.x_left_m + 0.02, beam.x_left_m + beam.width * beam.x_pitch_m - 0.02))
    clipped = {place: room.within((view[0], view[1]), beam) for place, room in rooms.items()}
    return {place: room for place, room in clipped.items() if min(room.size[:2]) > 0.3}


def _size(rng: np.random.Generator, volume_m3: float, room: tuple[float, float, float]) -> list[float]:
    """Edges of a block of that volume which fits the room: near a cube, but where the room is low or narrow."""
    edge = volume_m3 ** (1 / 3)
    wanted = edge * np.exp(rng.normal(0, 0.3, 3))
    most = np.array(room) * 0.98
    for _ in range(12):
        wanted = np.minimum(wanted * (volume_m3 / np.prod(wanted)) ** (1 / 3), most)
        short = volume_m3 / float(np.prod(wanted))
        free = wanted < most * 0.999
        if short < 1.001 or not free.any():
            break
        wanted = np.where(free, wanted * short ** (1 / free.sum()), wanted)
    return [float(one) for one in np.minimum(wanted, most)]


def _slices(
    rng: np.random.Generator,
    beam: Beam,
    frame: Frame,
    corner: tuple[float, ...],
    size: list[float],
    goods: Material,
    mass_kg: float,
) -> Item:
    """One to three slices along the container of slightly different density; their masses sum up exactly."""
    count, parts = int(rng.integers(1, 4)), list[Part]()
    edges = np.linspace(corner[0], corner[0] + size[0], count + 1)
    depth, height = (corner[1], corner[1] + size[1]), (corner[2], corner[2] + size[2])
    for (start, stop), share in zip(pairwise(edges), rng.uniform(0.85, 1.15, count), strict=True):
        body = box(beam, frame.from_doors(float(start), float(stop)), depth, height)
        parts.append(Part(body, Material(goods.density_g_cm3 * float(share), goods.matter)))
    factor = mass_kg / sum(part.mass_kg(beam) for part in parts)
    return tuple(Part(part.body, Material(part.material.density_g_cm3 * factor, goods.matter)) for part in parts)
