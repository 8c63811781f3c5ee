"""Long goods: logs, timber, pipes and bars, lying lengthwise."""

import numpy as np

from app.simulator.bodies import Part
from app.simulator.cargo.hold import Hold, Item, density, fill_levels
from app.simulator.matter import Material, metal, organic
from app.simulator.noise import curve, lumps
from app.simulator.shapes import Pair, across, prism


def long_goods(rng: np.random.Generator, hold: Hold) -> list[Item]:
    """Bundles one behind the other: each of layers, lengths differing a little at the ends."""
    count = int(rng.integers(1, 4 if hold.length > 8 else 3))
    stretch, goods = hold.stretch(rng.uniform(0.75, 0.99)), _goods(rng)
    edges, levels = np.linspace(*stretch, count + 1), fill_levels(rng, count, hold.doors_left)
    thick, items = rng.uniform(0.08, 0.4), list[Item]()
    for start, stop, level in zip(edges[:-1], edges[1:], levels, strict=True):
        for row in hold.rows(int(rng.integers(1, 3)), 0.08):
            items += _bundle(rng, hold, ((float(start), float(stop)), row), float(level) * hold.height, thick, goods)
    return items


def _goods(rng: np.random.Generator) -> Material:
    return metal(density(rng, 0.3, 2.0)) if rng.random() < 0.4 else organic(density(rng, 0.25, 0.8))


def _bundle(
    rng: np.random.Generator, hold: Hold, place: tuple[Pair, Pair], high: float, thick: float, goods: Material
) -> list[Item]:
    """Layers of one bundle, each a little shorter or longer and with bearers' gaps between."""
    (start, stop), row, items = place[0], place[1], list[Item]()
    reach, layers = stop - start, max(1, int(high / thick))
    wedge = rng.uniform(0.0, 0.25)  # logs lie as a heap: narrower towards the top
    for layer in range(layers):
        span = (start + rng.uniform(0.01, 0.04) * reach, stop - rng.uniform(0.01, 0.04) * reach)
        u = across(hold.beam, span)
        if not len(u):
            continue
        inset = wedge * (row[1] - row[0]) * layer / layers / 2
        low = hold.floor + 0.03 + layer * thick
        wave = 0.05 * thick * curve(rng, len(u), 6)
        body = prism(
            hold.beam, span, (row[0] + inset, row[1] - inset), (low, low + thick * rng.uniform(0.8, 0.97) + wave)
        )
        items.append((Part(body, goods, lumps(rng, 2, 6, 0.06)),))
    return items
