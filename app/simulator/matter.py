"""What the beam passes through: density, and mass attenuation by photon energy.

Mass attenuation coefficients are those of Hubbell and Seltzer, NIST XAAMDI (NISTIR 5632), tables 3 and 4. Food,
paper, wood, plastics and rubber attenuate within 3 % of water of the same mass at these energies (polyethylene
+2.7 %, by its electrons per gram), for Compton scattering dominates; iron stands for steel, copper and zinc.
"""

from dataclasses import dataclass
from enum import StrEnum
from functools import cache

import numpy as np


class Matter(StrEnum):
    """Sorts of matter by how they attenuate."""

    ORGANIC = "organic"
    ALUMINIUM = "aluminium"
    IRON = "iron"
    LEAD = "lead"


ENERGIES_MEV = (0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0)
MASS_ATTENUATION_CM2_G = {
    Matter.ORGANIC: (
        0.1505, 0.1370, 0.1186, 0.1061, 0.09687, 0.08956, 0.07865, 0.07072,
        0.06323, 0.05754, 0.04942, 0.03969, 0.03403, 0.03031, 0.02770, 0.02429,
    ),
    Matter.ALUMINIUM: (
        0.1378, 0.1223, 0.1042, 0.09276, 0.08445, 0.07802, 0.06841, 0.06146,
        0.05496, 0.05006, 0.04324, 0.03541, 0.03106, 0.02836, 0.02655, 0.02437,
    ),
    Matter.IRON: (
        0.1964, 0.1460, 0.1099, 0.09400, 0.08414, 0.07704, 0.06699, 0.05995,
        0.05350, 0.04883, 0.04265, 0.03621, 0.03312, 0.03146, 0.03057, 0.02991,
    ),
    Matter.LEAD: (
        2.014, 0.9985, 0.4031, 0.2323, 0.1614, 0.1248, 0.08870, 0.07102,
        0.05876, 0.05222, 0.04606, 0.04234, 0.04197, 0.04272, 0.04391, 0.04675,
    ),
}  # fmt: skip
REFERENCE_MEV = 3.0
"""Where one optical depth has to stand for all energies: the effective energy of most port scanners."""


@cache
def mass_attenuation(matter: Matter, energy_mev: float) -> float:
    """cm2/g at an energy from 0.15 to 8 MeV, between the table's energies by straight lines on logarithmic scales."""
    table = np.log(MASS_ATTENUATION_CM2_G[matter])
    return float(np.exp(np.interp(np.log(energy_mev), np.log(ENERGIES_MEV), table)))


@dataclass(frozen=True)
class Material:
    density_g_cm3: float
    matter: Matter

    def attenuation_per_m(self, energy_mev: float = REFERENCE_MEV) -> float:
        return self.density_g_cm3 * mass_attenuation(self.matter, energy_mev) * 100.0

    def hole(self) -> "Material":
        """The same matter taken away, for hollow bodies drawn as an outside less an inside."""
        return Material(-self.density_g_cm3, self.matter)


def organic(density_g_cm3: float) -> Material:
    """Food, paper, wood, plastics: attenuates like water of that density."""
    return Material(density_g_cm3, Matter.ORGANIC)


def metal(density_g_cm3: float) -> Material:
    """Loosely packed metal goods: attenuate like iron of that bulk density."""
    return Material(density_g_cm3, Matter.IRON)


STEEL = metal(7.87)
ALUMINIUM = Material(2.70, Matter.ALUMINIUM)
PLYWOOD = organic(0.65)
RUBBER = organic(1.1)
FOAM = organic(0.04)
VOID = organic(0.0)
"""Of bodies that are drawn for their outline alone."""
