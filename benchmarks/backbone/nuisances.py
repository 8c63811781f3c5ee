"""What changes a scan and says nothing of its cargo: display, exposure, and where the container stands."""

from collections.abc import Callable, Mapping
from math import cos, radians, sin

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Plane = NDArray[np.float32]
Nuisance = Callable[[Plane, float], Plane]
GAIN, GAMMA, TURN_DEGREES, SHIFT = 0.8, 1.25, 3.0, 0.03


def inverted(plane: Plane, _: float) -> Plane:
    return 1 - plane


def gained(plane: Plane, sign: float) -> Plane:
    """A fifth less dose, or as much more, of which the viewer shows what fits."""
    return np.clip(plane * np.float32(GAIN**sign), 0, 1)


def bent(plane: Plane, sign: float) -> Plane:
    return np.asarray(plane ** np.float32(GAMMA**sign), np.float32)


def turned(plane: Plane, sign: float) -> Plane:
    angle, (height, width) = radians(TURN_DEGREES * sign), plane.shape
    c, s = cos(angle), sin(angle)
    x, y = width / 2, height / 2
    return _moved(plane, (c, s, x - c * x - s * y, -s, c, y + s * x - c * y))


def shifted(plane: Plane, sign: float) -> Plane:
    height, width = plane.shape
    return _moved(plane, (1, 0, sign * SHIFT * width, 0, 1, SHIFT * height))


NUISANCES: Mapping[str, Nuisance] = {
    "polarity inverted": inverted,
    f"gain x {GAIN} or / {GAIN}": gained,
    f"gamma {GAMMA} or 1 / {GAMMA}": bent,
    f"turned by {TURN_DEGREES:g} degrees": turned,
    f"shifted by {SHIFT:.0%}": shifted,
}


def _moved(plane: Plane, matrix: tuple[float, ...]) -> Plane:
    """Each pixel from where `matrix` (of Pillow's affine transform) says; beyond a border its own values go on."""
    height, width = plane.shape
    border = round(0.12 * max(height, width)) + 2
    padded = Image.fromarray(np.pad(plane, border, mode="edge"))
    a, b, c, d, e, f = matrix
    # The same mapping in coordinates of the padded plane.
    inside = (a, b, c + border - (a + b) * border, d, e, f + border - (d + e) * border)
    moved = np.asarray(padded.transform(padded.size, Image.Transform.AFFINE, inside, Image.Resampling.BILINEAR))
    return np.ascontiguousarray(moved[border : border + height, border : border + width])
