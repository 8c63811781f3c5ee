"""The formats a scan may have, told by their first bytes."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

from PIL.BmpImagePlugin import BmpImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from app.errors import Unusable, UnusableImage

HEAD_BYTES = 132
DICOM = "application/dicom"


@dataclass(frozen=True, slots=True)
class Format:
    """One accepted format: the media type stored with an image, the pattern its first bytes match,
    and the one decoder of Pillow's that is then allowed to read it; None for DICOM, which `app.imaging.dicom` reads.

    The decoder's class is called directly rather than `Image.open`, which would adopt a JPEG
    as MPO and warn about sizes by a bound of its own.
    """

    media_type: str
    magic: re.Pattern[bytes]
    decoder: Callable[[BinaryIO], ImageFile] | None


def _format(media_type: str, magic: bytes, decoder: Callable[[BinaryIO], ImageFile] | None) -> Format:
    return Format(media_type, re.compile(magic, re.DOTALL), decoder)


FORMATS = (
    # First: its preamble may begin as any other format, TIFF on purpose.
    _format(DICOM, rb".{128}DICM", None),
    _format("image/jpeg", rb"\xff\xd8\xff", JpegImageFile),
    _format("image/png", rb"\x89PNG\r\n\x1a\n", PngImageFile),
    _format("image/tiff", rb"II[\x2a\x2b]\0|MM\0[\x2a\x2b]", TiffImageFile),
    _format("image/webp", rb"RIFF.{4}WEBP", WebPImageFile),
    # Without its preamble: file meta information, or the identifying group as little-endian elements.
    _format(DICOM, rb"\x02\0\0\0UL\x04\0|\x08\0[\0\x01\x05\x06\x08\x12-\x18]\0([A-Z][A-Z].\0|.\0\0\0)", None),
    _format("image/bmp", rb"BM", BmpImageFile),
)


def sniff(head: bytes) -> Format:
    """The format whose magic `head` (the first `HEAD_BYTES` bytes of a file) carries.

    Raises UnusableImage(EMPTY) for no bytes, UnusableImage(UNKNOWN_FORMAT) for any other content.
    """
    if not head:
        raise UnusableImage(Unusable.EMPTY, "The file is empty: send it again.")
    for known in FORMATS:
        if known.magic.match(head):
            return known
    raise UnusableImage(
        Unusable.UNKNOWN_FORMAT,
        "The content is none of JPEG, PNG, TIFF, WebP, BMP or DICOM (the file name does not count): "
        "export the scan in one of these.",
    )


def by_media_type(media_type: str) -> Format:
    """The format of a media type that `sniff` gave."""
    return next(known for known in FORMATS if known.media_type == media_type)
