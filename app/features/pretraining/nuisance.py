"""How a scan is varied before the network sees it: placed otherwise, and shown otherwise.

Geometry is shared by what is to be compared (teacher and student; without and with a load). What the display does to
grey values is drawn anew wherever features are to stay what they are: polarity, gain, gamma, contrast, noise, blur.
"""

from dataclasses import dataclass
from math import exp, log

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Bytes = NDArray[np.uint8]
Grey = NDArray[np.float32]
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Placing:
    """A part of the frame (left, top, right, bottom as shares), turned by `degrees`, mirrored or not."""

    box: Box
    degrees: float
    mirrored: bool


def film_placing(rng: np.random.Generator) -> Placing:
    """A random part of a film: 60 to 100 % of its side, its proportions a little off."""
    size = rng.uniform(0.6, 1.0)
    tall = min(1.0, size * exp(rng.uniform(log(0.85), log(1.18))))
    left, top = rng.uniform(0, 1 - size), rng.uniform(0, 1 - tall)
    turned = rng.uniform(-8, 8) if rng.random() < 0.3 else 0.0
    return Placing((left, top, left + size, top + tall), turned, bool(rng.random() < 0.5))


def scan_placing(rng: np.random.Generator, container: NDArray[np.float32]) -> Placing:
    """The frame, or its container with some air around it, as finders of containers cut it; never without cargo."""
    turned = rng.uniform(-3, 3) if rng.random() < 0.3 else 0.0
    mirrored = bool(rng.random() < 0.5)
    if rng.random() < 0.4:
        left, top = rng.uniform(0, 0.02, 2)
        return Placing((left, top, 1 - rng.uniform(0, 0.02), 1 - rng.uniform(0, 0.02)), turned, mirrored)
    left, top, right, bottom = (float(value) for value in container)
    wide, tall = right - left, bottom - top
    box = (
        max(0.0, left - rng.uniform(-0.01, 0.1) * wide),
        max(0.0, top - rng.uniform(-0.01, 0.1) * tall),
        min(1.0, right + rng.uniform(-0.01, 0.1) * wide),
        min(1.0, bottom + rng.uniform(-0.01, 0.2) * tall),
    )
    return Placing(box, turned, mirrored)


def jittered(rng: np.random.Generator, placing: Placing) -> Placing:
    """Nearly the same place: shifted by up to 3 % of its size and turned by up to 3 degrees, within the frame."""
    left, top, right, bottom = placing.box
    across, down = rng.uniform(-0.03, 0.03, 2) * (right - left, bottom - top)
    box = (max(0.0, left + across), max(0.0, top + down), min(1.0, right + across), min(1.0, bottom + down))
    return Placing(box, placing.degrees + rng.uniform(-3, 3), placing.mirrored)


def placed(plane: Bytes, placing: Placing, side: int, how: Image.Resampling = Image.Resampling.BILINEAR) -> Grey:
    """That part of uint8 (height, width), squashed to float32 (side, side) in [0, 1]."""
    image = Image.fromarray(plane)
    if placing.degrees:
        image = image.rotate(placing.degrees, Image.Resampling.BILINEAR, fillcolor=int(plane[0, 0]))
    left, top, right, bottom = placing.box
    width, height = image.size
    cut = (left * width, top * height, right * width, bottom * height)
    grey = np.asarray(image.resize((side, side), how, box=cut), np.float32) / np.float32(255)
    return grey[:, ::-1] if placing.mirrored else grey


@dataclass(frozen=True)
class Showing:
    """What a detector and a display do to grey values in [0, 1].

    `kept` is the share of the resolution that is left; `seed` draws the noise, which `grain` x `grain` pixels share.
    """

    inverted: bool
    kept: float
    gain: float
    gamma: float
    contrast: float
    offset: float
    noise: float
    grain: int
    seed: int


def showing(rng: np.random.Generator, strength: float) -> Showing:
    """Draw one. At strength 1: inverted one in four, gain 0.8 to 1.1, gamma 0.6 to 1.65, contrast +- 25 %; three in
    ten as from a scanner of 0.35 to 1 of the resolution, half with noise of 0.003 to 0.06, grains of up to 4 pixels.
    """
    spread = 0.5 * strength
    return Showing(
        inverted=bool(rng.random() < 0.25 * min(1.0, strength)),
        kept=float(1 - rng.uniform(0, 0.65) * min(1.0, strength) * (rng.random() < 0.3)),
        gain=exp(rng.uniform(log(0.8), log(1.1)) * strength),
        gamma=exp(rng.uniform(-spread, spread)),
        contrast=exp(rng.uniform(-spread, spread) / 2),
        offset=float(rng.uniform(-0.08, 0.08) * strength),
        noise=float(exp(rng.uniform(log(0.003), log(0.06))) * strength * (rng.random() < 0.5)),
        grain=int(rng.integers(1, 5)),
        seed=int(rng.integers(2**63)),
    )


def shown(grey: Grey, how: Showing) -> Grey:
    """float32 of the same shape, in [0, 1]."""
    tone = np.clip(_coarser(grey, how.kept) * np.float32(how.gain), 0, 1) ** np.float32(how.gamma)
    tone = (tone - np.float32(0.5)) * np.float32(how.contrast) + np.float32(0.5 + how.offset)
    if how.noise:
        tone = tone + _grains(tone.shape, how.grain, how.seed) * np.float32(how.noise)
    tone = np.clip(tone, 0, 1)
    return np.asarray(1 - tone if how.inverted else tone, np.float32)


def _coarser(grey: Grey, kept: float) -> Grey:
    """As a scanner of that share of the resolution would show it, at the size that it has."""
    if kept >= 1:
        return grey
    height, width = grey.shape
    small = (max(1, round(width * kept)), max(1, round(height * kept)))
    found = Image.fromarray(np.ascontiguousarray(grey)).resize(small, Image.Resampling.BOX)
    return np.asarray(found.resize((width, height), Image.Resampling.BILINEAR))


def _grains(shape: tuple[int, ...], grain: int, seed: int) -> Grey:
    """Noise of spread 1, the same in squares of `grain` pixels."""
    height, width = shape
    small = (-(-height // grain), -(-width // grain))
    noise = np.random.default_rng(seed).standard_normal(small, np.float32)
    return np.asarray(noise.repeat(grain, axis=0).repeat(grain, axis=1)[:height, :width])
