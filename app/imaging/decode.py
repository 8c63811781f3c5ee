"""Pixels as one grey plane, whatever the file's colour space and depth."""

from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL.TiffImagePlugin import TiffImageFile

from app.imaging.bounds import Limits, decoder_errors
from app.imaging.header import is_dicom, open_image, open_source
from app.imaging.planes import grey_plane
from app.imaging.room import ROOM


def decode_grey(source: bytes | Path, limits: Limits) -> NDArray[np.float32]:
    """Decode the first frame of `source` (content, or the path of a file) to float32 (height, width) in [0, 1].

    - Orientation (EXIF, TIFF) is applied; ICC profiles and alpha are ignored.
    - Colour becomes ITU-R 601 luma, rounded to 8 bits, as Pillow's `convert("L")` has it. Colour of
      16 bits a sample is read at 8 here; `decode_frames` reads all of it.
    - Grey of 9 to 16 bits keeps its depth: value / (2^bits - 1).
    - 32-bit integers have no agreed full scale: 65535 is taken, and values outside [0, 65535] refused.
    - Floats are taken as intensities already, and values outside [0, 1] refused.
    - TIFF's "white is zero" is inverted at every depth.
    - DICOM is shown as its header says: modality, VOI, MONOCHROME1 (`app.imaging.dicom_values`).

    Raises UnusableImage as `inspect` does, with CORRUPT for content that ends early or holds NaN; OSError where the
    disk fails.
    """
    with open_source(source, limits) as stream:
        if is_dicom(stream):
            return _dicom_grey(stream, limits)
        opened = open_image(stream, limits)
        header = opened.header
        with ROOM.hold(header.width * header.height), decoder_errors(header.media_type):
            opened.image.load()
            # Pillow turns a TIFF by itself while loading.
            orientation = 1 if isinstance(opened.image, TiffImageFile) else header.orientation
            return grey_plane(opened.image, header.bit_depth, orientation)


def _dicom_grey(stream: BinaryIO, limits: Limits) -> NDArray[np.float32]:
    from app.imaging.dicom import dicom_errors, opened  # noqa: PLC0415 (loads pydicom)
    from app.imaging.dicom_pixels import frame_planes  # noqa: PLC0415

    with opened(stream, limits) as study, ROOM.hold(study.header.width * study.header.height), dicom_errors(quote=True):
        return frame_planes(study, 0, 1)[0]
