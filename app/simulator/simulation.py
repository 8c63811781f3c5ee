"""Scans, one at a time or a day of them."""

from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.errors import InvalidInput
from app.simulator.detector import darkened, detect, draw_exposure
from app.simulator.display import bordered, organic_share, show
from app.simulator.iso6346 import container_number
from app.simulator.order import Order, check_order, draw_order, draw_scanner, profile_of
from app.simulator.profile import Palette, ScannerProfile
from app.simulator.scanners import TRAINING_SCANNERS
from app.simulator.scene import Scene, build, swayed
from app.simulator.thickness import Thickness
from app.simulator.truth import Case, PixelBox, Scan, Truth


def simulate(
    rng: np.random.Generator,
    *,
    loaded: bool | None = None,
    scanner: str | None = None,
    case: Case | None = None,
    mass_kg: float | None = None,
) -> Scan:
    """One scan; the same generator state gives the same bytes.

    What is not asked for is drawn: the class with even odds, the scanner of the training ones by weight, hard cases
    in 15 of 100. `mass_kg`, 1 to 500, is that of a hidden load. Raises InvalidInput for an unknown scanner or case,
    a mass out of range, and for wishes that contradict one another.
    """
    order = draw_order(rng, loaded=loaded, scanner=scanner, case=case, mass_kg=mass_kg)
    return _Sitting.of(rng, order).scan(order.profile)


def simulate_pair(rng: np.random.Generator, *, mass_kg: float, scanner: str | None = None) -> tuple[Scan, Scan]:
    """The same scene, scanner and noise twice: without, and with a hidden load of that mass.

    Raises InvalidInput as `simulate` does.
    """
    order = draw_order(rng, loaded=True, scanner=scanner, case=Case.HIDDEN_LOAD, mass_kg=mass_kg)
    sitting = _Sitting.of(rng, order)
    without = deepcopy(sitting).scan(order.profile, emptied=True)
    return without, sitting.scan(order.profile)


def simulate_emptied(rng: np.random.Generator, *, scanner: str | None = None) -> tuple[Scan, NDArray[np.uint8]]:
    """A loaded scan, and its pixels had the container been empty: same place, same exposure, same noise.

    The scan is what `simulate` draws of the same generator with `loaded`. Beside the cargo both are alike but for
    what blur carries over its edge, so parts of the cargo can be taken out of the picture; only a scanner with
    glare darkens its surroundings too.
    """
    order = draw_order(rng, loaded=True, scanner=scanner, case=None, mass_kg=None)
    sitting = _Sitting.of(rng, order)
    emptied = deepcopy(sitting).scan(order.profile, emptied=True)
    return sitting.scan(order.profile), emptied.pixels


def simulate_views(
    rng: np.random.Generator,
    *,
    loaded: bool | None = None,
    count: int = 2,
    scanners: Sequence[str] = TRAINING_SCANNERS,
    case: Case | None = None,
) -> list[Scan]:
    """One container with one cargo, taken `count` times: by scanners drawn of `scanners`, differing where it can be.

    The scene is traced once, from where the first scanner stands; energy, resolution, noise, faults, tone, polarity
    and colours are each scanner's own. Raises InvalidInput as `simulate` does, and for no view or no scanner.
    """
    if count < 1 or not scanners:
        raise InvalidInput(f"{count} views by {len(scanners)} scanners: give at least one of each.")
    names = [draw_scanner(rng, scanners)]
    while len(names) < count:
        left = [name for name in scanners if name not in names] if len(names) < len(set(scanners)) else scanners
        names.append(draw_scanner(rng, left))
    order = draw_order(rng, loaded=loaded, scanner=names[0], case=case, mass_kg=None)
    sitting = _Sitting.of(rng, order)
    return [sitting.scan(order.profile), *(sitting.scan(profile_of(rng, name)) for name in names[1:])]


