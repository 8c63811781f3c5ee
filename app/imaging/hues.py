"""Colours that no scanner makes: neither one palette's, nor ordered by brightness, nor those of materials."""

import numpy as np
from numpy.typing import NDArray

from app.imaging.palettes import palettes

SAMPLES = 1500
COLOURED = 40  # largest less smallest channel, of 255, of a pixel that has a colour of its own
LEAST_COLOURED = 0.2  # with less, it is marks or an overlay on a grey scan
ON_PATH = 24.0  # levels within which a colour counts as the palette's: chroma of a JPEG strays so far
PALETTE_SHARE = 0.8
MATERIALS = ((15, 60), (80, 160), (195, 265))  # degrees: organic, between, metal, in scans of two energies


def unexplained(colour: NDArray[np.uint8]) -> float:
    """The share of coloured pixels, 0 to 1, of uint8 (h, w, 3) whose colours no scanner explains; else 0."""
    pixels = colour.reshape(-1, 3)
    seen = pixels[:: max(1, len(pixels) // SAMPLES)].astype(np.float32)
    coloured = np.ptp(seen, axis=1) > COLOURED
    share = float(coloured.mean())
    if share < LEAST_COLOURED or _of_a_palette(seen) or _by_brightness(seen) or _of_materials(seen[coloured]):
        return 0.0
    return share


def _of_a_palette(seen: NDArray[np.float32]) -> bool:
    squares = (seen**2).sum(1)
    for path in palettes().values():
        known = path.astype(np.float32)
        away = squares[:, None] + (known**2).sum(1) - 2 * seen @ known.T
        if (away.min(1) <= ON_PATH**2).mean() >= PALETTE_SHARE:
            return True
    return False


def _by_brightness(seen: NDArray[np.float32]) -> bool:
    """Whether pixels of one brightness have one colour, whatever palette it is."""
    steps = (seen @ np.array([0.299, 0.587, 0.114], np.float32)).astype(int) // 8
    spread = [seen[steps == step].std(0).max() for step in range(32) if (steps == step).sum() >= 8]
    return bool(spread) and float(np.median(spread)) < 10


def _of_materials(coloured: NDArray[np.float32]) -> bool:
    r, g, b = coloured.T
    hues = np.degrees(np.arctan2(np.sqrt(3) * (g - b), 2 * r - g - b)) % 360
    return float(np.any([(hues > low) & (hues < high) for low, high in MATERIALS], axis=0).mean()) > 0.9
