"""One container in front of the source: how it is framed, and all that stands there."""

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

import numpy as np

from app.simulator.beam import Beam, Floats
from app.simulator.bodies import Part, add
from app.simulator.cargo import Item, pack
from app.simulator.cargo.hard import HARD_LOADS
from app.simulator.cargo.hidden import hidden_load
from app.simulator.cargo.hold import Hold, hold_of
from app.simulator.cargo.sparse import litter
from app.simulator.clutter import dirt, intruders
from app.simulator.container import Frame, box_parts, outline, reefer_parts
from app.simulator.matter import Matter
from app.simulator.noise import curve
from app.simulator.order import Order
from app.simulator.profile import ScannerProfile
from app.simulator.thickness import Thickness
from app.simulator.trailer import trailer_parts
from app.simulator.truth import Case, Family, Kind, PixelBox, Place

LONGEST_PX = 800
PAYLOAD_KG = 28_000
FAINTEST = 0.1
"""Cargo whose densest place adds less optical depth at 3 MeV than this is out of view or could not be seen."""
FAINTEST_HARD = 0.02
"""The same for the hard cases, which are to be hard."""


@dataclass(frozen=True, eq=False)
class Cargo:
    """What is loaded; `place` and `matter` of a hidden load alone."""

    family: Family | None = None
    thickness: Thickness | None = None
    boxes: tuple[PixelBox, ...] = ()
    mass_kg: float = 0.0
    place: Place | None = None
    matter: Matter | None = None

    @cached_property
    def depth(self) -> Floats:
        """Optical depth that it adds, at the reference energy; float32 (height, width), or (0, 0) without cargo."""
        return Thickness((0, 0)).depth() if self.thickness is None else self.thickness.depth()

    @property
    def densest(self) -> float:
        """The most optical depth that it adds anywhere."""
        return float(self.depth.max()) if self.boxes else 0.0


@dataclass(frozen=True, eq=False)
class Scene:
    """Mass thicknesses: `structure` of everything but the cargo, and the cargo."""

    beam: Beam
    frame: Frame
    structure: Thickness
    cargo: Cargo
    sway_px: Floats
    container_box: PixelBox

    @property
    def whole(self) -> Thickness:
        return self.structure if self.cargo.thickness is None else self.structure.plus(self.cargo.thickness)


def build(rng: np.random.Generator, order: Order) -> Scene:
    """A scene as ordered.

    A view that happens to crop all cargo away is drawn again, for its class could not be seen. A hidden load is
    placed in view at once and never drawn again, so that nothing but its mass and place says how faint it is.
    """
    least = FAINTEST if order.case is Case.ORDINARY else FAINTEST_HARD
    for attempt in range(9):
        scene = _compose(rng, order, whole=attempt == 8)
        if not order.loaded or order.case is Case.HIDDEN_LOAD or scene.cargo.densest > least:
            return scene
    fallback = replace(order, case=Case.ORDINARY, family=Family.PALLETS)
    return _compose(rng, fallback, whole=True)


def _compose(rng: np.random.Generator, order: Order, *, whole: bool) -> Scene:
    frame = _frame(rng, order)
    beam = _beam(rng, frame, order.profile, whole)
    hold, sway = hold_of(beam, frame), sway_of(rng, beam, order.profile.skew)
    structure = Thickness((beam.height, beam.width))
    for part in _structure(rng, beam, frame, hold, order.case):
        add(structure, beam, part)
    structure.settle()
    cargo = _cargo(rng, hold, frame, order, sway)
    return Scene(beam, frame, structure, cargo, sway, container_box(beam, frame, sway))


def _structure(rng: np.random.Generator, beam: Beam, frame: Frame, hold: Hold, case: Case) -> list[Part]:
    """The container, what carries it, and what lies about in it."""
    parts = reefer_parts(rng, beam, frame) if frame.kind is Kind.REEFER else box_parts(rng, beam, frame)
    if rng.random() < 0.92:
        parts += trailer_parts(rng, beam, frame)
    if rng.random() < 0.25:
        parts += litter(rng, hold)
    if case is Case.DIRT:
        parts += dirt(rng, hold)
    elif case is Case.TRAILER:
        parts += intruders(rng, beam, frame)
    return parts


def _cargo(rng: np.random.Generator, hold: Hold, frame: Frame, order: Order, sway_px: Floats) -> Cargo:
    if not order.loaded:
        return Cargo()
    if order.case is Case.HIDDEN_LOAD:
        assert order.mass_kg is not None
        hidden = hidden_load(rng, hold, frame, order.mass_kg)
        cargo = load(hold.beam, [hidden.item], sway_px)
        return replace(cargo, family=Family.SPARSE, place=hidden.place, matter=hidden.matter)
    if order.case is Case.ORDINARY:
        assert order.family is not None
        family, items = order.family, pack(rng, hold, order.family)
    else:
        family, items = HARD_LOADS[order.case](rng, hold)
    cargo = load(hold.beam, items, sway_px)
    spare = PAYLOAD_KG * _share_in_view(hold.beam, frame) / max(cargo.mass_kg, 1.0)
    if spare < 1 and cargo.thickness is not None:
        cargo = replace(cargo, thickness=cargo.thickness.times(spare), mass_kg=cargo.mass_kg * spare)
    return replace(cargo, family=family)


