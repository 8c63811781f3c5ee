"""What makes an empty container look loaded: dirt on its floor, and parts of vehicles that intrude."""

import numpy as np

from app.simulator.beam import Beam
from app.simulator.bodies import Part
from app.simulator.cargo.hold import Hold, density
from app.simulator.container import WIDTH_M, Frame
from app.simulator.matter import PLYWOOD, STEEL, metal, organic
from app.simulator.noise import curve, lumps
from app.simulator.shapes import Pair, across, box, comb, crosswise, prism


def dirt(rng: np.random.Generator, hold: Hold) -> list[Part]:
    """Sweepings in heaps, caked mud, forgotten dunnage, a torn liner: some tens of kilograms, no cargo."""
    parts = [_heap(rng, hold) for _ in range(int(rng.integers(2, 8)))]
    if rng.random() < 0.5:
        parts.append(_film(rng, hold))
    parts.extend(_plank(rng, hold) for _ in range(int(rng.integers(0, 4))))
    if rng.random() < 0.35:
        parts.append(_liner(rng, hold))
    return [part for part in parts if not part.body.empty]


def _heap(rng: np.random.Generator, hold: Hold) -> Part:
    wide, high, deep = rng.uniform(0.2, 1.5), rng.uniform(0.01, 0.08), rng.uniform(0.1, 0.8)
    x = rng.uniform(hold.x[0], hold.x[1] - wide)
    u = across(hold.beam, (x, x + wide))
    top = hold.floor + high * (1 - u**2) * np.clip(1 + 0.4 * curve(rng, max(len(u), 1), 6)[: len(u)], 0.1, 2)
    near = rng.uniform(hold.depth[0], hold.depth[1] - deep)
    body = prism(hold.beam, (x, x + wide), (near, near + deep), (hold.floor, top if len(u) else hold.floor))
    return Part(body, organic(density(rng, 0.3, 1.6)))


def _film(rng: np.random.Generator, hold: Hold) -> Part:
    x = sorted(rng.uniform(*hold.x, 2))
    thick = rng.uniform(0.0005, 0.002)
    body = prism(hold.beam, (x[0], x[1]), hold.depth, (hold.floor, hold.floor + thick))
    return Part(body, organic(1.5), lumps(rng, 1, 40, 0.7))


def _plank(rng: np.random.Generator, hold: Hold) -> Part:
    """A beam across or along the container, left from the last cargo."""
    along = rng.random() < 0.5
    wide, deep = (rng.uniform(0.5, 2.0), 0.08) if along else (0.09, rng.uniform(0.8, 2.2))
    x, near = rng.uniform(hold.x[0], hold.x[1] - wide), rng.uniform(hold.depth[0], hold.depth[1] - deep)
    return Part(box(hold.beam, (x, x + wide), (near, near + deep), (hold.floor, hold.floor + 0.06)), PLYWOOD)


def _liner(rng: np.random.Generator, hold: Hold) -> Part:
    """A plastic sheet hanging down a side wall in folds."""
    x = sorted(rng.uniform(*hold.x, 2))
    thick, low = rng.uniform(0.001, 0.006), hold.level(rng.uniform(0.0, 0.5))
    body = prism(hold.beam, (x[0], x[1]), (hold.depth[0], hold.depth[0] + thick), (low, hold.ceiling))
    return Part(body, organic(0.95), lumps(rng, 2, 30, 0.6))


def intruders(rng: np.random.Generator, beam: Beam, frame: Frame) -> list[Part]:
    """Two sorts of vehicle parts before, behind or under the container, of which one at least is in view."""
    sorts = (_cranes, _generator, _chests, _stakes, _neighbour)
    chosen = rng.choice(len(sorts), 2, replace=False)
    parts = [part for one in chosen for part in sorts[one](rng, beam, frame)]
    return parts if any(_in_view(part, beam) for part in parts) else [*_stakes(rng, beam, frame)]


def _in_view(part: Part, beam: Beam) -> bool:
    rows = (0, 0) if part.body.empty else part.body.rows(beam)
    return rows[1] - rows[0] > beam.height // 20


def _beside(rng: np.random.Generator, frame: Frame, deep: float) -> Pair:
    """Depths just before the near wall or just behind the far one."""
    near = frame.near - deep - 0.05 if rng.random() < 0.5 else frame.far + 0.05
    return near, near + deep