@dataclass(frozen=True, eq=False)
class _Sitting:
    """A scene, its papers, and the electronics' randomness, from which each scan takes more."""

    order: Order
    number: str
    scene: Scene
    electronics: np.random.Generator

    @classmethod
    def of(cls, rng: np.random.Generator, order: Order) -> "_Sitting":
        # Each stage has its own stream, so that a change in one leaves the others' draws alone.
        papers, contents, electronics = (np.random.default_rng(seed) for seed in rng.integers(0, 2**63, 3))
        return cls(order, container_number(papers), build(contents, order), electronics)

    def scan(self, profile: ScannerProfile, *, emptied: bool = False) -> Scan:
        scene, rng = self.scene, self.electronics
        thickness, sway = _on_grid(rng, scene, scene.structure if emptied else scene.whole, profile)
        height, width = thickness.shape
        exposure = draw_exposure(rng, profile, height, width)
        if self.order.case is Case.DARK_EMPTY:
            exposure = darkened(rng, exposure)
        grey = detect(rng, swayed(thickness.passed(profile.spectrum), sway), exposure)
        share = swayed(organic_share(rng, thickness), sway) if profile.palette is Palette.MATTER else None
        pixels, corner = bordered(rng, show(grey, profile, share), profile.border)
        scales = width / scene.beam.width, height / scene.beam.height
        return Scan(pixels, self._truth(profile, scales, corner, emptied=emptied))

    def _truth(
        self, profile: ScannerProfile, scales: tuple[float, float], corner: tuple[int, int], *, emptied: bool
    ) -> Truth:
        scene = self.scene
        cargo, (x, y, w, h) = scene.cargo, scene.container_box
        loaded = cargo.thickness is not None and not emptied

        def placed(box: PixelBox) -> PixelBox:
            return (box if scales == (1, 1) else box.scaled(*scales)).moved(*corner)

        return Truth(
            class_name="loaded" if loaded else "empty",
            container_number=self.number,
            kind=scene.frame.kind,
            container_box=placed(scene.container_box),
            family=cargo.family if loaded else None,
            boxes=tuple(placed(box) for box in cargo.boxes) if loaded else (),
            cargo_mass_kg=cargo.mass_kg if loaded else 0.0,
            cargo_optical_depth=float(cargo.depth[y : y + h, x : x + w].mean()) if loaded else 0.0,
            case=Case.ORDINARY if emptied else self.order.case,
            scanner=profile.name,
            inverted=profile.inverted,
            place=cargo.place if loaded else None,
            matter=cargo.matter.value if cargo.matter and loaded else None,
        )


def _on_grid(
    rng: np.random.Generator, scene: Scene, thickness: Thickness, profile: ScannerProfile
) -> tuple[Thickness, NDArray[np.float32]]:
    """The scene on a grid as coarse as the scanner's, where it was traced on a finer one."""
    height, width = thickness.shape
    if height <= profile.height_px[1]:
        return thickness, scene.sway_px
    coarse = int(rng.integers(profile.height_px[0], profile.height_px[1] + 1))
    shape = (coarse, max(1, round(width * coarse / height)))
    at = np.linspace(0, width - 1, shape[1])
    sway = np.interp(at, np.arange(width), scene.sway_px) * coarse / height
    return thickness.resized(shape), sway.astype(np.float32)


def port_day(
    count: int,
    seed: int,
    *,
    loaded_share: float = 0.5,
    start: int = 0,
    scanner: str | None = None,
    case: Case | None = None,
    mass_kg: float | None = None,
) -> Iterator[Scan]:
    """Scans `start` to `count` of a day, resumable: scan i depends on (seed, i) and on what is asked only.

    `loaded_share` says how many are loaded, unless the case does. Raises InvalidInput for negative numbers, for a
    share outside 0 to 1, and as `simulate` does.
    """
    if min(count, seed, start) < 0:
        raise InvalidInput(f"count {count}, seed {seed} and start {start} must not be negative")
    if not 0 <= loaded_share <= 1:
        raise InvalidInput(f"loaded_share {loaded_share} must lie between 0 and 1")
    check_order(loaded=None, scanner=scanner, case=case, mass_kg=mass_kg)
    return (_of_day(seed, index, loaded_share, scanner, case, mass_kg) for index in range(start, count))


def _of_day(
    seed: int, index: int, loaded_share: float, scanner: str | None, case: Case | None, mass_kg: float | None
) -> Scan:
    rng = np.random.default_rng([seed, index])
    loaded = bool(rng.random() < loaded_share)
    fixed = mass_kg is not None or (case is not None and Case(case).loaded is not None)
    return simulate(rng, loaded=None if fixed else loaded, scanner=scanner, case=case, mass_kg=mass_kg)
