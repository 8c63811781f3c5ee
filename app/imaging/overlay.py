"""A heat map over a scan, as a picture: the scan's own lightness, and colour for the evidence.

Colours are mixed in OKLab (Ottosson, 2020), where equal steps look equal: evidence for the positive class turns a
pixel towards orange, evidence against it towards blue, both in proportion to the evidence and at the pixel's own
lightness, so that the scan stays readable underneath. Orange and blue stay apart for colour-blind eyes.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from app.imaging.prepare import Box

Floats = NDArray[np.floating]

CHROMA = 0.14  # of the strongest evidence; sRGB holds it for both hues at the lightness below
HUE_FOR, HUE_AGAINST = np.deg2rad(55.0), np.deg2rad(255.0)
# White and black can take no colour: where there is evidence, lightness is drawn into this range.
DARKEST, LIGHTEST = 0.45, 0.82
LEGEND_PX = 46
PLAIN = 0.62  # lightness of a map without its scan


@dataclass(frozen=True)
class HeatBox:
    """Evidence float32 (rows, columns) over a box of the plane, and the part of it to point out, in the same pixels."""

    box: Box
    heat: Floats
    marked: Box | None = None


@dataclass(frozen=True)
class Caption:
    """What the legend says: for what and in what, and a line below."""

    positive: str
    line: str


def picture(plane: Floats, regions: Sequence[HeatBox], *, width: int, caption: Caption, overlay: bool = True) -> bytes:
    """Return a PNG `width` pixels wide of a plane (h, w) in [0, 1] with its regions' evidence, boxes and a legend.

    Without `overlay` the evidence is shown by itself. The strongest evidence of all regions has the full colour.
    """
    scale = width / plane.shape[1]
    height = max(1, round(plane.shape[0] * scale))
    grey = Image.fromarray(np.asarray(plane, np.float32)).resize((width, height), Image.Resampling.BILINEAR)
    lightness = lightness_of(np.clip(np.asarray(grey), 0, 1)) if overlay else np.full((height, width), PLAIN)
    strongest = max((float(np.abs(one.heat).max()) for one in regions), default=0.0) or 1.0
    evidence = np.zeros((height, width))
    for one in regions:
        _lay(evidence, one, scale)
    drawn = Image.fromarray(coloured(lightness, evidence / strongest))
    pen = ImageDraw.Draw(drawn)
    for one in regions:
        _outline(pen, one.box, scale, (255, 255, 255))
        if one.marked is not None:
            _outline(pen, one.marked, scale, (255, 214, 120))
    whole = Image.new("RGB", (width, height + LEGEND_PX), (16, 16, 16))
    whole.paste(drawn, (0, 0))
    _legend(whole, height, strongest, caption)
    buffer = io.BytesIO()
    whole.save(buffer, "PNG", compress_level=4)
    return buffer.getvalue()


def lightness_of(grey: Floats) -> Floats:
    """Return OKLab's lightness of sRGB grey in [0, 1]: the cube root of its light."""
    linear = np.where(grey <= 0.04045, grey / 12.92, ((grey + 0.055) / 1.055) ** 2.4)
    return np.asarray(np.cbrt(linear))


def coloured(lightness: Floats, evidence: Floats) -> NDArray[np.uint8]:
    """Return sRGB uint8 (..., 3) of a lightness in [0, 1] and evidence in [-1, 1], both (...)."""
    strength = np.clip(np.abs(evidence), 0, 1)
    drawn_in = DARKEST + (LIGHTEST - DARKEST) * lightness
    share = np.minimum(1.0, 2.0 * strength)
    light = lightness + share * (drawn_in - lightness)
    hue = np.where(evidence > 0, HUE_FOR, HUE_AGAINST)
    return _srgb(light, CHROMA * strength * np.cos(hue), CHROMA * strength * np.sin(hue))


def _srgb(light: Floats, a: Floats, b: Floats) -> NDArray[np.uint8]:
    """OKLab to sRGB, by the matrices of its author; what sRGB cannot show is clipped."""
    l_, m_, s_ = (
        (light + ka * a + kb * b) ** 3
        for ka, kb in ((0.3963377774, 0.2158037573), (-0.1055613458, -0.0638541728), (-0.0894841775, -1.2914855480))
    )
    linear = np.stack(
        [
            4.0767416621 * l_ - 3.3077115913 * m_ + 0.2309699292 * s_,
            -1.2684380046 * l_ + 2.6097574011 * m_ - 0.3413193965 * s_,
            -0.0041960863 * l_ - 0.7034186147 * m_ + 1.7076147010 * s_,
        ],
        axis=-1,
    )
    linear = np.clip(linear, 0, 1)
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.asarray(np.rint(255 * encoded), np.uint8)


def _pixels(box: Box, scale: float) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of a box in the picture, at least a pixel wide and high."""
    left, top = round(box.x * scale), round(box.y * scale)
    right, bottom = round((box.x + box.width) * scale), round((box.y + box.height) * scale)
    return left, top, max(right, left + 1), max(bottom, top + 1)


def _lay(evidence: Floats, one: HeatBox, scale: float) -> None:
    """Put a region's evidence into its place, drawn out between the middles of its cells."""
    left, top, right, bottom = _pixels(one.box, scale)
    cells = Image.fromarray(np.asarray(one.heat, np.float32))
    smooth = np.asarray(cells.resize((right - left, bottom - top), Image.Resampling.BILINEAR))
    room = evidence[top:bottom, left:right]
    room[:] = smooth[: room.shape[0], : room.shape[1]]


def _outline(pen: ImageDraw.ImageDraw, box: Box, scale: float, colour: tuple[int, int, int]) -> None:
    left, top, right, bottom = _pixels(box, scale)
    for inset, line in ((0, (0, 0, 0)), (1, colour)):
        corners = (left + inset, top + inset, right - 1 - inset, bottom - 1 - inset)
        if corners[2] > corners[0] and corners[3] > corners[1]:
            pen.rectangle(corners, outline=line)


def _legend(whole: Image.Image, top: int, strongest: float, caption: Caption) -> None:
    """A bar from the strongest evidence against to the strongest for, with its ends named, and a line of text."""
    width = whole.width
    wide = min(220, max(40, width // 3))
    scale = np.tile(np.linspace(-1, 1, wide), (12, 1))
    whole.paste(Image.fromarray(coloured(np.full(scale.shape, PLAIN), scale)), (8, top + 8))
    pen, font = ImageDraw.Draw(whole), ImageFont.load_default(11)
    bright = (225, 225, 225)
    pen.text((16 + wide, top + 7), f"±{strongest:.2g} log-odds of {caption.positive} a cell", bright, font)
    pen.text((8, top + 27), caption.line, (170, 170, 170), font)
