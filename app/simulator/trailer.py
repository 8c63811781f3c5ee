"""What carries the container past the source: chassis, wheels, landing legs, tank, tractor."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.simulator.beam import Beam
from app.simulator.bodies import Part
from app.simulator.container import Frame
from app.simulator.matter import RUBBER, STEEL, metal, organic
from app.simulator.shapes import Pair, box, comb, crosswise, prism, ring
from app.simulator.truth import Kind


@dataclass(frozen=True)
class Trailer:
    """A skeletal semi-trailer: its ends as distances from the container's doors, and the height of its deck."""

    beam: Beam
    frame: Frame
    rear: float
    front: float
    deck: float

    @property
    def length(self) -> float:
        return self.front - self.rear

    @property
    def wheels_in_view(self) -> bool:
        return self.beam.z_top_m - self.beam.height * self.beam.z_pitch_m < -0.35

    def at(self, share: float) -> float:
        """Position along, at that share of the trailer's length from its rear."""
        return self.frame.at(self.rear + share * self.length)


def trailer_parts(rng: np.random.Generator, beam: Beam, frame: Frame) -> list[Part]:
    """The trailer under the container, its tractor at the end away from the doors."""
    trailer = _trailer(rng, beam, frame)
    parts = [*_beams(rng, trailer), *_bolsters(rng, trailer), *_brackets(rng, trailer)]
    if not trailer.wheels_in_view:
        return parts
    first, pitch = trailer.rear + rng.uniform(1.2, 2.4), rng.uniform(1.25, 1.4)
    axles = [frame.at(first + axle * pitch) for axle in range(int(rng.integers(2, 4)))]
    parts += _wheels(rng, beam, frame, np.array(axles))
    return [*parts, *_underneath(rng, trailer), *_tractor(rng, trailer)]


def _trailer(rng: np.random.Generator, beam: Beam, frame: Frame) -> Trailer:
    """As long as the container; or a long one that carries a short container at one of its ends."""
    rear, front = -rng.uniform(-0.3, 0.6), frame.length + rng.uniform(-0.2, 0.4)
    if frame.kind is Kind.TWENTY and rng.random() < 0.3:
        spare = rng.uniform(3.0, 6.4)
        rear, front = (rear - spare, front) if rng.random() < 0.5 else (rear, front + spare)
    return Trailer(beam, frame, rear, front, -rng.uniform(0.0, 0.06))


def _beams(rng: np.random.Generator, trailer: Trailer) -> list[Part]:
    """Two I-beams lengthwise, shallow at the gooseneck; flanges edge on are the dark lines of a scan."""
    beam, frame, deck = trailer.beam, trailer.frame, trailer.deck
    span = frame.from_doors(trailer.rear, trailer.front)
    centres = beam.column_centres_m[beam.columns(*span)]
    from_rear = (centres if frame.doors_left else frame.length - centres) - trailer.rear
    neck, slope = trailer.length * rng.uniform(0.55, 0.8), rng.uniform(0.12, 0.3)
    deep, shallow = rng.uniform(0.35, 0.55), rng.uniform(0.12, 0.2)
    low = deck - np.clip(deep - (from_rear - neck) * slope, shallow, deep)
    parts, flange = list[Part](), rng.uniform(0.012, 0.018)
    for near in (frame.near + 0.65, frame.near + 1.65):
        web, wide = (near + 0.06, near + 0.066), (near, near + 0.13)
        parts.append(Part(prism(beam, span, web, (low, np.full_like(low, deck))), STEEL))
        parts.append(Part(prism(beam, span, wide, (low, low + flange)), STEEL))
        parts.append(Part(box(beam, span, wide, (deck - flange, deck)), STEEL))
    rail = box(beam, span, (frame.near + 0.1, frame.near + 0.106), (deck - 0.12, deck))
    return [*parts, Part(rail, STEEL)]


