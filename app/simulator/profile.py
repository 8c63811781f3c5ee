"""What a scanner profile says."""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from app.simulator.thickness import Spectrum

Range = tuple[float, float]


class Tone(StrEnum):
    """How signal becomes grey."""

    POWER = "power"
    """Signal to the power of gamma."""
    LOGARITHMIC = "logarithmic"
    """Grey falls with optical depth, over two decades."""
    STRETCHED = "stretched"
    """An S: contrast in the middle at the expense of both ends."""


class Palette(StrEnum):
    """What grey is shown as."""

    GREY = "grey"
    RAINBOW = "rainbow"
    MATTER = "matter"
    """Hue by sort of matter, as two energies tell it: organic orange, light metal green, iron and denser blue."""


@dataclass(frozen=True)
class ScannerProfile:
    """Ranges that a scan's settings are drawn from; shares are of the unattenuated beam.

    Source and height are metres, height 0 being the container's underside.
    """

    name: str
    about: str
    weight: float
    """Share of scans, where the scanner is not asked for."""
    spectrum: Spectrum
    near_m: Range = (5.4, 7.6)
    """From the source to the container's near wall."""
    source_height_m: Range = (-1.6, -1.1)
    height_px: tuple[int, int] = (220, 380)
    """The pitch follows: a container's height and some open beam take up so many rows."""
    squeeze: Range = (0.95, 2.6)
    """Column pitch over row pitch, log-uniform: the truck's pace sets the scale along the container."""
    cut: float = 0.12
    """Odds that the crop cuts into the container, for each end."""
    wide: float = 0.3
    """Odds that the crop leaves much open beam, for each end."""
    photons: Range = (2e4, 6e5)
    """Detected quanta per pixel in the open beam, log-uniform: shot noise is one over its root."""
    electronic_noise: Range = (0.0005, 0.003)
    grain: int = 1
    """Pixels to a side that share their noise."""
    scatter: Range = (0.0, 0.006)
    glare: Range = (0.0, 0.0)
    """Share of the signal that is spread over a wide surrounding."""
    blur: tuple[float, float, float, float] = (0.75, 0.2, 0.05, 0.0)
    """Odds of 0, 1, 2 and 4 passes of a binomial filter."""
    smear: float = 0.6
    """Odds of one more pass along the container: the beam has a width, and the truck moves on while a pulse lasts."""
    sharpen: Range = (0.2, 1.0)
    """How much of what a binomial filter takes away across the detector line is added once more, as viewers do."""
    pulse_jitter: Range = (0.0003, 0.006)
    """Spread of the dose from column to column."""
    element_jitter: Range = (0.0002, 0.003)
    """Spread of the detector elements' gain left after calibration, row to row."""
    drift: Range = (0.0, 0.0)
    """Slow swing of the dose along the scan."""
    gain: Range = (0.975, 1.02)
    gamma: Range = (0.85, 1.2)
    tone: Tone = Tone.POWER
    inverted: bool = False
    """Light on dark: the open beam is black."""
    palette: Palette = Palette.GREY
    skew: float = 0.008
    """Spread of the picture's tilt, in heights from the middle to an end."""
    dead_rows: float = 0.15
    dark_columns: float = 0.05
    held: float = 0.04
    """Odds of columns that repeat the first of them: the truck went on while the line stood still."""
    border: float = 0.0
    """Odds of an even border around the scan."""

    def like(self, **changes: Any) -> "ScannerProfile":
        """This profile but for those fields."""
        return replace(self, **changes)
