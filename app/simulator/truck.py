"""A whole truck with its tractor: two 20-foot containers behind one another, or one of 40 feet."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from app.errors import InvalidInput
from app.simulator.beam import Beam
from app.simulator.bodies import add
from app.simulator.cargo import pack
from app.simulator.cargo.hold import hold_of
from app.simulator.container import LENGTH_M, Frame, box_parts
from app.simulator.detector import detect, draw_exposure
from app.simulator.scanners import SCANNERS
from app.simulator.scene import container_box, load, sway_of, swayed
from app.simulator.thickness import Thickness
from app.simulator.trailer import cab_parts, trailer_parts
from app.simulator.truth import ClassName, Family, Kind, PixelBox

FAMILIES = (Family.STACKS, Family.PALLETS, Family.DRUMS, Family.BOXES, Family.ROLLS)
TRACTOR_M = 5.5


@dataclass(frozen=True, eq=False)
class TruckScan:
    """uint8 (height, width), light background; a box and a class for each container, from left to right."""

    pixels: NDArray[np.uint8]
    container_boxes: tuple[PixelBox, ...]
    class_names: tuple[ClassName, ...]


def simulate_truck(rng: np.random.Generator, *, loaded: tuple[bool, ...]) -> TruckScan:
    """A truck with a container for each entry of `loaded` (from the left), one or two.

    The same generator state gives the same bytes. Raises InvalidInput for another number of containers.
    """
    if len(loaded) not in (1, 2):
        raise InvalidInput(f"{len(loaded)} containers on a truck: give one or two")
    profile = SCANNERS["port"]
    kind = Kind.FORTY if len(loaded) == 1 else Kind.TWENTY
    gap = float(rng.uniform(0.08, 0.6))
    length = LENGTH_M[kind]
    offsets = [index * (length + gap) for index in range(len(loaded))]
    whole = Frame(Kind.FORTY, float(rng.uniform(5.6, 7.2)), bool(rng.random() < 0.5), 0.155)
    beam = _beam(rng, whole, offsets[-1] + length)
    thickness = _carrier(rng, beam, whole)
    sway = sway_of(rng, beam, profile.skew)
    boxes = list[PixelBox]()
    for offset, full in zip(offsets, loaded, strict=True):
        # The same container, seen by a beam that stands so much further to the left.
        moved = replace(beam, x_left_m=beam.x_left_m - offset)
        frame = Frame(kind, whole.near, bool(rng.random() < 0.5), 0.155)
        for part in box_parts(rng, moved, frame):
            add(thickness, moved, part)
        if full:
            family = FAMILIES[int(rng.integers(len(FAMILIES)))]
            cargo = load(moved, pack(rng, hold_of(moved, frame), family), sway).thickness
            thickness = thickness if cargo is None else thickness.plus(cargo)
        boxes.append(container_box(moved, frame, sway))
    thickness.settle()
    passed = swayed(thickness.passed(profile.spectrum), sway)
    pixels = detect(rng, passed, draw_exposure(rng, profile, beam.height, beam.width))
    return TruckScan(pixels, tuple(boxes), tuple("loaded" if full else "empty" for full in loaded))


def _beam(rng: np.random.Generator, whole: Frame, length: float) -> Beam:
    """The tractor in view at the end away from the doors, the wheels below, open beam about it all."""
    height = int(rng.integers(280, 381))
    above, below = rng.uniform(0.1, 0.4), rng.uniform(1.5, 1.75)
    pitch = (whole.height + above + below) / height
    front, rear = TRACTOR_M + rng.uniform(0.3, 1.0), rng.uniform(0.5, 1.5)
    left, right = (rear, front) if whole.doors_left else (front, rear)
    x_pitch = pitch * float(rng.uniform(1.0, 1.3))
    return Beam(
        width=int((length + left + right) / x_pitch),
        height=height,
        x_left_m=-left,
        x_pitch_m=x_pitch,
        z_top_m=whole.height + above,
        z_pitch_m=pitch,
        source_height_m=-float(rng.uniform(1.1, 1.6)),
        near_m=whole.near,
    )


def _carrier(rng: np.random.Generator, beam: Beam, whole: Frame) -> Thickness:
    thickness = Thickness((beam.height, beam.width))
    for part in [*trailer_parts(rng, beam, whole), *cab_parts(rng, beam, whole)]:
        add(thickness, beam, part)
    return thickness
