"""DICOM files: what their header says, held against bounds before a pixel is decoded.

pydicom is imported where it is used: a service that is sent no DICOM never loads it.
"""

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO

from app.errors import Unusable, UnusableImage
from app.imaging.bounds import DECODER_ERRORS, DISK_ERRORS, Limits, check_frames, check_size, corrupt
from app.imaging.dicom_stream import plain, quiet
from app.imaging.dicom_tags import known_tags
from app.imaging.formats import DICOM
from app.imaging.header import Header

GREY = frozenset({"MONOCHROME1", "MONOCHROME2"})
COLOUR = frozenset({"RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT", "PALETTE COLOR"})
_BITS = (8, 16)
UNDEFINED_LENGTH = 0xFFFFFFFF

# The one decoder of each transfer syntax, so that pixels do not depend on what else is installed.
NATIVE = frozenset({"1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"})
PLUGINS = {
    "1.2.840.10008.1.2.4.50": "pillow",  # JPEG baseline
    "1.2.840.10008.1.2.4.51": "gdcm",  # JPEG extended, 8 or 12 bits
    "1.2.840.10008.1.2.4.57": "gdcm",  # JPEG lossless
    "1.2.840.10008.1.2.4.70": "gdcm",  # JPEG lossless, selection value 1
    "1.2.840.10008.1.2.4.80": "pyjpegls",  # JPEG-LS lossless
    "1.2.840.10008.1.2.4.81": "pyjpegls",  # JPEG-LS near-lossless
    "1.2.840.10008.1.2.4.90": "pylibjpeg",  # JPEG 2000 lossless
    "1.2.840.10008.1.2.4.91": "pylibjpeg",  # JPEG 2000
    "1.2.840.10008.1.2.4.201": "pylibjpeg",  # HTJ2K lossless
    "1.2.840.10008.1.2.4.202": "pylibjpeg",  # HTJ2K lossless, RPCL
    "1.2.840.10008.1.2.4.203": "pylibjpeg",  # HTJ2K
    "1.2.840.10008.1.2.5": "pylibjpeg",  # RLE
}  # fmt: skip


@dataclass(frozen=True)
class PixelElement:
    """Where the pixels lie: offsets of the element and of its value; length in bytes, None in items; its VR."""

    start: int
    value: int
    length: int | None
    vr: str


@dataclass(frozen=True)
class Study:
    """A parsed DICOM header; `dataset` (pydicom's) holds everything before the pixels, `syntax` says how they lie.

    stream is where the pixels are: the file's own, or that of its inflated copy.
    """

    header: Header
    dataset: Any
    syntax: str
    stream: BinaryIO
    pixels: PixelElement


@contextmanager
def dicom_errors(*, quote: bool = False) -> Iterator[None]:
    """Translate what pydicom and its decoders raise. Unless `quote`, no word of theirs: they repeat values."""
    from pydicom.errors import BytesLengthException, InvalidDicomError  # noqa: PLC0415

    try:
        yield
    except UnusableImage:
        raise
    except (*DECODER_ERRORS, BytesLengthException, InvalidDicomError, MemoryError) as error:
        if isinstance(error, OSError) and error.errno in DISK_ERRORS:
            raise
        raise corrupt(DICOM, error if quote else type(error).__name__) from (error if quote else None)
    except BaseException as error:
        if type(error).__module__ != "pyo3_runtime":  # the RLE decoder's panic, which is no Exception
            raise
        raise corrupt(DICOM, error) from error


@contextmanager
def opened(stream: BinaryIO, limits: Limits) -> Iterator[Study]:
    """Parse and check a DICOM file, until the block ends. Raises UnusableImage."""
    with dicom_errors():
        source = plain(stream, limits)
    try:
        with dicom_errors():
            dataset, syntax = _read(source)
            pixels = _pixel_element(source, dataset)
            header = _header(dataset, syntax, limits)
        yield Study(header, dataset, syntax, source, pixels)
    finally:
        if source is not stream:
            source.close()


def _read(stream: BinaryIO) -> tuple[Any, str]:
    """The known elements before the pixels, and the transfer syntax; the stream is left at the pixels.

    Without file meta information the syntax is the one that the elements show.
    """
    from pydicom import dcmread  # noqa: PLC0415
    from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian  # noqa: PLC0415

    quiet()
    stream.seek(0)
    dataset = dcmread(stream, stop_before_pixels=True, force=True, specific_tags=known_tags())
    syntax = dataset.file_meta.get("TransferSyntaxUID")
    if not syntax:
        implicit, little = dataset.original_encoding
        explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        syntax = ImplicitVRLittleEndian if implicit else explicit
        dataset.file_meta.TransferSyntaxUID = syntax
    return dataset, str(syntax)