def _bolsters(rng: np.random.Generator, trailer: Trailer) -> list[Part]:
    """Twist-lock bolsters: boxes right across, under the corners and here and there between and beyond."""
    frame, low = trailer.frame, trailer.rear + 0.3
    places = [0.16, frame.length - 0.16, *rng.uniform(low, trailer.front - 0.3, int(rng.integers(1, 5)))]
    parts = list[Part]()
    for place in places:
        wide, under = rng.uniform(0.12, 0.22), trailer.deck - rng.uniform(0.1, 0.28)
        span = frame.from_doors(place - wide / 2, place + wide / 2)
        # One that carries nothing stands up in the open.
        high = trailer.deck + (rng.uniform(0, 0.05) if 0 < place < frame.length else rng.uniform(0.05, 0.35))
        bolster = box(trailer.beam, span, (frame.near, frame.far), (under, high))
        parts.append(Part(bolster, metal(rng.uniform(0.4, 0.9))))
    return parts


def _brackets(rng: np.random.Generator, trailer: Trailer) -> list[Part]:
    """Cross members, brackets, pipes and valves between the beams: what makes an underside busy."""
    beam, frame, deck = trailer.beam, trailer.frame, trailer.deck
    ends, parts = sorted((trailer.at(0.02), trailer.at(0.98))), list[Part]()
    for _ in range(int(rng.integers(3, 8))):
        starts = rng.uniform(ends[0], ends[1], int(rng.integers(3, 14)))
        near, high = rng.uniform(frame.near, frame.far - 0.5), deck - rng.uniform(0.0, 0.5)
        depth = (near, near + float(rng.choice([0.06, 0.2, 0.5])))
        bars = comb(beam, starts, rng.uniform(0.01, 0.1), depth, (high - rng.uniform(0.05, 0.35), high))
        parts.append(Part(bars, metal(rng.uniform(0.8, 5))))
    starts, depth = rng.uniform(ends[0], ends[1], int(rng.integers(6, 16))), (frame.near + 0.2, frame.far - 0.2)
    cross = comb(beam, starts, 0.008, depth, (deck - rng.uniform(0.1, 0.2), deck - 0.02))
    height = deck - rng.uniform(0.1, 0.4)
    pipe = box(beam, (ends[0], ends[1]), (frame.near + 1.1, frame.near + 1.14), (height - 0.025, height))
    return [*parts, Part(cross, STEEL), Part(pipe, metal(2.5))]


def _wheels(rng: np.random.Generator, beam: Beam, frame: Frame, x_m: NDArray[np.floating]) -> list[Part]:
    """Twin tyres on both ends of each axle at `x_m`, rims, drums, and the axles' springs and air bags."""
    z, radius = -rng.uniform(0.95, 1.06), rng.uniform(0.48, 0.53)
    at, parts = (x_m, z), list[Part]()
    for near in (frame.near, frame.far - 0.6):
        parts += ring(beam, at, (radius - 0.035, radius), (near, near + 0.58), RUBBER)
        parts += ring(beam, at, (0.28, radius - 0.035), (near + 0.02, near + 0.09), RUBBER)
        parts += ring(beam, at, (0.24, 0.29), (near, near + 0.5), metal(2.5))
        parts.append(Part(crosswise(beam, at, 0.22, (near + 0.1, near + 0.4)), metal(2.2)))
    parts.append(Part(crosswise(beam, at, 0.075, (frame.near + 0.3, frame.far - 0.3)), metal(2.5)))
    spring = comb(beam, x_m - 0.5, 1.0, (frame.near + 0.75, frame.near + 0.83), (z + 0.12, z + 0.17))
    hanger = comb(beam, x_m - 0.62, 0.1, (frame.near + 0.7, frame.near + 0.85), (z + 0.1, z + 0.5))
    bag = crosswise(beam, (x_m + 0.3, z + 0.3), 0.12, (frame.near + 0.7, frame.near + 1.0))
    return [*parts, Part(spring, metal(4)), Part(hanger, metal(1.5)), Part(bag, organic(0.5))]


