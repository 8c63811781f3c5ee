"""The frames of a scan, one after the other: grey at full depth, colour where there is any."""

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.TiffImagePlugin import TiffImageFile

from app.errors import InvalidInput
from app.imaging.bounds import Limits, decoder_errors
from app.imaging.deep_colour import FOUR_BYTES, add_luma, add_pairs, other_bytes, unpacked_by
from app.imaging.formats import Format, by_media_type
from app.imaging.header import EIGHT_BIT_MODES, Header, Opened, is_dicom, open_image, open_source, page_header
from app.imaging.planes import colour_plane, grey_plane
from app.imaging.room import ROOM

HUGE_PIXELS = 16_000_000
"""Planes of more pixels are reduced while they are decoded, where the caller can do with less."""
COLOUR_PIXELS = 100_000_000
"""Planes of more pixels, decoded at full size, come without their colours, which would take as much again."""


@dataclass(frozen=True)
class Frame:
    """One frame (page) of a scan, as displayed.

    - grey: float32 (h, w) in [0, 1]; orientation, DICOM's modality and VOI transformations, MONOCHROME1 and TIFF's
      "white is zero" are applied.
    - colour: uint8 (h, w, 3) where the file has colour channels that differ; None for grey.
    - bits: bits a sample that carry information in the file.
    - scale: pixels of the file for one pixel of `grey`, down and across: (1, 1) unless it was decoded smaller.
    """

    index: int
    grey: NDArray[np.float32]
    colour: NDArray[np.uint8] | None
    bits: int
    scale: tuple[float, float] = (1.0, 1.0)


def decode_frames(
    source: bytes | Path,
    limits: Limits,
    *,
    indexes: Sequence[int] | None = None,
    at_least: int | None = None,
    deep_colour: bool = True,
) -> Generator[Frame, None, None]:
    """Decode frames of `source` (content, or the path of a file), each when it is asked for.

    indexes: which ones, from 0; all of them when None. at_least: pixels of the shorter side that the caller needs;
    a JPEG may then be decoded at a reduced scale of its cosine transform (by libjpeg-turbo), and a plane of more
    than `HUGE_PIXELS` as the means of boxes. None decodes every pixel. deep_colour: whether the grey of colours of 16
    bits a sample is their luma at full depth; else of their upper 8 bits, as `decode_grey` has it.

    While a frame is the caller's, it holds its share of the process's room for pixels (`app.imaging.room`).

    Raises UnusableImage as `inspect` and `decode_grey` do, InvalidInput for an index that the scan does not have.
    """
    with open_source(source, limits) as stream:
        if is_dicom(stream):
            yield from _dicom_frames(stream, limits, indexes, at_least)
            return
        opened = open_image(stream, limits)
        known = by_media_type(opened.header.media_type)
        for index in _asked(indexes, opened.header.frames):
            with decoder_errors(known.media_type):
                header = page_header(known, opened.image, opened.pages[index], limits) if index else opened.header
            with ROOM.hold(header.width * header.height):
                with decoder_errors(known.media_type):
                    frame = _Picture(stream, known, opened, index, limits, at_least, deep_colour).frame(header)
                yield frame
                del frame


def _asked(indexes: Sequence[int] | None, frames: int) -> Sequence[int]:
    asked = range(frames) if indexes is None else indexes
    if any(not 0 <= index < frames for index in asked):
        raise InvalidInput(f"The scan has {frames} frame(s), counted from 0; {list(asked)} were asked for.")
    return asked


class _Picture:
    """One frame of a file that Pillow reads."""

    def __init__(
        self, stream: BinaryIO, known: Format, opened: Opened, index: int, limits: Limits, at_least: int | None,
        deep_colour: bool,
    ) -> None:  # fmt: skip
        self._stream, self._known, self._opened, self._index = stream, known, opened, index
        self._limits, self._at_least, self._deep_colour = limits, at_least, deep_colour

    def frame(self, header: Header) -> Frame:
        image = self._opened.image
        if self._at_least is not None and isinstance(image, JpegImageFile):
            _draft(image, self._at_least)
        rest = other_bytes(image) if self._deep_colour and header.bit_depth == 16 else None
        image.load()
        turn = 1 if isinstance(image, TiffImageFile) else header.orientation  # Pillow turns a TIFF by itself
        reduce = _factor(image.width, image.height, self._at_least)
        small = image.width * image.height <= COLOUR_PIXELS
        colour = colour_plane(image, turn, reduce=reduce) if small or reduce > 1 else None
        grey = grey_plane(image, header.bit_depth, turn, reduce=reduce)
        bits = 16 if header.mode == "I" else header.bit_depth
        if rest is not None:
            self._deepen(grey, image, rest, turn, reduce)
        elif header.mode in EIGHT_BIT_MODES:
            bits = min(bits, 8)
        scale = (header.height / grey.shape[0], header.width / grey.shape[1])
        return Frame(self._index, grey, colour, bits, scale)

    def _deepen(self, grey: NDArray[np.float32], image: ImageFile, rest: str, turn: int, reduce: int) -> None:
        """Make the grey anew from both bytes of each sample; the image's own pixels are let go of in between."""
        grey[...] = 0
        if rest != FOUR_BYTES:
            add_luma(grey, image, turn, reduce, 256 / 65535)
        image.im = None  # type: ignore[assignment]
        self._stream.seek(0)
        assert self._known.decoder is not None
        other = self._known.decoder(self._stream)
        if self._index:
            other.seek(self._opened.pages[self._index])
        unpacked_by(other, rest).load()
        if rest == FOUR_BYTES:
            add_pairs(grey, other, turn, reduce)
        else:
            add_luma(grey, other, turn, reduce, 1 / 65535)
        np.minimum(grey, 1, out=grey)


def _draft(image: JpegImageFile, at_least: int) -> None:
    """Let libjpeg leave high frequencies out, down to the least scale (1/2, 1/4, 1/8) that is large enough."""
    ratio = at_least / min(image.size)
    image.draft(image.mode, (max(1, int(image.width * ratio)), max(1, int(image.height * ratio))))


def _factor(width: int, height: int, at_least: int | None) -> int:
    if at_least is None or width * height <= HUGE_PIXELS:
        return 1
    return max(1, min(width, height) // at_least)


def _dicom_frames(
    stream: BinaryIO, limits: Limits, indexes: Sequence[int] | None, at_least: int | None
) -> Iterator[Frame]:
    from app.imaging.dicom import dicom_errors, opened  # noqa: PLC0415 (loads pydicom)
    from app.imaging.dicom_pixels import frame_planes  # noqa: PLC0415

    with opened(stream, limits) as study:
        header = study.header
        reduce = _factor(header.width, header.height, at_least)
        for index in _asked(indexes, header.frames):
            with ROOM.hold(header.width * header.height):
                with dicom_errors(quote=True):
                    grey, colour = frame_planes(study, index, reduce)
                scale = (header.height / grey.shape[0], header.width / grey.shape[1])
                yield Frame(index, grey, colour, header.bit_depth, scale)
                del grey, colour
