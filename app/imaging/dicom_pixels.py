"""The frames of a DICOM image as displayed planes."""

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from app.errors import Unusable, UnusableImage
from app.imaging.bounds import corrupt
from app.imaging.dicom import GREY, NATIVE, PLUGINS, Study
from app.imaging.dicom_values import curve, frame_look
from app.imaging.formats import DICOM
from app.imaging.planes import bands, smaller

# Start-of-frame markers: JPEG's (without DHT, JPG, DAC), JPEG-LS's and JPEG 2000's size.
_SOF = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}
_BARE = {0x01, *range(0xD0, 0xD9)}
# pydicom's GDCM plug-in refuses 12 bits under the name of JPEG extended. GDCM's one JPEG codec goes by the stream's
# own frame header, and reads them under another name.
_AS = {"1.2.840.10008.1.2.4.51": "1.2.840.10008.1.2.4.57"}
# Coded bytes of a frame may exceed its samples by this factor: a run of one byte is written as two.
_RLE_FACTOR = 2


def frame_planes(study: Study, index: int, reduce: int) -> tuple[NDArray[np.float32], NDArray[np.uint8] | None]:
    """Grey, float32 (h, w) in [0, 1], and colour, uint8 (h, w, 3) or None, of one frame.

    reduce: an integer factor; boxes of so many pixels a side become their mean. Raises what decoders raise, and
    UnusableImage for a coded picture that is not of the size that the header says.
    """
    if study.syntax not in NATIVE:
        _check_coded(study, index)
    grey = study.header.mode in GREY
    samples = _samples(study, index, raw=grey)
    if grey:
        look = frame_look(study.dataset, index)
        with np.errstate(all="ignore"):
            table = curve(look, samples)
        return _looked_up(samples, table, reduce), None
    return _colours(samples, study, reduce)


def _samples(study: Study, index: int, *, raw: bool) -> NDArray[Any]:
    """The decoded samples of one frame; colours as RGB unless `raw`."""
    from pydicom.pixels import get_decoder  # noqa: PLC0415
    from pydicom.pixels.utils import as_pixel_options  # noqa: PLC0415
    from pydicom.uid import UID  # noqa: PLC0415

    study.stream.seek(study.pixels.value)
    options = as_pixel_options(study.dataset, pixel_keyword="PixelData", pixel_vr=study.pixels.vr)
    options["number_of_frames"] = study.header.frames
    syntax = UID(_AS.get(study.syntax, study.syntax))
    samples: NDArray[Any]
    samples, _ = get_decoder(syntax).as_array(
        study.stream, index=index, raw=raw, decoding_plugin=PLUGINS.get(study.syntax, ""), view_only=True,
        transfer_syntax_uid=syntax, **options,
    )  # fmt: skip
    return samples if samples.dtype.isnative else samples.astype(samples.dtype.newbyteorder("="))


def _looked_up(samples: NDArray[Any], table: NDArray[np.float32], reduce: int) -> NDArray[np.float32]:
    """Each sample's entry of the table, band by band; then means of boxes."""
    codes = samples.view(f"u{samples.dtype.itemsize}")
    height, width = codes.shape
    grey = np.empty((-(-height // reduce), -(-width // reduce)), np.float32)
    for top, bottom in bands(height, width, reduce):
        grey[top // reduce : -(-bottom // reduce)] = smaller(table[codes[top:bottom]], reduce)
    return grey


def _colours(samples: NDArray[Any], study: Study, reduce: int) -> tuple[NDArray[np.float32], NDArray[np.uint8] | None]:
    """Luma at full depth (ITU-R 601) and colours of 8 bits, of RGB samples or indices into a palette."""
    from pydicom.pixels import apply_color_lut  # noqa: PLC0415

    bits = study.header.bit_depth
    if study.header.mode == "PALETTE COLOR":
        samples = apply_color_lut(samples, study.dataset)[..., :3]
        bits = 8 * samples.dtype.itemsize
    height, width = samples.shape[:2]
    shape = (-(-height // reduce), -(-width // reduce))
    grey, colour = np.empty(shape, np.float32), np.empty((*shape, 3), np.uint8)
    for top, bottom in bands(height, width, reduce):
        rows, band = slice(top // reduce, -(-bottom // reduce)), samples[top:bottom]
        eight = np.ascontiguousarray(band if bits <= 8 else band >> (bits - 8), dtype=np.uint8)
        picture = Image.fromarray(eight)
        luma = np.asarray(picture.convert("L"), np.float32) / np.float32(255) if bits <= 8 else _luma(band, bits)
        grey[rows] = smaller(luma, reduce)
        colour[rows] = np.asarray(picture if reduce == 1 else picture.reduce(reduce))
    return grey, colour if (colour[..., :1] != colour[..., 1:]).any() else None


def _luma(rgb: NDArray[Any], bits: int) -> NDArray[np.float32]:
    """ITU-R 601 luma of deep colour: float32 (h, w) in [0, 1]."""
    weights = np.array([0.299, 0.587, 0.114], np.float32) / np.float32(2**bits - 1)
    return np.minimum(rgb.astype(np.float32) @ weights, np.float32(1))


def _check_coded(study: Study, index: int) -> None:
    """Raises UnusableImage for a coded frame that would decode to more than the header says, or something else."""
    from pydicom.encaps import get_frame  # noqa: PLC0415

    offsets = (study.dataset.get("ExtendedOffsetTable"), study.dataset.get("ExtendedOffsetTableLengths"))
    study.stream.seek(study.pixels.value)
    coded = get_frame(
        study.stream, index, number_of_frames=study.header.frames,
        extended_offsets=offsets if None not in offsets else None,
    )  # fmt: skip
    width, height = study.header.width, study.header.height
    if study.syntax.endswith("1.2.5"):
        _check_runs(coded, study)
        return
    size = coded_size(coded)
    if size != (width, height):
        said = f"the coded picture has {size[0]} x {size[1]} pixels, not {width} x {height}" if size else "no picture"
        raise corrupt(DICOM, said)


def _check_runs(coded: bytes, study: Study) -> None:
    """A run of two bytes may decode to 128: a segment that is longer than its samples could fill is refused."""
    most = 64 + _RLE_FACTOR * study.header.width * study.header.height * int(study.dataset.BitsAllocated) // 8 * int(
        study.dataset.get("SamplesPerPixel", 1)
    )
    if len(coded) > most:
        raise UnusableImage(Unusable.CORRUPT, "The DICOM image has more runs than pixels: send it again.")


def coded_size(coded: bytes) -> tuple[int, int] | None:
    """Width and height that the head of a JPEG, JPEG-LS or JPEG 2000 stream claims; None where it claims none."""
    if (at := coded.find(b"\xff\x4f\xff\x51", 0, 4096)) >= 0:
        right, bottom, left, top = struct.unpack_from(">IIII", coded, at + 8)
        return right - left, bottom - top
    at = 2 if coded[:2] == b"\xff\xd8" else len(coded)
    while at + 9 <= len(coded) and coded[at] == 0xFF:
        marker = coded[at + 1]
        if marker in _SOF:
            height, width = struct.unpack_from(">HH", coded, at + 5)
            return width, height
        if marker == 0xFF:
            at += 1
        else:
            at += 2 if marker in _BARE else 2 + struct.unpack_from(">H", coded, at + 2)[0]
    return None
