"""Mass thickness: what stands in each ray, in grams per square centimetre, by sort of matter.

Kept by matter and not as one optical depth, so that one scene can be seen at any energy without being traced again.
"""

from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from app.simulator.beam import Floats
from app.simulator.matter import REFERENCE_MEV, Matter, mass_attenuation

Spectrum = tuple[tuple[float, float], ...]
"""Photon energies in MeV and each one's share of the detected signal."""
ROWS = 64
"""So many rows of a picture at a time stay in the processor's cache: a third of the time of whole pictures."""


@dataclass(frozen=True, eq=False)
class Thickness:
    """g/cm2, float32 `shape`, for each sort of matter that is there."""

    shape: tuple[int, int]
    maps: dict[Matter, Floats] = field(default_factory=dict)

    def of(self, matter: Matter) -> Floats:
        """The map of that matter, to be added to."""
        if matter not in self.maps:
            self.maps[matter] = np.zeros(self.shape, np.float32)
        return self.maps[matter]

    def settle(self) -> None:
        """Cut off what holes left below nothing."""
        for one in self.maps.values():
            np.maximum(one, 0, out=one)

    def plus(self, other: "Thickness") -> "Thickness":
        joined = dict(self.maps)
        for matter, one in other.maps.items():
            joined[matter] = joined[matter] + one if matter in joined else one
        return Thickness(self.shape, joined)

    def times(self, factor: float) -> "Thickness":
        return Thickness(self.shape, {matter: one * np.float32(factor) for matter, one in self.maps.items()})

    def depth(self, energy_mev: float = REFERENCE_MEV) -> Floats:
        """Optical depth at one energy, float32 `shape`; a new array."""
        total: Floats | None = None
        for matter, one in self.maps.items():
            part = one * np.float32(mass_attenuation(matter, energy_mev))
            total = part if total is None else np.add(total, part, out=total)
        return np.zeros(self.shape, np.float32) if total is None else total

    def passed(self, spectrum: Spectrum) -> Floats:
        """Beer-Lambert: the share of the signal that passes, float32 `shape`."""
        total = np.empty(self.shape, np.float32)
        for start in range(0, self.shape[0], ROWS):
            rows = slice(start, start + ROWS)
            few = Thickness((total[rows].shape[0], self.shape[1]), {of: one[rows] for of, one in self.maps.items()})
            for number, (energy_mev, share) in enumerate(spectrum):
                depth = few.depth(energy_mev)
                np.exp(np.negative(depth, out=depth), out=depth)
                if share != 1.0:
                    depth *= np.float32(share)
                if number:
                    total[rows] += depth
                else:
                    total[rows] = depth
        return total

    def resized(self, shape: tuple[int, int]) -> "Thickness":
        """The same scene on another grid, averaged where that is coarser."""
        size = (shape[1], shape[0])
        return Thickness(
            shape,
            {
                matter: np.array(Image.fromarray(one).resize(size, Image.Resampling.BOX), np.float32)
                for matter, one in self.maps.items()
            },
        )
