"""Augmented copies of a scan: the same scene, differently placed, exposed and exposed to noise.

Geometry is drawn within what a table, a truck or a patient may vary. Intensity follows the detector, and reads the
same whichever way the scan is displayed: a gain is another exposure (or, of a film, another window), a power of the
transmission is another thickness or beam energy (Beer and Lambert; of a film, another display curve), and photon
noise grows with the root of brightness. What comes in at a border is the value at that border, so that the open beam
stays the open beam.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, cos, exp, log, radians, sin
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from app.errors import InvalidInput

Grey = NDArray[np.float32]

MOST_COPIES = 49
# Pixels of the shorter side at which a copy is made: twice what a network sees. Noise a pixel thereby means the same
# for scans of any size, and a copy of a film of 5 megapixels costs no more than one of 0.3.
WORKING_SIDE = 448
_BOUNDS = {
    "shift": (0, 0.25), "scale": (1, 1.5), "rotation": (0, 45), "gain": (0.5, 1.2), "gamma": (1, 2), "noise": (0, 0.1),
}  # fmt: skip


@dataclass(frozen=True)
class Augmentation:
    """A recipe: what is drawn, anew for each copy, and the codes that its copies are stored under.

    - `shift`: largest shift, as a share of the width and of the height (0 to 0.25);
    - `scale`: largest factor of enlargement, and one over the largest reduction (1 to 1.5);
    - `rotation`: largest angle, degrees, either way (0 to 45);
    - `gain`: least and largest factor of exposure (0.5 to 1.2: what is above 1 after it is lost to saturation, and
      light cargo with it);
    - `gamma`: largest power of the transmission, and one over the smallest (1 to 2);
    - `noise`: largest standard deviation of a pixel at full brightness, as a share of it: one over the root of the
      photons a pixel of the working plane (0 to 0.1);
    - `mirrored`: half of the copies are flipped left to right.

    Every draw is uniform, of the logarithm for factors and powers. Copy n has the code `base + n`.
    Raises InvalidInput for a value outside its range.
    """

    name: str
    version: int
    base: int
    shift: float
    scale: float
    rotation: float
    gain: tuple[float, float]
    gamma: float
    noise: float
    mirrored: bool = False

    def __post_init__(self) -> None:
        for name, (least, most) in _BOUNDS.items():
            if not all(least <= value <= most for value in np.atleast_1d(getattr(self, name))):
                raise InvalidInput(f"Augmentation {self.name} has {name} {getattr(self, name)}: {least} to {most}.")

    def codes(self, copies: int) -> range:
        """The codes of the first `copies` copies. Raises InvalidInput unless they are 1 to 49."""
        if not 1 <= copies <= MOST_COPIES:
            raise InvalidInput(f"{copies} copies: give 1 to {MOST_COPIES}.")
        return range(self.base + 1, self.base + copies + 1)


def _variants(recipe: str, version: int, base: int, **ranges: Any) -> dict[str, Augmentation]:
    """A recipe as it is, and with flips under codes of its own."""
    mirrored = f"{recipe}-mirrored"
    return {
        recipe: Augmentation(recipe, version, base, **ranges),
        mirrored: Augmentation(mirrored, version, base + MOST_COPIES + 1, **ranges, mirrored=True),
    }


# Codes are stored and never given another meaning: a recipe that changes gets the next version and the next free
# base (200, 300, ...), and its former codes stay unused. Its copies are then found missing, and made.
AUGMENTATIONS: Mapping[str, Augmentation] = {
    **_variants("soft", 1, 0, shift=0.03, scale=1.05, rotation=3, gain=(0.9, 1.05), gamma=1.1, noise=0.01),
    **_variants("strong", 1, 100, shift=0.06, scale=1.12, rotation=6, gain=(0.7, 1.1), gamma=1.3, noise=0.03),
}


def named(recipe: str, *, mirrored: bool) -> Augmentation:
    """The present version of `soft` or `strong`. Raises InvalidInput for any other name."""
    found = AUGMENTATIONS.get(f"{recipe}-mirrored" if mirrored else recipe)
    if found is None or recipe.endswith("-mirrored"):
        raise InvalidInput(f"There is no augmentation recipe {recipe}; say soft or strong.")
    return found


def codes(recipe: str, mirrored: bool, copies: int) -> range:
    """The codes under which the copies of a recipe are stored. Raises InvalidInput for an unknown recipe or count."""
    return named(recipe, mirrored=mirrored).codes(copies)


def augment(grey: Grey, recipe: str, mirrored: bool, copy: int, sha256: bytes) -> Grey:
    """Copy number `copy` (1 to 49) of a decoded plane, float32 (h, w) in [0, 1], at its working size.

    The bytes' SHA-256, the recipe with its version and the number decide every draw: any process makes the same
    pixels (processors of different families within rounding). Raises InvalidInput.
    """
    return changed(working_plane(grey), named(recipe, mirrored=mirrored), copy, sha256)


def augmented(plane: Grey, code: int, sha256: bytes) -> Grey:
    """The copy that `code` stands for, of a `working_plane`. Raises InvalidInput for a code of no present recipe."""
    for known in AUGMENTATIONS.values():
        if code in known.codes(MOST_COPIES):
            return changed(plane, known, code - known.base, sha256)
    raise InvalidInput(f"Augmentation code {code} belongs to no present recipe.")


def working_plane(grey: Grey) -> Grey:
    """The plane, reduced (antialiased) so that its shorter side has at most `WORKING_SIDE` pixels."""
    height, width = grey.shape
    factor = WORKING_SIDE / min(height, width)
    if factor >= 1:
        return grey
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return np.asarray(Image.fromarray(grey).resize(size, Image.Resampling.BILINEAR, reducing_gap=3.0))


def changed(plane: Grey, how: Augmentation, copy: int, sha256: bytes) -> Grey:
    """Copy number `copy` of a working plane by any recipe: float32 of the same shape, in [0, 1]."""
    how.codes(copy)
    seed = hashlib.sha256(sha256 + f"{how.name}/{how.version}/{copy}".encode()).digest()
    rng = np.random.Generator(np.random.PCG64(int.from_bytes(seed)))
    shift = (rng.uniform(-how.shift, how.shift), rng.uniform(-how.shift, how.shift))
    scale, angle = _factor(rng, 1 / how.scale, how.scale), rng.uniform(-how.rotation, how.rotation)
    gain, gamma = _factor(rng, *how.gain), _factor(rng, 1 / how.gamma, how.gamma)
    deviation, flip = rng.uniform(0, how.noise), rng.random() < 0.5
    moved = _moved(plane, shift, scale, radians(angle))
    if how.mirrored and flip:
        moved = moved[:, ::-1]
    exposed = np.clip(moved * np.float32(gain), 0, 1) ** np.float32(gamma)
    noise = rng.standard_normal(exposed.shape, dtype=np.float32) * np.float32(deviation)
    return np.ascontiguousarray(np.clip(exposed + noise * np.sqrt(exposed), 0, 1))


def _factor(rng: np.random.Generator, least: float, most: float) -> float:
    return exp(rng.uniform(log(least), log(most)))


def _moved(plane: Grey, shift: tuple[float, float], scale: float, angle: float) -> Grey:
    """Turn about the centre, enlarge and shift; beyond a border its own values go on."""
    height, width = plane.shape
    c, s = cos(angle) / scale, sin(angle) / scale
    centre = np.array([width / 2, height / 2])
    # From a place in the copy to the place in the plane that is shown there: (x, y), pixels.
    turn = np.array([[c, s], [-s, c]])
    origin = centre - turn @ (centre + np.array([shift[0] * width, shift[1] * height]))
    corners = np.array([[0, 0], [width, 0], [0, height], [width, height]]) @ turn.T + origin
    overhang = max(-corners.min(), (corners - [width, height]).max(), 0.0)
    border = ceil(overhang) + 2  # bilinear looks one pixel further
    padded = Image.fromarray(np.pad(plane, border, mode="edge"))
    matrix = (c, s, origin[0] + border, -s, c, origin[1] + border)
    return np.asarray(padded.transform((width, height), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR))
