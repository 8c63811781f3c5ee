"""The steel box: sheets, corrugation, rails, posts, castings, end wall, doors, floor.

Dimensions of ISO 668 and ISO 1496-1 boxes; sheets and sections as builders' drawings commonly give them.
"""

from dataclasses import dataclass

import numpy as np

from app.simulator.beam import Beam
from app.simulator.bodies import Bars, Part
from app.simulator.matter import ALUMINIUM, PLYWOOD, STEEL, Material, metal
from app.simulator.shapes import Pair, box, comb, crosswise, prism
from app.simulator.truth import Kind

WIDTH_M = 2.438
LENGTH_M = {Kind.TWENTY: 6.058, Kind.FORTY: 12.192, Kind.FORTY_HIGH_CUBE: 12.192, Kind.REEFER: 12.192}
HEIGHT_M = {Kind.TWENTY: 2.591, Kind.FORTY: 2.591, Kind.FORTY_HIGH_CUBE: 2.896, Kind.REEFER: 2.896}


@dataclass(frozen=True)
class Frame:
    """A container's outer box in the beam: 0 to `length` along, 0 to `height` up, `near` to `far` deep."""

    kind: Kind
    near: float
    doors_left: bool
    floor: float

    @property
    def length(self) -> float:
        return LENGTH_M[self.kind]

    @property
    def height(self) -> float:
        return HEIGHT_M[self.kind]

    @property
    def far(self) -> float:
        return self.near + WIDTH_M

    def from_doors(self, start: float, stop: float) -> Pair:
        """The stretch between two distances from the doors."""
        return (start, stop) if self.doors_left else (self.length - stop, self.length - start)

    def at(self, distance: float) -> float:
        """The position along, that far from the doors."""
        return distance if self.doors_left else self.length - distance

    def sides(self, thickness: float) -> tuple[Pair, Pair]:
        """Depths of the near and the far side's skin."""
        return (self.near, self.near + thickness), (self.far - thickness, self.far)


def box_parts(rng: np.random.Generator, beam: Beam, frame: Frame) -> list[Part]:
    """Everything that a dry container consists of."""
    sheet = float(rng.uniform(0.0015, 0.0021))
    return [
        *_sheets(rng, beam, frame, sheet),
        *edges(rng, beam, frame),
        *_end_wall(beam, frame, sheet),
        *doors(rng, beam, frame),
        *_floor(rng, beam, frame),
    ]


def _sheets(rng: np.random.Generator, beam: Beam, frame: Frame, sheet: float) -> list[Part]:
    """Side walls with their corrugation, and the roof."""
    along, high = (0.0, frame.length), (0.12, frame.height - 0.02)
    period, phase = rng.uniform(0.24, 0.30), rng.uniform(0, 0.3)
    parts = [Part(box(beam, along, along_depth, high), STEEL) for along_depth in frame.sides(sheet)]
    for shift, side in zip((phase, phase + rng.uniform(0, 0.3)), frame.sides(sheet), strict=True):
        starts = np.arange(shift, frame.length - 0.1, period)
        # The slanted flanks of the corrugation are crossed at 45 degrees and more.
        flanks = np.concatenate([starts, starts + period / 2])
        parts.append(Part(comb(beam, flanks, 0.036, side, high), metal(7.87 * rng.uniform(0.1, 0.7))))
    roof = (frame.height - 0.03 - sheet, frame.height - 0.03)
    parts.append(Part(box(beam, along, (frame.near, frame.far), roof), STEEL))
    bows = np.arange(rng.uniform(0, 0.2), frame.length - 0.1, 0.209)
    parts.append(Part(comb(beam, bows, 0.05, (frame.near, frame.far), roof), metal(rng.uniform(1.0, 4.0))))
    plates = comb(beam, np.array([0.1, frame.length - 0.35]), 0.25, (frame.near, frame.far), roof)
    return [*parts, Part(plates, metal(rng.uniform(3, 9)))]


def edges(rng: np.random.Generator, beam: Beam, frame: Frame) -> list[Part]:
    """Top and bottom side rails, corner posts and castings, lashing rings."""
    top, along, parts = frame.height, (0, frame.length), list[Part]()
    rail = box(beam, along, (0, 1), (0, 1))
    for near, far in frame.sides(0.06):
        parts.append(Part(rail.at((near, far), (top - 0.06, top)), metal(1.4)))
        parts.append(Part(rail.at((near, near + 0.005), (0.0, 0.16)), STEEL))
        parts.append(Part(rail.at((near, far), (0.0, 0.012)), metal(4.0)))
        rings = comb(beam, np.arange(0.2, frame.length, 1.15) + rng.uniform(0, 0.2), 0.05, (0, 1), (0, 1))
        parts.append(Part(rings.at((near, near + 0.012), (0.16, 0.22)), STEEL))
        parts.append(Part(rings.at((near, near + 0.012), (top - 0.11, top - 0.05)), STEEL))
    return [*parts, *_posts_at_corners(rng, beam, frame), *_castings(beam, frame)]


