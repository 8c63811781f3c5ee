"""Colour that is no colour of the scan: palettes laid over grey values, and marks drawn upon them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.imaging.palettes import palettes

Grey = NDArray[np.float32]
Mask = NDArray[np.bool_]

SAMPLES = 4000
CHROMA = 0.35
"""Weight of differences in chroma beside those in luma: a JPEG keeps chroma at half the resolution, and roughly."""
ON_PATH = 16
"""Distance (levels of 255) within which a colour counts as the palette's."""
OFF_PATH = 32
PALETTE_SHARE = 0.8
COLOURED = 40
"""Largest less smallest channel of a pixel that has a colour of its own."""
MARKED = 24
MOST_MARKED = 0.25


@dataclass(frozen=True)
class Scalar:
    """Grey values behind the colours, float32 (h, w) in [0, 1], the pixels that are no part of the scan, and words."""

    grey: Grey
    marks: Mask | None
    finding: dict[str, Any]


def without_colour(grey: Grey, colour: NDArray[np.uint8] | None) -> Scalar:
    """Undo a palette, or find what was drawn on a grey scan; `colour` is uint8 (h, w, 3), None for a grey file.

    A palette is recognised by the share of pixels that lie on its path through the colours (80 % within 16 levels).
    A path that is in no table is left to luma where brightness orders it (then luma is the grey value up to a curve),
    and reported where it does not.
    """
    if colour is None:
        return Scalar(grey, None, {"found": "grey"})
    seen = _sample(colour)
    coloured = float((np.ptp(seen, axis=1) > COLOURED).mean())
    if coloured < 0.001:
        return Scalar(grey, None, {"found": "grey", "coloured": round(coloured, 4)})
    name, share = _palette(seen)
    if share >= PALETTE_SHARE:
        values, away = _along(colour, palettes()[name])
        marks = away > OFF_PATH
        finding = {"found": "palette", "palette": name, "share": round(share, 3), "did": "inverted"}
        return Scalar(values, marks if marks.mean() < MOST_MARKED else None, finding)
    if coloured < MOST_MARKED:
        marks = colour.max(2) - colour.min(2) > MARKED
        return Scalar(grey, marks, {"found": "marks on grey", "coloured": round(coloured, 4)})
    kind, did = _other(seen), "luma taken for grey"
    return Scalar(grey, None, {"found": kind, "nearest": name, "share": round(share, 3), "did": did})


