"""From a grey plane of any size to the network's input."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from app.imaging.preprocessing import Preprocessing


def prepare(grey: NDArray[np.float32], preprocessing: Preprocessing) -> NDArray[np.float32]:
    """Resize float32 (h, w) in [0, 1] to float32 (height, width) in [0, 1].

    The filter is Pillow's antialiased BILINEAR on floats: within 1/255 of `convert("L").resize(...)`,
    which rounds to 8 bits after each of its two passes.
    """
    size = (preprocessing.width, preprocessing.height)
    if grey.shape == (preprocessing.height, preprocessing.width):
        return grey
    resized = Image.fromarray(grey).resize(size, Image.Resampling.BILINEAR)
    return np.clip(np.asarray(resized, dtype=np.float32), 0.0, 1.0)
