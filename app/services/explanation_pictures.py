"""Explanations as pictures and as arrays."""

from pathlib import Path

import numpy as np

from app.errors import InvalidInput
from app.imaging.bounds import Limits
from app.imaging.frames import decode_frames
from app.imaging.overlay import Caption, HeatBox, picture
from app.imaging.prepare import Box
from app.services import prepared
from app.services.explanations import Explained

LEAST_WIDTH, MOST_WIDTH = 448, 1024


def png(
    found: Explained, path: Path, limits: Limits, *, frame: int | None = None, width: int | None = None,
    overlay: bool = True,
) -> bytes:  # fmt: skip
    """A PNG of one frame with the evidence of its regions; the loudest frame, at most 1,024 pixels wide, by default.

    Raise InvalidInput for a frame that was not explained, UnusableImage when the scan cannot be decoded.
    """
    chosen = found.loudest_frame if frame is None else frame
    regions = [one for one in found.regions if one.region.frame == chosen]
    if not regions:
        known = sorted({one.region.frame for one in found.regions})
        raise InvalidInput(f"Frame {chosen} was not explained; there are {', '.join(map(str, known))}.")
    wide = width or min(max(found.image.width, LEAST_WIDTH), MOST_WIDTH)
    least = max(1, min(found.image.height, round(wide * found.image.height / found.image.width)))
    shown = next(decode_frames(path, limits, indexes=[chosen], at_least=least))
    boxes = [
        HeatBox(_shrunk(one.box, shown.scale), one.heat, _shrunk(one.hottest_region.box, shown.scale))
        for one in regions
    ]
    loudest = max(regions, key=lambda one: one.facts["log_odds"])
    line = (
        f"{found.task.name}, head version {found.head.version} ({found.head.algorithm}), {loudest.method}; "
        f"probability of {found.task.positive} {loudest.facts['probability']:.3f}"
    )
    return picture(shown.grey, boxes, width=wide, caption=Caption(found.task.positive, line), overlay=overlay)


def _shrunk(box: Box, scale: tuple[float, float]) -> Box:
    down, across = scale
    return Box(
        round(box.x / across), round(box.y / down), max(1, round(box.width / across)), max(1, round(box.height / down))
    )


def npy(found: Explained) -> bytes:
    """NumPy's own format: float32 (regions, rows, columns), in the order of the regions."""
    return prepared.npy(np.stack([one.heat for one in found.regions]))