def _sample(colour: NDArray[np.uint8]) -> NDArray[np.int16]:
    """Pixels as they are (a mean of two colours is no colour of the palette): int16 (n, 3)."""
    pixels = colour.reshape(-1, 3)
    return pixels[:: max(1, len(pixels) // SAMPLES)].astype(np.int16)


def _palette(seen: NDArray[np.int16]) -> tuple[str, float]:
    """The palette with most of these colours on its path, the nearer one among equals, and the share."""
    luma, wide = seen @ np.array([0.299, 0.587, 0.114]), np.ptp(seen, axis=1)
    # Nearly every palette passes near black, or white: only colours, and greys between, tell one from another.
    telling = (wide > COLOURED) | ((luma > 40) & (luma < 235))
    seen = seen[telling] if telling.sum() >= 50 else seen
    best, best_share, best_mean = "", -1.0, np.inf
    for name, path in palettes().items():
        away = np.sqrt(_squares(seen.astype(np.float32), path).min(1))
        share, mean = float((away <= ON_PATH).mean()), float(np.minimum(away, ON_PATH).mean())
        if (round(share, 2), -mean) > (round(best_share, 2), -best_mean):
            best, best_share, best_mean = name, share, mean
    return best, best_share


def _squares(colours: Grey, path: NDArray[np.uint8]) -> Grey:
    """Squared distances, chroma weighed less, of float32 (n, 3) to each colour of a path: (n, 256)."""
    seen, known = colours @ LUMA_CHROMA, path.astype(np.float32) @ LUMA_CHROMA
    squares = (seen**2).sum(1)[:, None] + (known**2).sum(1) - 2 * seen @ known.T
    return np.asarray(np.maximum(squares, 0), np.float32)


# RGB to ITU-R 601 luma and two chroma channels of equal scale, as columns.
LUMA_CHROMA = np.array(
    [
        [0.299, -0.299 * CHROMA, 0.701 * CHROMA],
        [0.587, -0.587 * CHROMA, -0.587 * CHROMA],
        [0.114, 0.886 * CHROMA, -0.114 * CHROMA],
    ],
    np.float32,
)


def _along(colour: NDArray[np.uint8], path: NDArray[np.uint8]) -> tuple[Grey, Grey]:
    """How far along a path each pixel lies, 0 to 1, and its distance from the path in levels; both (h, w)."""
    high = colour.astype(np.int32) >> 2
    cell = (high[..., 0] << 12) | (high[..., 1] << 6) | high[..., 2]
    used = np.flatnonzero(np.bincount(cell.ravel(), minlength=1 << 18))  # a table costs a tenth of sorting the pixels
    centres = np.stack([used >> 12, used >> 6 & 63, used & 63], 1).astype(np.float32) * 4 + 1.5
    place, away = np.zeros(1 << 18, np.float32), np.zeros(1 << 18, np.float32)
    for start in range(0, len(used), 4096):
        cells = used[start : start + 4096]
        squares = _squares(centres[start : start + 4096], path)
        place[cells] = _middle(squares)
        away[cells] = np.sqrt(squares.min(1))
    return place[cell], away[cell]


def _middle(squares: Grey) -> Grey:
    """The place of the nearest colour, between indexes: the mean of those that are as near, within a level."""
    nearest = squares.argmin(1)[:, None]
    close = (squares <= squares.min(1, keepdims=True) + 1) & (np.abs(np.arange(256) - nearest) <= 6)
    return np.asarray((close * np.arange(256)).sum(1) / close.sum(1) / 255, np.float32)


def _other(seen: NDArray[np.int16]) -> str:
    """What an unknown colouring is: ordered by brightness, hues of materials, or neither."""
    luma = seen @ np.array([0.299, 0.587, 0.114])
    steps = np.clip(luma // 8, 0, 31).astype(int)
    spread = [seen[steps == step].std(0).max() for step in range(32) if (steps == step).sum() >= 8]
    if spread and float(np.median(spread)) < 10:
        return "unknown palette ordered by brightness"
    hues = _hues(seen[np.ptp(seen, axis=1) > COLOURED])
    materials = ((hues > 15) & (hues < 60)) | ((hues > 80) & (hues < 160)) | ((hues > 195) & (hues < 265))
    return "hues of materials (dual energy)" if materials.mean() > 0.9 else "unknown colours"


def _hues(colours: NDArray[np.int16]) -> NDArray[np.float64]:
    """Hues in degrees of int16 (n, 3), none of them grey."""
    r, g, b = colours.astype(np.float64).T
    return np.asarray(np.degrees(np.arctan2(np.sqrt(3) * (g - b), 2 * r - g - b)) % 360)


def painted(grey: Grey, marks: Mask, *, around: int) -> Grey:
    """`grey` with marks, and `around` pixels about them, replaced by the nearest pixel that is none."""
    from scipy import ndimage  # noqa: PLC0415 - the API process shows prepared pixels

    grown = ndimage.binary_dilation(marks, iterations=around) if around else marks
    if not grown.any() or grown.all():
        return grey
    rows, columns = (np.flatnonzero(grown.any(axis)) for axis in (1, 0))
    reach = 4
    part = (
        slice(max(0, rows[0] - reach), rows[-1] + reach + 1),
        slice(max(0, columns[0] - reach), columns[-1] + reach + 1),
    )
    nearest = ndimage.distance_transform_edt(grown[part], return_distances=False, return_indices=True)
    repaired = grey.copy()
    repaired[part] = grey[part][tuple(nearest)]
    return repaired