def _posts_at_corners(rng: np.random.Generator, beam: Beam, frame: Frame) -> list[Part]:
    """Hollow sections, whose webs are seen edge on."""
    post, web, wide = metal(rng.uniform(0.3, 0.7)), metal(rng.uniform(2, 6)), rng.uniform(0.1, 0.16)
    high, parts = (0.0, frame.height), list[Part]()
    ends = [box(beam, (left, left + wide), (0, 1), high) for left in (0.0, frame.length - wide)]
    starts = np.array([0.0, wide - 0.008, frame.length - wide, frame.length - 0.008])
    webs = comb(beam, starts, 0.008, (0, 1), high)
    for near, far in frame.sides(0.06):
        parts.extend(Part(end.at((near - 0.04, far + 0.04), high), post) for end in ends)
        parts.append(Part(webs.at((near - 0.02, far + 0.02), high), web))
    return parts


def _castings(beam: Beam, frame: Frame) -> list[Part]:
    """The eight corner castings with their holes."""
    starts, parts = np.array([0.0, frame.length - 0.178]), list[Part]()
    corners, holes = (comb(beam, starts + at, wide, (0, 1), (0, 1)) for at, wide in ((0.0, 0.178), (0.06, 0.06)))
    for depth in frame.sides(0.162):
        for low in (0.0, frame.height - 0.118):
            parts.append(Part(corners.at(depth, (low, low + 0.118)), metal(2.6)))
            parts.append(Part(holes.at(depth, (low + 0.03, low + 0.09)), metal(2.6).hole()))
    return parts


def _end_wall(beam: Beam, frame: Frame, sheet: float) -> list[Part]:
    """The closed end: its corrugated sheet is seen edge on.

    Rays along it meet the slanted flanks, two to a corrugation of a quarter of a metre, all through its depth; the
    flat strips between stop them, but in two lines as thin as the sheet.
    """
    flanks, flats = metal(7.87 * 2 * sheet * 1.41 / 0.25), metal(7.87 * 0.3)
    span = frame.from_doors(frame.length - 0.08, frame.length - 0.034)
    inside, high = (frame.near + 0.1, frame.far - 0.1), (0.1, frame.height - 0.1)
    return [
        Part(box(beam, span, inside, high), flanks),
        Part(comb(beam, np.array([span[0], span[1] - sheet]), sheet, inside, high), flats),
        Part(box(beam, span, inside, (frame.height - 0.12, frame.height)), metal(1.6)),
        Part(box(beam, span, inside, (0.0, 0.15)), metal(1.6)),
    ]


def doors(rng: np.random.Generator, beam: Beam, frame: Frame) -> list[Part]:
    """Door leaves edge on, locking bars and their keepers."""
    inside = (frame.near + 0.06, frame.far - 0.06)
    leaf = box(beam, frame.from_doors(0.02, 0.07), inside, (0.1, frame.height - 0.08))
    sill = box(beam, frame.from_doors(0.0, 0.12), inside, (0.0, 0.14))
    header = box(beam, frame.from_doors(0.0, 0.12), inside, (frame.height - 0.13, frame.height))
    parts = [Part(leaf, metal(rng.uniform(0.12, 0.35))), Part(sill, metal(1.2)), Part(header, metal(0.9))]
    for depth in frame.near + np.array([0.35, 0.95, 1.5, 2.05]):
        bar = box(beam, frame.from_doors(-0.03, 0.005), (depth, depth + 0.035), (0.1, frame.height - 0.1))
        parts.append(Part(bar, metal(5.0)))
        for z in rng.uniform(0.3, frame.height - 0.3, 3):
            keeper = box(beam, frame.from_doors(-0.05, 0.03), (depth - 0.05, depth + 0.08), (z, z + 0.06))
            parts.append(Part(keeper, metal(4.0)))
    return parts


def _floor(rng: np.random.Generator, beam: Beam, frame: Frame) -> list[Part]:
    """Plywood on cross members, which are seen edge on as dark lines; forklift pockets in some."""
    inside, top = (frame.near, frame.far), frame.floor
    step = rng.uniform(0.27, 0.32) if frame.kind is Kind.TWENTY else rng.uniform(0.27, 0.42)
    starts = np.arange(0.15, frame.length - 0.15, step) + rng.uniform(-0.01, 0.01)
    parts = [
        Part(box(beam, (0.1, frame.length - 0.1), inside, (top - 0.028, top)), PLYWOOD),
        Part(comb(beam, starts, 0.0045, inside, (0.01, top - 0.028)), STEEL),
        Part(comb(beam, starts, 0.045, inside, (top - 0.034, top - 0.028)), STEEL),
        Part(comb(beam, starts, 0.045, inside, (0.01, 0.015)), STEEL),
    ]
    if frame.kind is Kind.TWENTY and rng.random() < 0.7:
        middle = frame.length / 2
        pockets = comb(beam, np.array([middle - 1.2, middle + 0.85]), 0.36, inside, (0.005, 0.12))
        parts.append(Part(pockets, metal(0.75)))
    if frame.kind is not Kind.TWENTY and rng.random() < 0.4:
        # The gooseneck tunnel: no cross members in the middle of the front bay.
        span = frame.from_doors(frame.length - 3.1, frame.length - 0.2)
        parts.append(Part(box(beam, span, (frame.near + 0.7, frame.near + 0.712), (0.0, top - 0.03)), STEEL))
    return parts


