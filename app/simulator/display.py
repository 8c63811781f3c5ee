"""From grey values to what the operator's viewer saves: polarity, colours, a border."""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from app.simulator.beam import Floats
from app.simulator.matter import Matter, mass_attenuation
from app.simulator.noise import normals
from app.simulator.profile import Palette, ScannerProfile
from app.simulator.thickness import Thickness

Pixels = NDArray[np.uint8]
HUES = 32
ENERGY_MEV = 2.0
_RAINBOW = np.array(
    [[0, 0, 0], [60, 0, 90], [0, 20, 160], [0, 130, 170], [0, 170, 40], [190, 200, 0], [255, 120, 0], [255, 255, 255]],
    np.float64,
)
_BLUE, _GREEN, _ORANGE = np.array([[30, 60, 200], [40, 160, 60], [240, 130, 20]], np.float64)


def show(grey: Pixels, profile: ScannerProfile, organic_share: Floats | None) -> Pixels:
    """`grey`, uint8 (height, width) on a light background, as the scanner shows it; (height, width, 3) if coloured.

    `organic_share`, 0 to 1 of the same shape, is needed by the palette of matter alone.
    """
    if profile.inverted:
        grey = 255 - grey
    match profile.palette:
        case Palette.GREY:
            return grey
        case Palette.RAINBOW:
            return np.asarray(_rainbow().take(grey, axis=0), np.uint8)
        case Palette.MATTER:
            assert organic_share is not None
            hue = (organic_share * np.float32(HUES - 1) + np.float32(0.5)).astype(np.uint16)
            hue *= 256
            hue += grey
            return np.asarray(_matter().take(hue, axis=0), np.uint8)


@cache
def _rainbow() -> Pixels:
    at = np.linspace(0, len(_RAINBOW) - 1, 256)
    channels = [np.interp(at, np.arange(len(_RAINBOW)), _RAINBOW[:, c]) for c in range(3)]
    return np.asarray(np.rint(np.stack(channels, 1)), np.uint8)


@cache
def _matter() -> Pixels:
    """Colours by (share of organic matter, grey), uint8 (HUES * 256, 3): white in the open beam, black where none."""
    share, grey = np.linspace(0, 1, HUES)[:, None, None], np.linspace(0, 1, 256)[None, :, None]
    low, high = np.clip(share * 2, 0, 1), np.clip(share * 2 - 1, 0, 1)
    hue = _BLUE + low * (_GREEN - _BLUE) + high * (_ORANGE - _GREEN)
    dark, light = np.clip(grey * 2, 0, 1), np.clip(grey * 2 - 1, 0, 1)
    colours = hue * dark + (255 - hue) * light**1.5 * dark
    return np.asarray(np.rint(colours), np.uint8).reshape(-1, 3)


def organic_share(rng: np.random.Generator, scene: Thickness) -> Floats:
    """The share of the attenuation that organic matter causes, as two energies tell it: unsure in thin places."""
    total = scene.depth(ENERGY_MEV)
    share = scene.of(Matter.ORGANIC) * np.float32(mass_attenuation(Matter.ORGANIC, ENERGY_MEV))
    total += np.float32(0.02)
    share /= total
    spread = np.float32(0.02) / total
    spread *= normals(rng, total.shape)
    share += spread
    return np.asarray(np.clip(share, 0, 1, out=share), np.float32)


def bordered(rng: np.random.Generator, pixels: Pixels, odds: float) -> tuple[Pixels, tuple[int, int]]:
    """With an even border at those odds; how far the scan's corner moved right and down."""
    if rng.random() >= odds:
        return pixels, (0, 0)
    height, width = pixels.shape[:2]
    sides = [(int(rng.integers(0, size // 20 + 1)), int(rng.integers(0, size // 20 + 1))) for size in (height, width)]
    value = int(rng.choice([0, 0, 40, 128, 255]))
    padding = sides if pixels.ndim == 2 else [*sides, (0, 0)]
    return np.pad(pixels, padding, constant_values=value), (sides[1][0], sides[0][0])
