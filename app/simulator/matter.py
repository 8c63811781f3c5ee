"""What the beam passes through: density and mass attenuation.

Mass attenuation at an effective 3 MeV, where Compton scattering dominates and matter differs mostly by its
mass: Hubbell and Seltzer, NIST XAAMDI tables (iron 0.0362, aluminium 0.0354, water 0.0397 cm2/g).
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Material:
    density_g_cm3: float
    mass_attenuation_cm2_g: float

    @property
    def attenuation_per_m(self) -> float:
        return self.density_g_cm3 * self.mass_attenuation_cm2_g * 100.0

    def hole(self) -> "Material":
        """The same matter taken away, for hollow bodies drawn as an outside less an inside."""
        return Material(-self.density_g_cm3, self.mass_attenuation_cm2_g)


def organic(density_g_cm3: float) -> Material:
    """Food, paper, wood, plastics: attenuates like water of that density."""
    return Material(density_g_cm3, 0.0397)


def metal(density_g_cm3: float) -> Material:
    """Loosely packed metal goods: attenuate like iron of that bulk density."""
    return Material(density_g_cm3, 0.0362)


STEEL = metal(7.87)
ALUMINIUM = Material(2.70, 0.0354)
PLYWOOD = organic(0.65)
RUBBER = organic(1.1)
FOAM = organic(0.04)
