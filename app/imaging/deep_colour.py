"""Colour of 16 bits a sample, of which Pillow (13) keeps 8: both bytes of each sample, one after the other.

Pillow's unpackers of 16-bit colour differ in which byte of a sample they keep. Decoded twice, once as its own byte
order has it and once as the other would, a file gives all its bits through the same, bounded decoders.
"""

from typing import Any

import numpy as np
from PIL.ImageFile import ImageFile

from app.imaging.orientation import as_stored
from app.imaging.planes import Grey, bands, smaller

_OTHER = {"RGB;16B": "RGB;16L", "RGB;16L": "RGB;16B", "RGBA;16B": "RGBA;16L", "RGBA;16L": "RGBA;16B",
          "RGBX;16B": "RGBX;16L", "RGBX;16L": "RGBX;16B", "RGB;16N": "RGB;16B", "RGBA;16N": "RGBA;16B",
          "RGBX;16N": "RGBX;16B"}  # fmt: skip
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
# Grey with alpha: four bytes a pixel, which an unpacker of four channels of 8 bits keeps.
_GREY_ALPHA = "LA;16B"
FOUR_BYTES = "RGBA"


def other_bytes(image: ImageFile) -> str | None:
    """The unpacker of the bytes that `image`, not yet loaded, would leave out; None where it leaves none out."""
    modes = {_rawmode(tile) for tile in image.tile}
    if len(modes) != 1:
        return None
    (mode,) = modes
    return FOUR_BYTES if mode == _GREY_ALPHA else _OTHER.get(mode)


def unpacked_by(image: ImageFile, rawmode: str) -> ImageFile:
    """`image`, not yet loaded, to be unpacked by another of Pillow's unpackers."""
    image.tile = [tile._replace(args=_with(tile.args, rawmode)) for tile in image.tile]
    return image


def add_luma(plane: Grey, image: ImageFile, orientation: int, reduce: int, share: float) -> None:
    """Add `share` of the luma (ITU-R 601) of a loaded image's 8-bit samples to a plane as displayed."""
    stored = as_stored(plane, orientation)
    for top, bottom in bands(image.height, image.width, reduce):
        rgb = np.asarray(image.crop((0, top, image.width, bottom)).convert("RGB"), np.float32)
        stored[top // reduce : -(-bottom // reduce)] += smaller(rgb @ (_LUMA * np.float32(share)), reduce)


def add_pairs(plane: Grey, image: ImageFile, orientation: int, reduce: int) -> None:
    """Add the grey of a loaded image whose first two channels are the two bytes of its samples."""
    stored = as_stored(plane, orientation)
    for top, bottom in bands(image.height, image.width, reduce):
        pairs = np.asarray(image.crop((0, top, image.width, bottom)))[..., :2].astype(np.float32)
        grey = pairs @ np.array([256, 1], np.float32) / np.float32(65535)
        stored[top // reduce : -(-bottom // reduce)] += smaller(grey, reduce)


def _rawmode(tile: Any) -> str:
    return str(tile.args if isinstance(tile.args, str) else tile.args[0])


def _with(args: Any, rawmode: str) -> Any:
    return rawmode if isinstance(args, str) else (rawmode, *args[1:])
