"""From a grey plane of any size to the network's input."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from app.imaging.preprocessing import Preprocessing

# Planes of more pixels are copied into Pillow in bands of so many. No plane was as large before bands were known here:
# vectors of smaller ones stay what they were to the last bit.
_GIANT_PIXELS, _BAND_PIXELS = 80_000_000, 1 << 22


def prepare(grey: NDArray[np.float32], preprocessing: Preprocessing) -> NDArray[np.float32]:
    """Resize float32 (h, w) in [0, 1] to float32 (height, width) in [0, 1].

    The filter is Pillow's antialiased BILINEAR on floats: within 1/255 of `convert("L").resize(...)`,
    which rounds to 8 bits after each of its two passes.
    """
    if grey.shape == (preprocessing.height, preprocessing.width):
        return grey
    return np.clip(resized(grey, preprocessing.height, preprocessing.width), 0.0, 1.0)


def resized(grey: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    """Pillow's antialiased BILINEAR on floats, without a second copy of a giant plane.

    A row's result depends on no other row: bands of rows are narrowed one after the other, and what is left is
    shortened at once. Pillow does either first, by shape: the two differ by the last bit of a float (6e-8, measured).
    """
    rows = max(1, _BAND_PIXELS // grey.shape[1])
    if grey.size > _GIANT_PIXELS and grey.shape[1] != width:
        narrow = np.empty((grey.shape[0], width), np.float32)
        for top in range(0, grey.shape[0], rows):
            band = grey[top : top + rows]
            small = Image.fromarray(band).resize((width, len(band)), Image.Resampling.BILINEAR)
            narrow[top : top + rows] = np.asarray(small)
        grey = narrow
    return np.asarray(Image.fromarray(grey).resize((width, height), Image.Resampling.BILINEAR), dtype=np.float32)
