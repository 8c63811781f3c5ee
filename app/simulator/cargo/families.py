"""The families by name."""

from collections.abc import Callable

import numpy as np

from app.simulator.cargo.hold import Hold, Item
from app.simulator.cargo.long_goods import long_goods
from app.simulator.cargo.machines import machines
from app.simulator.cargo.piles import bulk, light, stacks
from app.simulator.cargo.round import drums, rolls
from app.simulator.cargo.sparse import sparse
from app.simulator.cargo.unit_loads import boxes, pallets
from app.simulator.truth import Family

Packer = Callable[[np.random.Generator, Hold], list[Item]]

PACKERS: dict[Family, Packer] = {
    Family.STACKS: stacks,
    Family.ROLLS: rolls,
    Family.DRUMS: drums,
    Family.BULK: bulk,
    Family.PALLETS: pallets,
    Family.BOXES: boxes,
    Family.MACHINES: machines,
    Family.LIGHT: light,
    Family.SPARSE: sparse,
    Family.LONG: long_goods,
}


def pack(rng: np.random.Generator, hold: Hold, family: Family) -> list[Item]:
    """Items of that family, each a tuple of parts; items out of view have no columns."""
    return [item for item in PACKERS[family](rng, hold) if item]
