"""Scans, one at a time or a day of them."""

from collections.abc import Iterator
from copy import deepcopy

import numpy as np
from numpy.typing import NDArray

from app.errors import InvalidInput
from app.simulator.detector import detect, random_exposure
from app.simulator.iso6346 import container_number
from app.simulator.scene import Scene, build, transmission
from app.simulator.truth import Family, Scan, Truth

FAMILY_SHARES = {
    Family.STACKS: 0.2,
    Family.ROLLS: 0.12,
    Family.DRUMS: 0.1,
    Family.BULK: 0.12,
    Family.PALLETS: 0.12,
    Family.BOXES: 0.1,
    Family.MACHINES: 0.07,
    Family.LIGHT: 0.07,
    Family.SPARSE: 0.1,
}


def simulate(rng: np.random.Generator, *, loaded: bool | None = None) -> Scan:
    """One scan, 220 to 380 pixels high; the same generator state gives the same bytes.

    `loaded` fixes the class, otherwise it is drawn with even odds.
    """
    if loaded is None:
        loaded = bool(rng.random() < 0.5)
    scan, _ = _taken(rng, loaded, emptied=False)
    return scan


def simulate_emptied(rng: np.random.Generator) -> tuple[Scan, NDArray[np.uint8]]:
    """A loaded scan, and its pixels had the container been empty: same place, same exposure, same noise.

    The scan is what `simulate` draws of the same generator with `loaded`. Beside the cargo both are alike but for
    what blur carries over its edge, so parts of the cargo can be taken out of the picture.
    """
    scan, emptied = _taken(rng, loaded=True, emptied=True)
    assert emptied is not None
    return scan, emptied


def _taken(rng: np.random.Generator, loaded: bool, *, emptied: bool) -> tuple[Scan, NDArray[np.uint8] | None]:
    # Each stage has its own stream, so that a change in one leaves the others' draws alone.
    papers, contents, electronics = (np.random.default_rng(seed) for seed in rng.integers(0, 2**63, 3))
    family = _family(papers) if loaded else None
    number = container_number(papers)
    scene = build(contents, family)
    exposure = random_exposure(electronics, scene.beam.height, scene.beam.width)
    again = deepcopy(electronics)
    scan = Scan(
        detect(electronics, transmission(scene.structure + scene.cargo, scene.sway_px), exposure),
        _truth(scene, family, number),
    )
    if not emptied:
        return scan, None
    return scan, detect(again, transmission(scene.structure, scene.sway_px), exposure)


def _family(rng: np.random.Generator) -> Family:
    return list(FAMILY_SHARES)[int(rng.choice(len(FAMILY_SHARES), p=list(FAMILY_SHARES.values())))]


def _truth(scene: Scene, family: Family | None, number: str) -> Truth:
    x, y, w, h = scene.container_box
    return Truth(
        class_name="loaded" if family else "empty",
        container_number=number,
        kind=scene.frame.kind,
        container_box=scene.container_box,
        family=family,
        boxes=scene.boxes,
        cargo_mass_kg=scene.mass_kg,
        cargo_optical_depth=float(scene.cargo[y : y + h, x : x + w].mean()),
    )


def port_day(count: int, seed: int, *, loaded_share: float = 0.5, start: int = 0) -> Iterator[Scan]:
    """Scans `start` to `count` of a day, resumable: scan i depends on (seed, i) and the share only.

    Raises InvalidInput for negative numbers and for a share outside 0 to 1.
    """
    if min(count, seed, start) < 0:
        raise InvalidInput(f"count {count}, seed {seed} and start {start} must not be negative")
    if not 0 <= loaded_share <= 1:
        raise InvalidInput(f"loaded_share {loaded_share} must lie between 0 and 1")
    return (_of_day(seed, index, loaded_share) for index in range(start, count))


def _of_day(seed: int, index: int, loaded_share: float) -> Scan:
    rng = np.random.default_rng([seed, index])
    return simulate(rng, loaded=bool(rng.random() < loaded_share))