def reefer_parts(rng: np.random.Generator, beam: Beam, frame: Frame) -> list[Part]:
    """A refrigerated container: insulated walls on posts, aluminium T-floor, machinery opposite the doors."""
    along, high = (0.0, frame.length), (0.1, frame.height - 0.02)
    parts = [*edges(rng, beam, frame), *doors(rng, beam, frame)]
    for near, far in frame.sides(0.07):
        parts.append(Part(box(beam, along, (near, near + 0.0009), high), STEEL))
        parts.append(Part(box(beam, along, (far - 0.0008, far), high), metal(rng.uniform(5, 8))))
    inside = (frame.near + 0.05, frame.far - 0.05)
    skins = (frame.height - 0.02, frame.height - 0.10)
    parts.extend(Part(box(beam, along, inside, (z - 0.0009, z)), STEEL) for z in skins)
    tees = box(beam, along, inside, (frame.floor - 0.063, frame.floor))
    parts += [Part(tees, ALUMINIUM_TEES), *_posts(rng, beam, frame), *machinery(rng, beam, frame)]
    return [*parts, *_reefer_underside(rng, beam, frame)]


ALUMINIUM_TEES = Material(ALUMINIUM.density_g_cm3 * 0.08, ALUMINIUM.matter)


def _posts(rng: np.random.Generator, beam: Beam, frame: Frame) -> list[Part]:
    """Posts in the near and the far wall and bows in the roof, each on its own spacing."""
    parts, strength = list[Part](), rng.uniform(0.5, 1.6)
    for near, far in frame.sides(0.065):
        starts = np.arange(rng.uniform(0.1, 1.2), frame.length - 0.5, rng.uniform(0.9, 1.7))
        for shift in (0.0, 0.05):
            posts = comb(beam, starts + shift, 0.012, (near, far), (0.1, frame.height - 0.05))
            parts.append(Part(posts, metal(1.1 * strength)))
        parts.append(Part(comb(beam, starts, 0.06, (near, far), (0.1, frame.height - 0.05)), metal(0.25 * strength)))
    starts = np.arange(rng.uniform(0.1, 1.2), frame.length - 0.5, rng.uniform(0.9, 1.7))
    bows = comb(beam, starts, 0.05, (frame.near, frame.far), (frame.height - 0.07, frame.height - 0.03))
    return [*parts, Part(bows, metal(0.25 * strength))]


def machinery(rng: np.random.Generator, beam: Beam, frame: Frame) -> list[Part]:
    """The refrigeration unit: bulkhead, compressor, motors, coils, cables."""
    end, depth = frame.length - 0.02, (frame.near + 0.1, frame.far - 0.1)
    reach = rng.uniform(0.35, 0.5)
    texture = np.clip(rng.lognormal(-0.2, 0.9, (28, 5)), 0.05, 5).astype(np.float32)
    columns = frame.from_doors(end - reach, end)
    cabinet = prism(beam, columns, (depth[0], depth[1]), (0.15, frame.height - 0.15))
    bulkhead = box(beam, frame.from_doors(end - reach, end - reach + 0.02), depth, (0.15, frame.height - 0.1))
    front = box(beam, frame.from_doors(end - 0.06, end), depth, (0.05, frame.height - 0.05))
    parts = [
        Part(cabinet, metal(rng.uniform(0.03, 0.07)), texture),
        Part(bulkhead, metal(0.5)),
        Part(front, metal(0.5)),
    ]
    for _ in range(int(rng.integers(3, 7))):
        radius, at = rng.uniform(0.06, 0.15), end - reach * rng.uniform(0.3, 0.8)
        x, z = frame.at(at), rng.uniform(0.3, frame.height - 0.4)
        near = rng.uniform(*depth)
        parts.append(Part(crosswise(beam, (x, z), radius, (near, near + 0.5)), metal(rng.uniform(0.5, 2.5))))
    return parts


def _reefer_underside(rng: np.random.Generator, beam: Beam, frame: Frame) -> list[Part]:
    starts = np.arange(0.3, frame.length - 0.3, rng.uniform(0.6, 1.3))
    inside = (frame.near, frame.far)
    return [
        Part(comb(beam, starts, 0.006, inside, (0.01, 0.09)), STEEL),
        Part(comb(beam, starts, 0.05, inside, (0.01, 0.016)), STEEL),
        Part(box(beam, (0, frame.length), inside, (0.085, 0.0862)), STEEL),
    ]


def outline(beam: Beam, frame: Frame) -> Bars:
    """The whole container as one body, for its box in the image."""
    return box(beam, (0, frame.length), (frame.near, frame.far), (0, frame.height))
