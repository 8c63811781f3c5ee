"""What a scan's header says, checked against bounds before a pixel is decoded."""

import io
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

from PIL import ExifTags, Image
from PIL.ImageFile import ImageFile
from PIL.TiffImagePlugin import TiffImageFile

from app.errors import Unusable, UnusableImage
from app.imaging.bounds import Limits, check_bytes, check_size, corrupt, decoder_errors
from app.imaging.formats import DICOM, HEAD_BYTES, Format, sniff
from app.imaging.pages import scan_pages

__all__ = ["DEEP_MODES", "EIGHT_BIT_MODES", "Header", "Limits", "Opened", "check_bytes", "inspect", "open_image"]

# Pillow's own bound on the pixels of an image, and of a TIFF's tile, is replaced by ours, which are checked first.
Image.MAX_IMAGE_PIXELS = None

EIGHT_BIT_MODES = frozenset({"1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBX", "RGBa", "CMYK", "YCbCr"})
DEEP_MODES = frozenset({"I;16", "I;16L", "I;16B", "I;16N", "I", "F"})


@dataclass(frozen=True, slots=True)
class Header:
    """What is known of a scan without decoding it.

    width and height are pixels of the first frame as displayed, after orientation (EXIF value, 1 to 8); bit_depth is
    the file's own bits a sample; mode is Pillow's, or a DICOM file's photometric interpretation. frames counts
    pages or frames; sizes has (width, height) of each. facts are plain JSON, and say nothing of who was scanned.
    """

    media_type: str
    width: int
    height: int
    bit_depth: int
    frames: int
    mode: str
    orientation: int
    facts: Mapping[str, Any] = field(default_factory=dict, compare=False)
    sizes: tuple[tuple[int, int], ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class Opened:
    """A parsed header beside the image whose pixels are still to be decoded, and the pages that are its frames."""

    header: Header
    image: ImageFile
    pages: tuple[int, ...] = (0,)


def inspect(source: bytes | Path, limits: Limits) -> Header:
    """Read the header of `source` (content, or the path of a file) and hold it against `limits`.

    Raises UnusableImage, with its reason, for content that cannot be stored; OSError if a path cannot
    be opened.
    """
    with open_source(source, limits) as stream:
        if is_dicom(stream):
            from app.imaging.dicom import opened  # noqa: PLC0415 (loads pydicom)

            with opened(stream, limits) as study:
                return study.header
        return open_image(stream, limits).header


def is_dicom(stream: BinaryIO) -> bool:
    """Whether the stream holds DICOM; it is left at its start. Raises UnusableImage as `sniff` does."""
    known = sniff(stream.read(HEAD_BYTES))
    stream.seek(0)
    return known.media_type == DICOM


def open_source(source: bytes | Path, limits: Limits) -> BinaryIO:
    """A stream of `source`, within its bound of bytes. A failing disk raises OSError."""
    check_bytes(len(source) if isinstance(source, bytes) else source.stat().st_size, limits)
    return io.BytesIO(source) if isinstance(source, bytes) else source.open("rb")


def open_image(stream: BinaryIO, limits: Limits) -> Opened:
    """Parse the header at the start of `stream`, of any format but DICOM; no pixel is decoded. Raises UnusableImage."""
    head = stream.read(HEAD_BYTES)
    known = sniff(head)
    assert known.decoder is not None
    stream.seek(0)
    try:
        with decoder_errors(known.media_type):
            image = known.decoder(stream)
            first = _header(known, image, head, limits)
            if not isinstance(image, TiffImageFile):
                return Opened(first, _single(image))
            pages = scan_pages(image, limits)
            headers = [first, *(page_header(known, image, page, limits) for page in pages[1:])]
            image.seek(0)
    except MemoryError as error:  # a tag that claims more bytes than there are in the machine
        raise corrupt(known.media_type, error) from error
    sizes = tuple((header.width, header.height) for header in headers)
    return Opened(replace(first, frames=len(pages), sizes=sizes), image, tuple(pages))


def page_header(known: Format, image: ImageFile, page: int, limits: Limits) -> Header:
    """The header of a page, which the image is left at. Raises UnusableImage."""
    image.seek(page)
    return _header(known, image, b"", limits)


def _single(image: ImageFile) -> ImageFile:
    """Raises UnusableImage for a moving picture: its frames are changes of one canvas, no scans."""
    if getattr(image, "is_animated", False):
        raise UnusableImage(
            Unusable.MULTIPLE_FRAMES,
            "The file is a moving picture: export the one frame that is the scan, or the frames as TIFF or DICOM.",
        )
    return image


def _header(known: Format, image: ImageFile, head: bytes, limits: Limits) -> Header:
    # Not image.getexif(): for PNG that decodes every pixel to look for metadata behind them.
    orientation = Image.Image.getexif(image).get(ExifTags.Base.Orientation, 1)
    orientation = orientation if orientation in range(1, 9) else 1
    width, height = _stored_size(image)
    if orientation >= 5:
        width, height = height, width
    check_size(width, height, limits)
    if isinstance(image, TiffImageFile):
        _check_tiles(image, limits)
    if image.mode not in EIGHT_BIT_MODES | DEEP_MODES:
        raise UnusableImage(
            Unusable.UNKNOWN_FORMAT,
            f"The image's colour space ({image.mode}) is not read: export it in grey or RGB.",
        )
    depth = _bit_depth(known, image, head)
    return Header(known.media_type, width, height, depth, 1, image.mode, orientation, {}, ((width, height),))


def _stored_size(image: ImageFile) -> tuple[int, int]:
    if isinstance(image, TiffImageFile):  # its `size` is sometimes the oriented one
        tags = image.tag_v2
        return int(tags[ExifTags.Base.ImageWidth]), int(tags[ExifTags.Base.ImageLength])
    return image.size


def _check_tiles(image: TiffImageFile, limits: Limits) -> None:
    """Raises UnusableImage(TOO_MANY_PIXELS) for tiles that are larger than a picture may be: one is decoded whole."""
    sides = [int(image.tag_v2.get(tag, 1)) for tag in (ExifTags.Base.TileWidth, ExifTags.Base.TileLength)]
    if sides[0] * sides[1] > limits.max_pixels:
        raise UnusableImage(
            Unusable.TOO_MANY_PIXELS,
            f"A tile of the image has {sides[0]} x {sides[1]} pixels and at most {limits.max_pixels:,} are accepted: "
            "export it with smaller tiles.",
        )


def _bit_depth(known: Format, image: ImageFile, head: bytes) -> int:
    if known.media_type == "image/png":
        return head[24]
    if isinstance(image, TiffImageFile):
        return int(image.tag_v2.get(ExifTags.Base.BitsPerSample, (1,))[0])
    return 1 if image.mode == "1" else 8
