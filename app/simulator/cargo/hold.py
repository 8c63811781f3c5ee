"""The room that cargo is packed into, and what an item of cargo is."""

from dataclasses import dataclass

import numpy as np

from app.simulator.beam import Beam, Floats
from app.simulator.bodies import Part
from app.simulator.container import Frame
from app.simulator.noise import curve
from app.simulator.shapes import Pair
from app.simulator.truth import Kind

Item = tuple[Part, ...]


@dataclass(frozen=True)
class Hold:
    """The inside of a container, in metres; `doors_left` says at which end cargo was loaded."""

    beam: Beam
    x: Pair
    depth: Pair
    floor: float
    ceiling: float
    doors_left: bool

    @property
    def length(self) -> float:
        return self.x[1] - self.x[0]

    @property
    def height(self) -> float:
        return self.ceiling - self.floor

    @property
    def breadth(self) -> float:
        return self.depth[1] - self.depth[0]

    def level(self, share: float) -> float:
        """Height of that share of the hold."""
        return self.floor + share * self.height

    def rows(self, count: int, gap_m: float = 0.03) -> list[Pair]:
        """Depths of `count` rows side by side across the hold."""
        each = self.breadth / count
        return [
            (self.depth[0] + i * each + gap_m / 2, self.depth[0] + (i + 1) * each - gap_m / 2) for i in range(count)
        ]

    def stretch(self, share: float) -> Pair:
        """That share of the length, from the end away from the doors, where loading starts."""
        taken = share * self.length
        return (self.x[1] - taken, self.x[1]) if self.doors_left else (self.x[0], self.x[0] + taken)


def hold_of(beam: Beam, frame: Frame) -> Hold:
    """The free room inside a container."""
    reefer = frame.kind is Kind.REEFER
    wall, end = (0.07, 0.5) if reefer else (0.045, 0.1)
    along = frame.from_doors(0.12, frame.length - end)
    ceiling = frame.height - (0.12 if reefer else 0.05)
    return Hold(beam, along, (frame.near + wall, frame.far - wall), frame.floor, ceiling, frame.doors_left)


def slots(hold: Hold, along: Pair, pitch_m: float) -> list[Pair]:
    """Equal places along a stretch, at least one, none longer than the stretch."""
    count = max(1, int((along[1] - along[0]) / pitch_m))
    each = (along[1] - along[0]) / count
    each = min(each, pitch_m * 1.08)
    start = along[0] if not hold.doors_left else along[1] - count * each
    return [(start + i * each, start + (i + 1) * each) for i in range(count)]


def fill_levels(rng: np.random.Generator, count: int, doors_left: bool, ragged: float = 0.02) -> Floats:
    """Share of the height that each slot is filled to: level, stepped or falling towards the doors."""
    top = 0.35 + 0.63 * rng.beta(1.9, 1.0)
    levels = np.full(count, top)
    form, edge = rng.random(), int(rng.integers(0, count + 1))
    if form < 0.3:
        levels[edge:] *= rng.uniform(0.4, 0.9)
    elif form < 0.6:
        tail = max(1, int(count * rng.uniform(0.05, 0.4)))
        levels[-tail:] *= np.linspace(1, rng.uniform(0.3, 0.8), tail)
    levels += rng.uniform(0, 0.03) * curve(rng, count, count // 3 + 2) + ragged * rng.standard_normal(count)
    levels = np.clip(levels, 0.08, 0.985)
    return np.asarray(levels[::-1] if doors_left else levels, np.float32)


def density(rng: np.random.Generator, low: float, high: float) -> float:
    """A log-uniform density in g/cm3."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))
