"""What carries the container past the source: chassis, wheels, landing legs, tank, tractor."""

import numpy as np

from app.simulator.beam import Beam
from app.simulator.bodies import Part
from app.simulator.container import Frame
from app.simulator.matter import RUBBER, STEEL, metal, organic
from app.simulator.shapes import Pair, box, comb, crosswise, prism, ring


def trailer_parts(rng: np.random.Generator, beam: Beam, frame: Frame) -> list[Part]:
    """A skeletal semi-trailer under the container, its tractor at the end away from the doors."""
    rear = rng.uniform(-0.4, 0.6)
    deck = -rng.uniform(0.0, 0.06)
    parts = [*_beams(rng, beam, frame, rear, deck), *_bolsters(rng, beam, frame, deck)]
    if beam.z_top_m - beam.height * beam.z_pitch_m > -0.35:
        return parts
    first, pitch = rng.uniform(0.9, 2.4), rng.uniform(1.25, 1.4)
    for axle in range(int(rng.integers(2, 4))):
        parts += wheel(rng, beam, frame, frame.from_doors(first + axle * pitch, 0)[0 if frame.doors_left else 1])
    return [*parts, *_underneath(rng, beam, frame), *_tractor(rng, beam, frame, deck)]


def _beams(rng: np.random.Generator, beam: Beam, frame: Frame, rear: float, deck: float) -> list[Part]:
    """Two I-beams lengthwise, shallow at the gooseneck; flanges edge on are the dark lines of a scan."""
    span = frame.from_doors(-rear, frame.length + rng.uniform(-0.2, 0.4))
    centres = beam.column_centres_m[beam.columns(*span)]
    from_doors = centres if frame.doors_left else frame.length - centres
    neck, slope = frame.length * rng.uniform(0.55, 0.8), rng.uniform(0.12, 0.3)
    deep, shallow = rng.uniform(0.35, 0.55), rng.uniform(0.12, 0.2)
    low = deck - np.clip(deep - (from_doors - neck) * slope, shallow, deep)
    parts, flange = list[Part](), rng.uniform(0.012, 0.018)
    for near in (frame.near + 0.65, frame.near + 1.65):
        web, wide = (near + 0.06, near + 0.066), (near, near + 0.13)
        parts.append(Part(prism(beam, span, web, (low, np.full_like(low, deck))), STEEL))
        parts.append(Part(prism(beam, span, wide, (low, low + flange)), STEEL))
        parts.append(Part(box(beam, span, wide, (deck - flange, deck)), STEEL))
    starts = np.sort(rng.uniform(0, frame.length, int(rng.integers(6, 16))))
    depth = (frame.near + 0.2, frame.far - 0.2)
    cross = comb(beam, starts, 0.008, depth, (deck - rng.uniform(0.1, 0.2), deck - 0.02))
    rail = box(beam, span, (frame.near + 0.1, frame.near + 0.106), (deck - 0.12, deck))
    return [*parts, Part(cross, STEEL), Part(rail, STEEL)]


def _bolsters(rng: np.random.Generator, beam: Beam, frame: Frame, deck: float) -> list[Part]:
    """Twist-lock bolsters: boxes right across, under the container's corners and sometimes its middle."""
    places = [0.02, frame.length - 0.3]
    if frame.length > 7:
        places += [frame.length / 2 - 0.3, frame.length / 2 + 0.12, rng.uniform(2, 4), rng.uniform(8, 10)]
    parts = list[Part]()
    for left in places:
        wide, low = rng.uniform(0.12, 0.22), deck - rng.uniform(0.1, 0.28)
        bolster = box(beam, (left, left + wide), (frame.near, frame.far), (low, deck + rng.uniform(0, 0.1)))
        parts.append(Part(bolster, metal(rng.uniform(0.4, 0.9))))
    return parts