def _pixel_element(stream: BinaryIO, dataset: Any) -> PixelElement:
    """The element that the stream is at. Raises UnusableImage unless it holds pixels as integers."""
    start, order = stream.tell(), "<" if dataset.original_encoding[1] else ">"
    head = stream.read(12)
    explicit = head[4:6].isalpha()  # what is there counts: some files are of another kind than they say
    head = head if explicit else head[:8]
    stream.seek(start + len(head))
    if len(head) < 8 or struct.unpack_from(f"{order}HH", head) != (0x7FE0, 0x0010):
        raise UnusableImage(
            Unusable.UNKNOWN_FORMAT,
            f"The DICOM file holds no picture of whole numbers ({_kind(dataset)}): send the images of the study.",
        )
    (length,) = struct.unpack_from(f"{order}I", head, len(head) - 4)
    vr = head[4:6].decode("ascii") if explicit else "OW"
    return PixelElement(start, stream.tell(), None if length == UNDEFINED_LENGTH else length, vr)


def _header(dataset: Any, syntax: str, limits: Limits) -> Header:
    rows, columns = _whole(dataset, "Rows"), _whole(dataset, "Columns")
    if not rows or not columns or rows < 0 or columns < 0:
        raise ValueError("the picture has no size")
    check_size(columns, rows, limits)
    frames = max(1, _whole(dataset, "NumberOfFrames") or 1)
    check_frames(frames, limits)
    photometric = str(dataset.get("PhotometricInterpretation", ""))
    _check_kind(dataset, syntax, photometric)
    bits = _whole(dataset, "BitsStored") or 0
    return Header(
        DICOM, columns, rows, bits, frames, photometric, 1, _facts(dataset, syntax), ((columns, rows),) * frames
    )


def _check_kind(dataset: Any, syntax: str, photometric: str) -> None:
    """Raises UnusableImage for pixels that are not read, and says which."""
    allocated, stored = _whole(dataset, "BitsAllocated"), _whole(dataset, "BitsStored") or 0
    samples = _whole(dataset, "SamplesPerPixel") or 1
    wanted = 1 if photometric in GREY | {"PALETTE COLOR"} else 3
    if allocated not in _BITS or not 2 <= stored <= allocated:
        why = f"{stored} bits a sample in {allocated}, and 8 to 16 are"
    elif photometric not in GREY | COLOUR or samples != wanted:
        why = f"{samples} sample(s) a pixel as {photometric[:16] or 'nothing'}, and grey, RGB, YBR and palettes are"
    elif syntax not in NATIVE and syntax not in PLUGINS:
        why = f"transfer syntax {syntax[:64]}, and uncompressed, JPEG, JPEG-LS, JPEG 2000 and RLE are"
    else:
        return
    raise UnusableImage(Unusable.UNKNOWN_FORMAT, f"The DICOM file has {why} read: export the image as one of these.")


def _whole(dataset: Any, keyword: str) -> int | None:
    """A whole number; None where it is missing or empty. Raises ValueError, TypeError for what is none."""
    value = dataset.get(keyword)
    return None if value is None or value == "" else int(value)


def _kind(dataset: Any) -> str:
    from pydicom.uid import UID  # noqa: PLC0415

    kind = UID(str(dataset.get("SOPClassUID") or dataset.file_meta.get("MediaStorageSOPClassUID") or ""))
    return kind.name if kind.is_valid and not kind.is_private and kind.name != kind else "of no known kind"


def _facts(dataset: Any, syntax: str) -> dict[str, Any]:
    """What may be told of the picture: nothing of who it shows, when, where, or by whom it was taken."""
    from pydicom.uid import UID  # noqa: PLC0415

    facts: dict[str, Any] = {
        "photometric": str(dataset.PhotometricInterpretation),
        "bits_stored": _whole(dataset, "BitsStored"),
        "transfer_syntax": UID(syntax).name,
    }
    words = {"modality": "Modality", "view": "ViewPosition", "body_part": "BodyPartExamined"}
    for name, keyword in words.items():
        if (word := code_word(dataset.get(keyword))) is not None:
            facts[name] = word
    for keyword in ("PixelSpacing", "ImagerPixelSpacing"):
        spacing = dataset.get(keyword)
        if spacing is not None and len(spacing) == 2:
            facts["spacing_mm"] = [float(value) for value in spacing]
            break
    return facts


def code_word(value: Any) -> str | None:
    """A code string of at most 16 capitals, digits, blanks and underscores; None for anything else."""
    text = str(value).strip() if value is not None else ""
    known = 0 < len(text) <= 16 and all(c.isascii() and (c.isupper() or c.isdigit() or c in " _") for c in text)
    return text if known else None
