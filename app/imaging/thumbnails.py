"""Small pictures for people; what the network sees is made elsewhere."""

import io
from contextlib import closing
from pathlib import Path

import numpy as np
from PIL import Image

from app.imaging.frames import decode_frames
from app.imaging.header import Limits


def thumbnail(path: Path, longer_side: int, limits: Limits) -> bytes:
    """A grey JPEG of at most `longer_side` pixels. Raise UnusableImage when the scan cannot be decoded."""
    with closing(decode_frames(path, limits, indexes=[0], at_least=longer_side)) as frames:
        picture = Image.fromarray(np.round(next(frames).grey * 255).astype(np.uint8))
    picture.thumbnail((longer_side, longer_side), Image.Resampling.BILINEAR, reducing_gap=2.0)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=85)
    return buffer.getvalue()