def _underneath(rng: np.random.Generator, trailer: Trailer) -> list[Part]:
    """Landing legs, and tanks, a spare wheel or props between the wheels and the legs."""
    beam, frame = trailer.beam, trailer.frame
    legs = frame.at(trailer.front - rng.uniform(2.4, 3.6))
    sides = frame.sides(0.14)
    parts = [Part(box(beam, (legs, legs + 0.14), side, (-1.5, -0.1)), metal(1.3)) for side in sides]
    for _ in range(int(rng.integers(0, 4))):
        x, near = trailer.at(rng.uniform(0.35, 0.68)), rng.uniform(frame.near, frame.far - 0.7)
        choice = int(rng.integers(3))
        if choice == 0:
            parts += ring(beam, (x, -0.62), (0.2, rng.uniform(0.24, 0.34)), (near, near + 0.6), metal(0.25))
        elif choice == 1:
            x_m, z_m = (x, x + rng.uniform(0.5, 1.0)), (-0.9, -rng.uniform(0.45, 0.6))
            parts += _hollow(beam, x_m, (near, near + 0.5), z_m)
        else:
            parts.append(Part(box(beam, (x, x + 0.03), (near, near + 0.04), (-1.3, -0.3)), metal(3)))
    return parts


def _hollow(beam: Beam, x_m: Pair, depth_m: Pair, z_m: Pair) -> list[Part]:
    inside = box(beam, (x_m[0] + 0.02, x_m[1] - 0.02), depth_m, (z_m[0] + 0.02, z_m[1] - 0.02))
    return [Part(box(beam, x_m, depth_m, z_m), metal(0.9)), Part(inside, metal(0.7).hole())]


def _tractor(rng: np.random.Generator, trailer: Trailer) -> list[Part]:
    """The tractor's rear: fifth wheel, frame rails, drive axles; sometimes the back of its cab."""
    beam, frame, deck = trailer.beam, trailer.frame, trailer.deck
    pin = trailer.front - rng.uniform(0.4, 1.4)
    x = frame.at(pin)
    plate = box(beam, (x - 0.45, x + 0.45), (frame.near + 0.7, frame.far - 0.7), (deck - 0.3, deck - 0.2))
    span, parts = frame.from_doors(pin - 1.4, pin + 4.5), [Part(plate, metal(2.0))]
    rails, high = (frame.near + 0.75, frame.near + 1.6), (deck - 0.62, deck - 0.36)
    parts.extend(Part(box(beam, span, (near, near + 0.09), high), metal(1.6)) for near in rails)
    axles = (pin, pin - 1.35)[: int(rng.integers(1, 3))]
    parts += _wheels(rng, beam, frame, np.array([frame.at(axle) for axle in axles]))
    if rng.random() < 0.12:
        parts.append(_cab(rng, trailer, pin))
    return parts


def _cab(rng: np.random.Generator, trailer: Trailer, pin: float) -> Part:
    """The cab's back with its seats, engine and cables as a rough texture."""
    frame, bulk = trailer.frame, metal(rng.uniform(0.01, 0.04))
    texture = np.clip(rng.lognormal(-0.3, 0.7, (14, 12)), 0.1, 4).astype(np.float32)
    span, depth = frame.from_doors(pin + 2.2, pin + 4.5), (frame.near + 0.1, frame.far - 0.1)
    body = prism(trailer.beam, span, depth, (-0.9, rng.uniform(1.0, 2.4)))
    return Part(body, bulk, texture)


def cab_parts(rng: np.random.Generator, beam: Beam, frame: Frame) -> list[Part]:
    """A whole cab before the container: walls, roof, engine, seats, a front wheel."""
    start = frame.length + rng.uniform(1.2, 1.7)
    stop, roof = start + rng.uniform(2.1, 2.5), rng.uniform(1.6, 2.7)
    bulk = np.clip(rng.lognormal(-0.3, 0.7, (16, 12)), 0.1, 4).astype(np.float32)
    bulk[:6] *= 0.2  # above the seats there is little but air
    depth = (frame.near + 0.1, frame.far - 0.1)
    inside = prism(beam, frame.from_doors(start, stop), depth, (-0.9, roof))
    parts = [Part(inside, metal(rng.uniform(0.02, 0.05)), bulk)]
    parts += [
        Part(box(beam, frame.from_doors(at, at + 0.05), depth, (-0.9, roof)), metal(0.5)) for at in (start, stop - 0.05)
    ]
    parts.append(Part(box(beam, frame.from_doors(start, stop), depth, (roof - 0.04, roof)), metal(0.6)))
    return parts + _wheels(rng, beam, frame, np.array([frame.at(stop - rng.uniform(0.8, 1.2))]))
