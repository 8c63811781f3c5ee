"""What a scan's header says, checked against bounds before a pixel is decoded."""

import io
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from PIL import ExifTags, Image
from PIL.ImageFile import ImageFile
from PIL.TiffImagePlugin import TiffImageFile

from app.errors import Unusable, UnusableImage
from app.imaging.formats import HEAD_BYTES, Format, sniff

EIGHT_BIT_MODES = frozenset({"1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBX", "RGBa", "CMYK", "YCbCr"})
DEEP_MODES = frozenset({"I;16", "I;16L", "I;16B", "I;16N", "I", "F"})

# What Pillow's decoders are known to raise on hostile bytes. `Warning`: under `-W error` damaged
# metadata arrives as an exception. No MemoryError: a machine that is short of memory is no damaged scan.
DECODER_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    RuntimeError,
    AssertionError,
    EOFError,
    struct.error,
    zlib.error,
    Warning,
)


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on what is accepted: bytes of the file, pixels of the image, pixels of its shorter side."""

    max_bytes: int
    max_pixels: int
    min_side: int


@dataclass(frozen=True, slots=True)
class Header:
    """What is known of a scan without decoding it.

    width and height are pixels as displayed, after orientation (EXIF value, 1 to 8); bit_depth is
    the file's own bits a sample; mode is Pillow's. frames is 1: more are refused.
    """

    media_type: str
    width: int
    height: int
    bit_depth: int
    frames: int
    mode: str
    orientation: int


@dataclass(frozen=True, slots=True)
class Opened:
    """A parsed header beside the image whose pixels are still to be decoded."""

    header: Header
    image: ImageFile


def inspect(source: bytes | Path, limits: Limits) -> Header:
    """Read the header of `source` (content, or the path of a file) and hold it against `limits`.

    Raises UnusableImage, with its reason, for content that cannot be stored; OSError if a path cannot
    be opened.
    """
    check_bytes(len(source) if isinstance(source, bytes) else source.stat().st_size, limits)
    with io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as stream:
        return open_image(stream, limits).header


def open_image(stream: BinaryIO, limits: Limits) -> Opened:
    """Parse the header at the start of `stream`; no pixel is decoded. Raises UnusableImage."""
    head = stream.read(HEAD_BYTES)
    known = sniff(head)
    stream.seek(0)
    try:
        with decoder_errors(known):
            image = known.decoder(stream)
            header = _header(known, image, head)
    except MemoryError as error:  # a tag that claims more bytes than there are in the machine
        raise _corrupt(known, error) from error
    _check(header, limits)
    if getattr(image, "is_animated", False):
        raise UnusableImage(
            Unusable.MULTIPLE_FRAMES,
            "The file holds several frames or pages: export the one that is the scan.",
        )
    return Opened(header, image)


def check_bytes(size: int, limits: Limits) -> None:
    """Raises UnusableImage(TOO_MANY_BYTES) if `size` bytes are more than accepted."""
    if size > limits.max_bytes:
        raise UnusableImage(
            Unusable.TOO_MANY_BYTES,
            f"The file has {size:,} bytes and at most {limits.max_bytes:,} are accepted: "
            "compress it, or raise PENUMBRA_MAX_FILE_BYTES.",
        )


@contextmanager
def decoder_errors(known: Format) -> Iterator[None]:
    """Translate whatever a decoder raises on damaged content into UnusableImage."""
    try:
        yield
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UnusableImage(
            Unusable.TOO_MANY_PIXELS, "The image or one of its tiles has too many pixels: export it smaller."
        ) from error
    except DECODER_ERRORS as error:
        raise _corrupt(known, error) from error


def _corrupt(known: Format, error: BaseException) -> UnusableImage:
    return UnusableImage(
        Unusable.CORRUPT,
        f"The {known.media_type} content is damaged, cut short or of an unsupported kind "
        f"({str(error) or type(error).__name__}): send it again, or export it anew.",
    )


def _header(known: Format, image: ImageFile, head: bytes) -> Header:
    # Not image.getexif(): for PNG that decodes every pixel to look for metadata behind them.
    orientation = Image.Image.getexif(image).get(ExifTags.Base.Orientation, 1)
    orientation = orientation if orientation in range(1, 9) else 1
    width, height = _stored_size(image)
    if orientation >= 5:
        width, height = height, width
    return Header(known.media_type, width, height, _bit_depth(known, image, head), 1, image.mode, orientation)


def _stored_size(image: ImageFile) -> tuple[int, int]:
    if isinstance(image, TiffImageFile):  # its `size` is sometimes the oriented one
        tags = image.tag_v2
        return int(tags[ExifTags.Base.ImageWidth]), int(tags[ExifTags.Base.ImageLength])
    return image.size


def _bit_depth(known: Format, image: ImageFile, head: bytes) -> int:
    if known.media_type == "image/png":
        return head[24]
    if isinstance(image, TiffImageFile):
        return int(image.tag_v2.get(ExifTags.Base.BitsPerSample, (1,))[0])
    return 1 if image.mode == "1" else 8


def _check(header: Header, limits: Limits) -> None:
    width, height = header.width, header.height
    if width * height > limits.max_pixels:
        raise UnusableImage(
            Unusable.TOO_MANY_PIXELS,
            f"The image has {width} x {height} pixels and at most {limits.max_pixels:,} are accepted: "
            "export it smaller, or raise PENUMBRA_MAX_PIXELS.",
        )
    if min(width, height) < limits.min_side:
        raise UnusableImage(
            Unusable.TOO_SMALL,
            f"The image has {width} x {height} pixels and needs {limits.min_side} on its shorter side: "
            "send the original, not a thumbnail.",
        )
    if header.mode not in EIGHT_BIT_MODES | DEEP_MODES:
        raise UnusableImage(
            Unusable.UNKNOWN_FORMAT,
            f"The image's colour space ({header.mode}) is not read: export it in grey or RGB.",
        )
