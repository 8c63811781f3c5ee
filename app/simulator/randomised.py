"""A scanner that nobody built: every setting drawn from a wide range, for networks that are to meet unknown ones.

Domain randomisation (Tobin et al. 2017, "Domain randomization for transferring deep neural networks from simulation to
the real world"). Each held-out scanner stays beyond these ranges in one setting at least, and so still stands in for
one that nobody has seen: `van-450kv` by its energies, `rail-far` by its distance and tone, `caesium-137` by how few
quanta it counts.
"""

from math import exp, log

import numpy as np

from app.simulator.profile import Palette, Range, ScannerProfile, Tone
from app.simulator.thickness import Spectrum

RANDOM = "random"
ENERGIES_MEV: Range = (0.5, 8.0)
NEAR_M: Range = (3.2, 10.5)
HEIGHT_PX: Range = (140, 420)
PHOTONS: Range = (2e3, 3e5)


def random_scanner(rng: np.random.Generator) -> ScannerProfile:
    """One such scanner; its own scans differ little from one another."""
    near, source = _even(rng, NEAR_M), float(rng.uniform(-1.7, 1.5))
    height, squeeze = _even(rng, HEIGHT_PX), _even(rng, (0.85, 2.4))
    return ScannerProfile(
        name=RANDOM,
        about="Every setting drawn anew",
        weight=0.0,
        spectrum=_spectrum(rng),
        near_m=(near, near * 1.1),
        source_height_m=(source, source + 0.2),
        height_px=(int(height * 0.95), int(height)),
        squeeze=(squeeze / 1.15, squeeze * 1.15),
        cut=0.08,
        wide=float(rng.uniform(0.1, 0.8)),
        photons=_around(_even(rng, PHOTONS), 1.3),
        electronic_noise=(0.0003, _even(rng, (0.0005, 0.008))),
        grain=int(rng.choice([1, 2, 3], p=[0.7, 0.2, 0.1])),
        scatter=(0.0, _even(rng, (0.001, 0.03))),
        glare=(0.0, _some(rng, 0.5, (0.01, 0.06))),
        blur=_odds_of_blur(rng),
        smear=float(rng.random()),
        sharpen=(0.0, _some(rng, 0.7, (0.2, 1.2))),
        pulse_jitter=(0.0, _even(rng, (0.001, 0.04))),
        element_jitter=(0.0, _even(rng, (0.0005, 0.012))),
        drift=(0.0, _some(rng, 0.5, (0.02, 0.12))),
        gain=(0.85, 1.03),
        gamma=_around(_even(rng, (0.7, 1.4)), 1.1),
        tone=Tone.LOGARITHMIC if rng.random() < 0.2 else Tone.POWER,
        inverted=bool(rng.random() < 0.25),
        palette=_palette(rng),
        skew=_even(rng, (0.001, 0.025)),
        border=_some(rng, 0.3, (0.2, 0.5)),
    )


def _even(rng: np.random.Generator, between: Range) -> float:
    """Log-uniform."""
    return exp(rng.uniform(log(between[0]), log(between[1])))


def _around(value: float, factor: float) -> Range:
    return value / factor, value * factor


def _some(rng: np.random.Generator, odds: float, between: Range) -> float:
    """Nothing, or with these odds a draw."""
    return float(rng.uniform(*between)) if rng.random() < odds else 0.0


def _spectrum(rng: np.random.Generator) -> Spectrum:
    energies = sorted(_even(rng, ENERGIES_MEV) for _ in range(int(rng.integers(1, 4))))
    shares = rng.dirichlet(np.full(len(energies), 2.0))
    return tuple((energy, float(share)) for energy, share in zip(energies, shares, strict=True))


def _odds_of_blur(rng: np.random.Generator) -> tuple[float, float, float, float]:
    none, one, two, four = (float(odds) for odds in rng.dirichlet([1.5, 1.0, 0.7, 0.4]))
    return none, one, two, four


def _palette(rng: np.random.Generator) -> Palette:
    return (Palette.GREY, Palette.MATTER, Palette.RAINBOW)[int(rng.choice(3, p=[0.86, 0.08, 0.06]))]
