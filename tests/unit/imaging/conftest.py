"""Scans in every form, made in memory."""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from app.imaging import Limits

Encode = Callable[..., bytes]


@pytest.fixture(scope="session")
def limits() -> Limits:
    return Limits(max_bytes=4_000_000, max_pixels=80_000_000, min_side=16)


@pytest.fixture(scope="session")
def grey() -> NDArray[np.uint8]:
    """uint8 (40, 60): no symmetry, so that every orientation differs; smooth, so that JPEG keeps it."""
    rows, columns = np.mgrid[0:40, 0:60]
    return (rows * 3 + columns * 2 + 10 * (columns > 40)).astype(np.uint8)


@pytest.fixture(scope="session")
def encode() -> Encode:
    def encoded(pixels: NDArray[Any] | Image.Image, form: str, **options: Any) -> bytes:
        image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
        stream = io.BytesIO()
        image.save(stream, form, **options)
        return stream.getvalue()

    return encoded
