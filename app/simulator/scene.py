"""One container in front of the source: how it is framed, and the optical depth of all that stands there."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.simulator.beam import Beam, Floats
from app.simulator.bodies import add
from app.simulator.cargo import Item, pack
from app.simulator.cargo.hold import hold_of
from app.simulator.cargo.sparse import litter
from app.simulator.container import Frame, box_parts, outline, reefer_parts
from app.simulator.noise import curve
from app.simulator.trailer import trailer_parts
from app.simulator.truth import Family, Kind, PixelBox

LONGEST_PX = 960
PAYLOAD_KG = 28_000
FAINTEST = 0.1
"""Cargo whose densest place adds less optical depth than this is out of view or could not be seen."""


@dataclass(frozen=True, eq=False)
class Scene:
    """Optical depths, float32 (height, width): `structure` of everything but the cargo, and `cargo`."""

    beam: Beam
    frame: Frame
    structure: Floats
    cargo: Floats
    sway_px: Floats
    container_box: PixelBox
    boxes: tuple[PixelBox, ...]
    mass_kg: float


def build(rng: np.random.Generator, family: Family | None) -> Scene:
    """A scene with cargo of that family, or with none.

    A view that happens to crop all cargo away is drawn again, for its class could not be seen.
    """
    for attempt in range(9):
        scene = _compose(rng, family, whole=attempt == 8)
        if family is None or (scene.boxes and float(scene.cargo.max()) > FAINTEST):
            return scene
    return _compose(rng, Family.PALLETS, whole=True)


def _compose(rng: np.random.Generator, family: Family | None, *, whole: bool) -> Scene:
    frame = _frame(rng, family)
    beam = _beam(rng, frame, whole)
    hold = hold_of(beam, frame)
    parts = reefer_parts(rng, beam, frame) if frame.kind is Kind.REEFER else box_parts(rng, beam, frame)
    if rng.random() < 0.92:
        parts += trailer_parts(rng, beam, frame)
    if rng.random() < 0.25:
        parts += litter(rng, hold)
    structure = np.zeros((beam.height, beam.width), np.float32)
    for part in parts:
        add(structure, beam, part)
    np.maximum(structure, 0, out=structure)
    items = pack(rng, hold, family) if family else []
    sway = sway_of(rng, beam)
    cargo, boxes, mass = load(beam, items, sway)
    spare = PAYLOAD_KG * _share_in_view(beam, frame) / max(mass, 1.0)
    if spare < 1:
        cargo, mass = cargo * np.float32(spare), mass * spare
    return Scene(beam, frame, structure, cargo, sway, container_box(beam, frame, sway), boxes, mass)


def load(beam: Beam, items: list[Item], sway_px: Floats) -> tuple[Floats, tuple[PixelBox, ...], float]:
    """The cargo's optical depth, a box for each item in view, and the mass in view in kilograms."""
    depth, boxes, mass = np.zeros((beam.height, beam.width), np.float32), list[PixelBox](), 0.0
    for item in items:
        touched = [(part.body.columns, add(depth, beam, part)) for part in item]
        seen = [(columns, rows) for columns, rows in touched if rows[1] > rows[0] and columns.stop > columns.start]
        if seen:
            columns = slice(min(c.start for c, _ in seen), max(c.stop for c, _ in seen))
            rows = min(r[0] for _, r in seen), max(r[1] for _, r in seen)
            boxes.append(_swayed(beam, columns, rows, sway_px))
            mass += sum(part.mass_kg(beam) for part in item)
    return np.maximum(depth, 0), tuple(box for box in boxes if box.w and box.h), mass


def _share_in_view(beam: Beam, frame: Frame) -> float:
    columns = outline(beam, frame).columns
    return float((columns.stop - columns.start) * beam.x_pitch_m / frame.length)


def _frame(rng: np.random.Generator, family: Family | None) -> Frame:
    cold = 0.0 if family in (Family.MACHINES, Family.BULK, Family.LIGHT) else 0.3
    weights = np.array([0.35, 0.2, 0.3, cold])
    kind = list(Kind)[int(rng.choice(4, p=weights / weights.sum()))]
    floor = 0.16 if kind is Kind.REEFER else 0.155
    return Frame(kind, rng.uniform(5.4, 7.6), bool(rng.random() < 0.5), floor)


def _beam(rng: np.random.Generator, frame: Frame, whole: bool) -> Beam:
    """Frame the container: height 220 to 380 pixels, the operator's crop tight, loose or cutting into it."""
    above = rng.uniform(0.02, 0.3)
    below = rng.choice([rng.uniform(0.05, 0.4), rng.uniform(0.4, 1.1)])
    height = int(rng.integers(220, 381))
    z_pitch = (frame.height + above + below) / height
    left, right = (_margin(rng, frame, whole) for _ in range(2))
    span = frame.length + left + right
    # The truck's speed sets the scale along the container: scans are often squeezed.
    x_pitch = max(z_pitch * np.exp(rng.uniform(np.log(0.95), np.log(2.6))), span / LONGEST_PX)
    return Beam(
        width=int(span / x_pitch),
        height=height,
        x_left_m=-left,
        x_pitch_m=float(x_pitch),
        z_top_m=frame.height + above,
        z_pitch_m=z_pitch,
        source_height_m=-float(rng.uniform(1.1, 1.6)),
        near_m=frame.near,
    )


def _margin(rng: np.random.Generator, frame: Frame, whole: bool) -> float:
    form = rng.random()
    if form < 0.12 and not whole:
        return -float(rng.uniform(0.0, 0.3)) * frame.length
    if form < 0.7:
        return float(rng.uniform(0.02, 0.5))
    return float(rng.uniform(0.5, 3.5))


def sway_of(rng: np.random.Generator, beam: Beam) -> Floats:
    """How far each column is shifted down: the road's bumps and a tilted container, float32 (width,)."""
    bumps = curve(rng, beam.width, int(rng.integers(4, 14))) * beam.height * rng.uniform(0, 0.004)
    tilt = np.linspace(-1, 1, beam.width) * rng.normal(0, 0.008) * beam.height
    return np.asarray(bumps + tilt, np.float32)


def container_box(beam: Beam, frame: Frame, sway_px: Floats) -> PixelBox:
    body = outline(beam, frame)
    return _swayed(beam, body.columns, body.rows(beam), sway_px)


def _swayed(beam: Beam, columns: slice, rows: tuple[int, int], sway_px: Floats) -> PixelBox:
    shift = sway_px[columns]
    top = max(0, int(np.floor(rows[0] + shift.min())))
    stop = min(beam.height, int(np.ceil(rows[1] + shift.max())))
    return PixelBox(columns.start, top, columns.stop - columns.start, max(0, stop - top))


def transmission(depth: NDArray[np.float32], sway_px: Floats) -> Floats:
    """Beer-Lambert: the share of the beam that passes, with the columns shifted; float32 (height, width)."""
    passed = np.exp(-depth)
    if float(np.abs(sway_px).max()) < 0.05:
        return passed
    height, width = passed.shape
    above = np.floor(-sway_px)
    part = -sway_px - above
    reach = int(np.abs(above).max()) + 1
    padded = np.pad(passed, ((reach, reach), (0, 0)), mode="edge").ravel()
    upper = (np.arange(height)[:, None] + reach + above.astype(int)) * width + np.arange(width)
    first = padded.take(upper)
    return np.asarray(first + part * (padded.take(upper + width) - first), np.float32)
