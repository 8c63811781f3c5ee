"""Pixels as one grey plane, whatever the file's colour space and depth."""

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags
from PIL.ImageFile import ImageFile
from PIL.TiffImagePlugin import TiffImageFile

from app.errors import Unusable, UnusableImage
from app.imaging.formats import sniff
from app.imaging.header import EIGHT_BIT_MODES, Header, Limits, check_bytes, decoder_errors, open_image

WHITE_IS_ZERO = 0


def decode_grey(source: bytes | Path, limits: Limits) -> NDArray[np.float32]:
    """Decode `source` (content, or the path of a file) to float32 (height, width) in [0, 1].

    - Orientation (EXIF, TIFF) is applied; ICC profiles and alpha are ignored.
    - Colour becomes ITU-R 601 luma, rounded to 8 bits, as Pillow's `convert("L")` has it. Colour of
      16 bits a sample is read at 8: Pillow has no deeper colour mode.
    - Grey of 9 to 16 bits keeps its depth: value / (2^bits - 1).
    - 32-bit integers have no agreed full scale: 65535 is taken, and values outside [0, 65535] refused.
    - Floats are taken as intensities already, and values outside [0, 1] refused.
    - TIFF's "white is zero" is inverted at every depth.

    Raises UnusableImage as `inspect` does, with CORRUPT for content that ends early or holds NaN.
    """
    if isinstance(source, Path):
        check_bytes(source.stat().st_size, limits)
        source = source.read_bytes()  # a failing disk raises OSError here, not "corrupt" below
    check_bytes(len(source), limits)
    opened = open_image(io.BytesIO(source), limits)
    with decoder_errors(sniff(source)):
        opened.image.load()
        grey = _grey(opened.image, opened.header)
    # Pillow turns a TIFF by itself while loading.
    turned = grey if isinstance(opened.image, TiffImageFile) else _upright(grey, opened.header.orientation)
    return np.ascontiguousarray(turned)


def _grey(image: ImageFile, header: Header) -> NDArray[np.float32]:
    if image.mode in EIGHT_BIT_MODES:
        luma = image if image.mode == "L" else image.convert("L")
        return np.asarray(luma, dtype=np.float32) / np.float32(255)
    stored = np.asarray(image)
    if image.mode == "F":
        return _white_is_one(image, _bounded(stored.astype(np.float32), 1.0))
    if image.mode == "I":
        return _white_is_one(image, _bounded(stored.astype(np.float32), 65535.0))
    full_scale = np.float32(2 ** min(header.bit_depth, 16) - 1)
    return _white_is_one(image, stored.astype(np.float32) / full_scale)


def _bounded(values: NDArray[np.float32], full_scale: float) -> NDArray[np.float32]:
    if not np.isfinite(values).all():
        raise UnusableImage(Unusable.CORRUPT, "The image holds NaN or infinite values: export it anew.")
    if values.min() < 0 or values.max() > full_scale:
        raise UnusableImage(
            Unusable.UNKNOWN_FORMAT,
            f"The values reach from {values.min():g} to {values.max():g}, outside 0 to {full_scale:g}, "
            "and their full scale is unknown: export the scan as 16-bit grey.",
        )
    return values / np.float32(full_scale)


def _white_is_one(image: ImageFile, grey: NDArray[np.float32]) -> NDArray[np.float32]:
    # Pillow inverts "white is zero" up to 8 bits and leaves deeper images as they are.
    if isinstance(image, TiffImageFile):
        photometric = image.tag_v2.get(ExifTags.Base.PhotometricInterpretation)
        if photometric == WHITE_IS_ZERO:
            return np.float32(1) - grey
    return grey


def _upright(grey: NDArray[np.float32], orientation: int) -> NDArray[np.float32]:
    """Undo EXIF orientation: 5 to 8 swap the axes, then rows or columns are mirrored."""
    if orientation >= 5:
        grey = grey.T
    if orientation in {3, 4, 7, 8}:
        grey = grey[::-1]
    if orientation in {2, 3, 6, 7}:
        grey = grey[:, ::-1]
    return grey