def _cranes(rng: np.random.Generator, beam: Beam, frame: Frame) -> list[Part]:
    """The two arms of a side loader: columns, rams and hydraulics that stand against the container."""
    depth, parts = _beside(rng, frame, 0.35), list[Part]()
    for at in (rng.uniform(0.5, 1.6), frame.length - rng.uniform(0.5, 1.6)):
        x, high = frame.at(at), rng.uniform(0.6, 1.0) * frame.height
        parts.append(Part(box(beam, (x - 0.15, x + 0.15), depth, (-0.6, high)), metal(rng.uniform(0.5, 1.2))))
        parts.append(Part(box(beam, (x + 0.2, x + 0.3), depth, (-0.3, 0.7 * high)), metal(2.0)))
        parts.append(Part(crosswise(beam, (x, high - 0.1), 0.18, depth), metal(1.5)))
    return parts


def _generator(rng: np.random.Generator, beam: Beam, frame: Frame) -> list[Part]:
    """A generator set hung to a side or an end: engine, alternator, tank."""
    depth, wide = _beside(rng, frame, rng.uniform(0.5, 0.9)), rng.uniform(1.0, 1.8)
    start, low = rng.uniform(0, frame.length - wide), rng.uniform(-0.7, 0.2)
    span, high = frame.from_doors(start, start + wide), low + rng.uniform(0.5, 0.9)
    texture = np.clip(rng.lognormal(-0.2, 0.8, (8, 14)), 0.1, 4).astype(np.float32)
    casing = prism(beam, span, depth, (low, high))
    return [
        Part(casing, metal(rng.uniform(0.08, 0.3)), texture),
        Part(crosswise(beam, (sum(span) / 2, (low + high) / 2), 0.2, depth), metal(2.5)),
    ]


def _chests(rng: np.random.Generator, beam: Beam, frame: Frame) -> list[Part]:
    """Tool chests and spare wheels at the sill, which perspective raises over the floor of the near side."""
    parts = list[Part]()
    for _ in range(int(rng.integers(1, 4))):
        wide, x, depth = rng.uniform(0.4, 1.1), rng.uniform(0, frame.length - 1.1), _beside(rng, frame, 0.4)
        low = rng.uniform(-0.5, 0.05)
        body = prism(beam, (x, x + wide), depth, (low, low + rng.uniform(0.3, 0.6)))
        parts.append(Part(body, metal(rng.uniform(0.1, 0.4)), lumps(rng, 4, 6, 0.8)))
    return parts


def _stakes(rng: np.random.Generator, beam: Beam, frame: Frame) -> list[Part]:
    """Stakes and a bulkhead of a flat-bed trailer, with the boards between some of them."""
    depth, high = _beside(rng, frame, 0.08), rng.uniform(0.4, 1.6)
    starts = np.arange(rng.uniform(0.1, 0.8), frame.length - 0.2, rng.uniform(0.9, 2.2))
    parts = [Part(comb(beam, starts, 0.09, depth, (-0.2, high)), metal(rng.uniform(2, 5)))]
    if rng.random() < 0.6:
        boards = box(beam, (0.1, frame.length - 0.1), depth, (0.0, high * rng.uniform(0.3, 0.8)))
        parts.append(Part(boards, metal(0.3) if rng.random() < 0.4 else organic(0.5)))
    bulkhead = box(
        beam, frame.from_doors(frame.length + 0.05, frame.length + 0.1), (frame.near, frame.far), (-0.1, 1.8)
    )
    return [*parts, Part(bulkhead, metal(0.8))]


def _neighbour(rng: np.random.Generator, beam: Beam, frame: Frame) -> list[Part]:
    """Another container's end in view beyond the gap, with dark cargo in it; or one standing behind."""
    behind = rng.random() < 0.4
    near, high = (frame.far + rng.uniform(0.4, 1.5) if behind else frame.near), frame.height
    depth = (near, near + WIDTH_M)
    start = rng.uniform(0.4, 0.9) * frame.length if behind else frame.length + rng.uniform(0.08, 0.5)
    span = (start, start + 6.0) if rng.random() < 0.5 else (frame.length - start - 6.0, frame.length - start)
    skin = [
        Part(box(beam, span, side, (0.0, high)), STEEL) for side in ((near, near + 0.002), (depth[1] - 0.002, depth[1]))
    ]
    post = [Part(box(beam, (x, x + 0.12), depth, (0.0, high)), metal(0.5)) for x in (span[0], span[1] - 0.12)]
    goods = prism(beam, (span[0] + 0.15, span[1] - 0.15), depth, (0.16, high * rng.uniform(0.3, 0.8)))
    return [*skin, *post, Part(goods, organic(density(rng, 0.1, 0.5)), lumps(rng, 5, 9, 0.2))]