def wheel(rng: np.random.Generator, beam: Beam, frame: Frame, x_m: float) -> list[Part]:
    """Twin tyres on both ends of an axle, rims, drums, and the axle's spring or air bag."""
    z, radius = -rng.uniform(0.98, 1.08), rng.uniform(0.48, 0.53)
    parts = list[Part]()
    for near in (frame.near, frame.far - 0.6):
        parts += ring(beam, (x_m, z), (radius - 0.05, radius), (near, near + 0.58), RUBBER)
        parts += ring(beam, (x_m, z), (0.3, radius - 0.05), (near + 0.02, near + 0.07), RUBBER)
        parts += ring(beam, (x_m, z), (0.27, 0.3), (near, near + 0.5), metal(2.5))
        parts.append(Part(crosswise(beam, (x_m, z), 0.22, (near + 0.1, near + 0.4)), metal(1.6)))
    parts.append(Part(crosswise(beam, (x_m, z), 0.075, (frame.near + 0.3, frame.far - 0.3)), metal(2.5)))
    spring = box(beam, (x_m - 0.5, x_m + 0.5), (frame.near + 0.75, frame.near + 0.83), (z + 0.12, z + 0.17))
    hanger = box(beam, (x_m - 0.62, x_m - 0.52), (frame.near + 0.7, frame.near + 0.85), (z + 0.1, z + 0.5))
    bag = crosswise(beam, (x_m + 0.3, z + 0.3), 0.12, (frame.near + 0.7, frame.near + 1.0))
    return [*parts, Part(spring, metal(4)), Part(hanger, metal(1.5)), Part(bag, organic(0.5))]


def _underneath(rng: np.random.Generator, beam: Beam, frame: Frame) -> list[Part]:
    """Landing legs, and a tank, a spare wheel or a tool box between the wheels and the legs."""
    legs = frame.from_doors(frame.length - rng.uniform(2.4, 3.6), frame.length)[0 if frame.doors_left else 1]
    parts = [Part(box(beam, (legs, legs + 0.14), depth, (-1.5, -0.1)), metal(1.3)) for depth in frame.sides(0.14)]
    for _ in range(int(rng.integers(0, 4))):
        at = rng.uniform(0.35, 0.68) * frame.length
        near, x = rng.uniform(frame.near, frame.far - 0.7), frame.from_doors(at, at)[0]
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
    shell = metal(0.9)
    return [Part(box(beam, x_m, depth_m, z_m), shell), Part(inside, metal(0.7).hole())]


def _tractor(rng: np.random.Generator, beam: Beam, frame: Frame, deck: float) -> list[Part]:
    """The tractor's rear: fifth wheel, frame rails, drive axles; sometimes the back of its cab."""
    pin = frame.length - rng.uniform(0.4, 1.4)
    x = frame.from_doors(pin, pin)[0]
    plate = box(beam, (x - 0.45, x + 0.45), (frame.near + 0.7, frame.far - 0.7), (deck - 0.3, deck - 0.2))
    span = frame.from_doors(pin - 1.4, pin + 4.5)
    parts = [Part(plate, metal(2.0))]
    rails, high = (frame.near + 0.75, frame.near + 1.6), (deck - 0.62, deck - 0.36)
    parts.extend(Part(box(beam, span, (near, near + 0.09), high), metal(1.6)) for near in rails)
    for at in (pin, pin - 1.35)[: int(rng.integers(1, 3))]:
        parts += wheel(rng, beam, frame, frame.from_doors(at, at)[0])
    cab = frame.from_doors(pin + 2.2, pin + 4.5)
    return [*parts, *_cab(rng, beam, frame, cab)] if rng.random() < 0.12 else parts


def _cab(rng: np.random.Generator, beam: Beam, frame: Frame, span: Pair) -> list[Part]:
    texture = np.clip(rng.lognormal(-0.3, 0.7, (14, 12)), 0.1, 4).astype(np.float32)
    body = prism(beam, span, (frame.near + 0.1, frame.far - 0.1), (-0.9, rng.uniform(1.0, 2.4)))
    return [Part(body, metal(rng.uniform(0.01, 0.04)), texture)]
