"""Small pictures for people; what the network sees is made elsewhere."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from app.imaging.decode import decode_grey
from app.imaging.header import Limits


def thumbnail(path: Path, longer_side: int, limits: Limits) -> bytes:
    """A grey JPEG of at most `longer_side` pixels. Raise UnusableImage when the scan cannot be decoded."""
    grey = decode_grey(path, limits)
    picture = Image.fromarray(np.round(grey * 255).astype(np.uint8))
    picture.thumbnail((longer_side, longer_side), Image.Resampling.BILINEAR, reducing_gap=2.0)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=85)
    return buffer.getvalue()