def load(beam: Beam, items: list[Item], sway_px: Floats) -> Cargo:
    """The cargo's mass thickness, a box for each item in view, and the mass in view."""
    thickness, boxes, mass = Thickness((beam.height, beam.width)), list[PixelBox](), 0.0
    for item in items:
        touched = [(part, add(thickness, beam, part)) for part in item]
        seen = [(part, rows) for part, rows in touched if rows[1] > rows[0]]
        outline = [(part.body.columns, rows) for part, rows in seen if part.outlined]
        if outline:
            columns = slice(min(c.start for c, _ in outline), max(c.stop for c, _ in outline))
            rows = min(r[0] for _, r in outline), max(r[1] for _, r in outline)
            boxes.append(_swayed(beam, columns, rows, sway_px))
        if seen:
            mass += sum(part.mass_kg(beam) for part in item)
    thickness.settle()
    return Cargo(None, thickness, tuple(box for box in boxes if box.w and box.h), mass)


def _share_in_view(beam: Beam, frame: Frame) -> float:
    columns = outline(beam, frame).columns
    return float((columns.stop - columns.start) * beam.x_pitch_m / frame.length)


def _frame(rng: np.random.Generator, order: Order) -> Frame:
    cold = 0.0 if order.family in (Family.MACHINES, Family.BULK, Family.LIGHT, Family.LONG) else 0.3
    weights = np.array([0.35, 0.2, 0.3, cold])
    kind = list(Kind)[int(rng.choice(4, p=weights / weights.sum()))]
    floor = 0.16 if kind is Kind.REEFER else 0.155
    return Frame(kind, float(rng.uniform(*order.profile.near_m)), bool(rng.random() < 0.5), floor)


def _beam(rng: np.random.Generator, frame: Frame, profile: ScannerProfile, whole: bool) -> Beam:
    """Frame the container: the operator's crop tight, loose or cutting into it."""
    above = rng.uniform(0.02, 0.3)
    below = float(rng.choice([rng.uniform(0.05, 0.4), rng.uniform(0.4, 1.1)]))
    height = int(rng.integers(profile.height_px[0], profile.height_px[1] + 1))
    z_pitch = (frame.height + above + below) / height
    left, right = (_margin(rng, frame, profile, whole) for _ in range(2))
    span = frame.length + left + right
    x_pitch = max(z_pitch * np.exp(rng.uniform(*np.log(profile.squeeze))), span / LONGEST_PX)
    return Beam(
        width=int(span / x_pitch),
        height=height,
        x_left_m=-left,
        x_pitch_m=float(x_pitch),
        z_top_m=float(frame.height + above),
        z_pitch_m=float(z_pitch),
        source_height_m=float(rng.uniform(*profile.source_height_m)),
        near_m=frame.near,
    )


def _margin(rng: np.random.Generator, frame: Frame, profile: ScannerProfile, whole: bool) -> float:
    form = rng.random()
    if form < profile.cut and not whole:
        return -float(rng.uniform(0.0, 0.3)) * frame.length
    if form < 1 - profile.wide:
        return float(rng.uniform(0.02, 0.5))
    return float(rng.uniform(0.5, 3.5))


def sway_of(rng: np.random.Generator, beam: Beam, skew: float) -> Floats:
    """How far each column is shifted down: the road's bumps and a tilted container, float32 (width,)."""
    bumps = curve(rng, beam.width, int(rng.integers(4, 14))) * beam.height * rng.uniform(0, 0.004)
    tilt = np.linspace(-1, 1, beam.width) * rng.normal(0, skew) * beam.height
    return np.asarray(bumps + tilt, np.float32)


def container_box(beam: Beam, frame: Frame, sway_px: Floats) -> PixelBox:
    body = outline(beam, frame)
    return _swayed(beam, body.columns, body.rows(beam), sway_px)


def _swayed(beam: Beam, columns: slice, rows: tuple[int, int], sway_px: Floats) -> PixelBox:
    shift = sway_px[columns]
    top = max(0, int(np.floor(rows[0] + shift.min())))
    stop = min(beam.height, int(np.ceil(rows[1] + shift.max())))
    return PixelBox(columns.start, top, columns.stop - columns.start, max(0, stop - top))


def swayed(passed: Floats, sway_px: Floats) -> Floats:
    """The columns shifted by fractions of a pixel, their values kept; float32 of the same shape."""
    if float(np.abs(sway_px).max()) < 0.05:
        return passed
    height = len(passed)
    above = np.floor(-sway_px).astype(int)
    part = (-sway_px - above).astype(np.float32)
    moved = np.empty_like(passed)
    # Columns side by side share their whole shift: a handful of runs, each of two plain slices.
    ends = [0, *(np.flatnonzero(np.diff(above)) + 1).tolist(), len(above)]
    for start, stop in pairwise(ends):
        shift, run = int(above[start]), slice(start, stop)
        first, last = max(0, -shift), min(height, height - 1 - shift)
        upper = passed[first + shift : last + shift + 1, run]
        inner = moved[first:last, run]
        np.subtract(upper[1:], upper[:-1], out=inner)
        inner *= part[run]
        inner += upper[:-1]
        moved[:first, run] = passed[0, run]
        moved[last:, run] = passed[-1, run]
    return moved
