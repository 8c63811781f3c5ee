"""Whatever the bytes are, the only error is UnusableImage."""

import contextlib
import io

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from app.errors import UnusableImage
from app.imaging import Limits, decode_grey, inspect
from tests.dicom_files import dicom

LIMITS = Limits(max_bytes=10**6, max_pixels=10**6, min_side=1)
MAGICS = [
    b"\xff\xd8\xff",
    b"\x89PNG\r\n\x1a\n",
    b"II*\0",
    b"MM\0*",
    b"II+\0",
    b"MM\0+",
    b"RIFF\x20\0\0\0WEBP",
    b"BM",
    b"\0" * 128 + b"DICM",
    b"\x02\0\0\0UL\x04\0",
    b"\x08\0\x05\0\x0a\0\0\0",
]


def _seeds() -> list[bytes]:
    rows, columns = np.mgrid[0:24, 0:32]
    grey = (rows * 5 + columns * 3).astype(np.uint8)
    colour = Image.merge("RGB", [Image.fromarray(np.roll(grey, k, 0)) for k in (0, 5, 9)])
    exif = Image.Exif()
    exif[0x0112] = 6
    made = []
    for image, form, options in (
        (Image.fromarray(grey), "JPEG", {"exif": exif}),
        (colour, "JPEG", {"progressive": True}),
        (Image.fromarray(grey), "PNG", {"exif": exif}),
        (Image.fromarray(grey.astype(np.uint16) * 257), "PNG", {}),
        (colour.convert("P"), "PNG", {}),
        (Image.fromarray(grey), "TIFF", {"exif": exif}),
        (colour, "TIFF", {"compression": "tiff_lzw"}),
        (colour, "TIFF", {"compression": "jpeg"}),
        (Image.fromarray(grey.astype(np.uint16) * 257), "TIFF", {"compression": "tiff_adobe_deflate"}),
        (Image.fromarray(grey.astype(np.float32) / 255), "TIFF", {}),
        (colour.convert("1"), "TIFF", {"compression": "group4"}),
        (colour, "BMP", {}),
        (colour, "WEBP", {"exif": exif}),
        (colour.convert("RGBA"), "WEBP", {"lossless": True}),
    ):
        stream = io.BytesIO()
        image.save(stream, form, **options)
        made.append(stream.getvalue())
    return [*made, dicom(grey.astype(np.uint16) * 100, WindowCenter=9000, WindowWidth=9000), dicom(grey[None])]


SEEDS = _seeds()
BUDGET = settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def survives(content: bytes) -> None:
    for read in (inspect, decode_grey):
        with contextlib.suppress(UnusableImage):
            read(content, LIMITS)


@BUDGET
@given(st.one_of(st.binary(max_size=300), st.builds(bytes.__add__, st.sampled_from(MAGICS), st.binary(max_size=300))))
def test_random_bytes_raise_nothing_else(content):
    survives(content)


@BUDGET
@given(st.sampled_from(SEEDS), st.data())
def test_mutated_files_raise_nothing_else(seed, draw):
    content = bytearray(seed)
    for _ in range(draw.draw(st.integers(1, 6))):
        at = draw.draw(st.integers(0, len(content) - 1))
        content[at] = draw.draw(st.integers(0, 255))
    cut = draw.draw(st.integers(0, len(content)))
    survives(bytes(content) if draw.draw(st.booleans()) else bytes(content[:cut]))


@pytest.mark.parametrize("seed", range(len(SEEDS)))
def test_every_truncation_raises_nothing_else(seed):
    for cut in range(0, len(SEEDS[seed]), 7):
        survives(SEEDS[seed][:cut])


@pytest.mark.parametrize("seed", range(len(SEEDS)))
def test_unharmed_seed_is_read(seed):
    assert decode_grey(SEEDS[seed], LIMITS).size == 24 * 32
