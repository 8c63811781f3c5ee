"""DICOM is shown as its header says, as pydicom's own functions have it, or refused for a stated reason."""

import contextlib
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_files
from pydicom.encaps import encapsulate
from pydicom.pixels import apply_modality_lut, apply_voi_lut, set_pixel_data
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from app.errors import Unusable, UnusableImage
from app.imaging import Limits, decode_grey, inspect
from app.imaging.frames import decode_frames
from tests.dicom_files import IDENTITY, described, dicom, ramp, report, written

LIMITS = Limits(10**8, 10**7, 1)
# Of pydicom's own files: what is refused, and for what.
REFUSED = {
    "badVR.dcm": Unusable.CORRUPT,  # "1A" frames
    "JPEG2000-embedded-sequence-delimiter.dcm": Unusable.CORRUPT,  # its size is spoilt on purpose
    "MR_truncated.dcm": Unusable.CORRUPT,
    "liver_1frame.dcm": Unusable.UNKNOWN_FORMAT,  # a mask of one bit
    "liver_expb_1frame.dcm": Unusable.UNKNOWN_FORMAT,
    "rtdose.dcm": Unusable.UNKNOWN_FORMAT,  # 32 bits
    "rtdose_1frame.dcm": Unusable.UNKNOWN_FORMAT,
    "rtdose_expb.dcm": Unusable.UNKNOWN_FORMAT,
    "rtdose_expb_1frame.dcm": Unusable.UNKNOWN_FORMAT,
    "rtdose_rle.dcm": Unusable.UNKNOWN_FORMAT,
    "rtdose_rle_1frame.dcm": Unusable.UNKNOWN_FORMAT,
}


# pydicom reads no 12-bit JPEG without a decoder under the GPL; their values are tested below.
TWELVE_BIT_JPEG = ("JPGExtended.dcm", "JPEG-lossy.dcm")


def _every_file() -> list[Path]:
    return sorted(path for path in map(Path, get_testdata_files()) if path.is_file())


def _grey_files() -> list[Path]:
    """pydicom's files of one sample a pixel that is no index."""
    found = []
    for path in _every_file():
        with contextlib.suppress(Exception):
            if str(dcmread(path, force=True).PhotometricInterpretation).startswith("MONOCHROME"):
                found.append(path)
    return found


GREY_FILES = _grey_files()


def refused(content: bytes | Path, limits: Limits = LIMITS) -> UnusableImage:
    with pytest.raises(UnusableImage) as caught:
        decode_grey(content, limits)
    return caught.value


def shown(dataset: Dataset, stored: np.ndarray) -> np.ndarray:
    """What pydicom's functions make of stored values, brought to [0, 1] by the range that they give."""
    rescaled = apply_modality_lut(stored, dataset)
    grey = np.asarray(apply_voi_lut(rescaled, dataset), np.float64)
    every = np.arange(2**dataset.BitsStored) - (2 ** (dataset.BitsStored - 1) if dataset.PixelRepresentation else 0)
    if dataset.get("VOILUTSequence"):
        low, high = 0, 2 ** dataset.VOILUTSequence[0].LUTDescriptor[2] - 1
    elif dataset.get("ModalityLUTSequence"):
        low, high = 0, 2 ** dataset.ModalityLUTSequence[0].LUTDescriptor[2] - 1
    elif "WindowCenter" in dataset or dataset.BitsStored <= 8:
        low, high = apply_modality_lut(every[[0, -1]], dataset)
    else:
        low, high = np.percentile(rescaled, [0.5, 99.5])
    grey = np.clip((grey - low) / (high - low), 0, 1)
    return 1 - grey if dataset.PhotometricInterpretation == "MONOCHROME1" else grey


def test_there_are_grey_files_to_test():
    assert len(GREY_FILES) > 55


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("path", GREY_FILES, ids=lambda path: path.name)
def test_every_grey_file_of_pydicom_is_shown_as_pydicom_does_or_refused(path):
    if path.name in REFUSED:
        assert refused(path).reason is REFUSED[path.name]
        return
    found = decode_grey(path, LIMITS)
    assert (found.dtype, found.min() >= 0, found.max() <= 1) == (np.float32, True, True)
    if path.name in TWELVE_BIT_JPEG:
        return
    dataset = dcmread(path, force=True)
    expected = shown(dataset, dataset.pixel_array)
    # A percentile between two values is interpolated by NumPy and one of the two here.
    exact = "WindowCenter" in dataset or dataset.BitsStored <= 8
    np.testing.assert_allclose(found, expected, atol=1e-6 if exact else 2e-3)


@pytest.mark.parametrize("name", TWELVE_BIT_JPEG)
def test_twelve_bit_jpeg_is_read_exactly(name):
    """Two values that are known of this picture; all there are of it lie in 0 to 264."""
    from app.imaging.dicom import opened
    from app.imaging.dicom_pixels import _samples

    path = next(path for path in GREY_FILES if path.name == name)
    with path.open("rb") as stream, opened(stream, LIMITS) as study:
        stored = _samples(study, 0, raw=True)
    assert (stored[420, 140], stored[230, 120], stored.max()) == (244, 95, 264)


@pytest.mark.filterwarnings("ignore")
def test_every_other_file_of_pydicom_is_read_or_refused():
    read = 0
    for path in _every_file():
        with contextlib.suppress(UnusableImage):
            frames = list(decode_frames(path, Limits(10**8, 10**7, 1, 40)))
            assert len(frames) == inspect(path, Limits(10**8, 10**7, 1, 40)).frames
            read += 1
    assert read >= 80


# Windows


@pytest.mark.filterwarnings("ignore:overflow encountered in exp")
@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("dtype", [np.uint16, np.int16, np.uint8, np.int8])
def test_a_window_is_applied_as_pydicom_applies_it(function, photometric, dtype):
    stored = ramp(dtype=dtype, step=27)
    made = described(
        stored, WindowCenter=["90.5", "7"], WindowWidth=["100", "3"], VOILUTFunction=function,
        PhotometricInterpretation=photometric, RescaleSlope="1.5", RescaleIntercept="-20",
    )  # fmt: skip
    np.testing.assert_allclose(decode_grey(written(made), LIMITS), shown(made, stored), atol=1e-6)


def table(first: int, values: np.ndarray, bits: int = 16) -> Dataset:
    item = Dataset()
    item.LUTDescriptor, item.LUTData = [len(values), first, bits], values.astype("<u2").tobytes()
    item["LUTData"].VR = "OW"
    return item


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_tables_are_applied_modality_first(photometric):
    stored = ramp(dtype=np.uint16, step=1)
    modality = table(100, np.arange(2000)[::-1] * 3)
    voi = table(50, np.sqrt(np.arange(5000)) * 900, bits=16)
    made = described(
        stored, PhotometricInterpretation=photometric, ModalityLUTSequence=[modality], VOILUTSequence=[voi]
    )
    content = written(made)
    expected = shown(made, stored)
    assert np.ptp(expected) > 0.5
    np.testing.assert_allclose(decode_grey(content, LIMITS), expected, atol=1e-6)


def test_values_beyond_a_short_table_take_its_last_entry():
    stored = ramp(dtype=np.uint16, step=1)
    made = described(stored, VOILUTSequence=[table(10, np.arange(256), bits=8)])
    np.testing.assert_allclose(
        decode_grey(written(made), LIMITS), np.clip(stored.astype(int) - 10, 0, 255) / 255, atol=1e-6
    )


def test_monochrome1_is_the_inverse():
    stored = ramp(dtype=np.uint8, step=1)
    light = decode_grey(dicom(stored, PhotometricInterpretation="MONOCHROME2"), LIMITS)
    dark = decode_grey(dicom(stored, PhotometricInterpretation="MONOCHROME1"), LIMITS)
    np.testing.assert_allclose(light + dark, 1, atol=1e-6)
    assert light[0, 0] == 0


def test_eight_bits_without_a_window_are_shown_as_they_are():
    stored = ramp(dtype=np.uint8, step=1) // 2
    np.testing.assert_allclose(decode_grey(dicom(stored), LIMITS), stored / 255, atol=1e-6)


def test_deep_pixels_without_a_window_span_the_stated_percentiles():
    stored = 20_000 + np.random.default_rng(0).integers(0, 1000, (100, 100)).astype(np.uint16)
    stored[0, :20] = 65_535  # a burnt-out corner decides nothing
    found = decode_grey(dicom(stored), LIMITS)
    low, high = np.percentile(stored, [0.5, 99.5])
    np.testing.assert_allclose(found, np.clip((stored - low) / (high - low), 0, 1), atol=2e-3)


@pytest.mark.parametrize(("photometric", "padding"), [("MONOCHROME2", -2000), ("MONOCHROME1", -2000)])
def test_padding_is_black_and_decides_no_percentile(photometric, padding):
    stored = np.random.default_rng(0).integers(0, 1000, (50, 50)).astype(np.int16)
    stored[:, :20] = padding
    found = decode_grey(dicom(stored, PhotometricInterpretation=photometric, PixelPaddingValue=padding), LIMITS)
    assert not found[:, :20].any()
    assert abs(found[:, 20:].mean() - 0.5) < 0.03


def test_a_constant_picture_is_a_picture():
    assert np.unique(decode_grey(dicom(np.full((20, 20), 700, np.uint16)), LIMITS)).tolist() == [0.5]


def test_overlay_bits_above_the_stored_ones_are_not_seen():
    stored = ramp(dtype=np.uint16, step=1)
    made = {"BitsStored": 12, "HighBit": 11, "WindowCenter": 1000, "WindowWidth": 2000}
    np.testing.assert_array_equal(
        decode_grey(dicom(stored | 0x8000, **made), LIMITS), decode_grey(dicom(stored, **made), LIMITS)
    )


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian])
@pytest.mark.parametrize("dtype", [np.int16, np.uint16])
def test_every_plain_transfer_syntax_gives_the_same(syntax, dtype):
    stored = ramp(dtype=dtype)
    swapped = stored.astype(stored.dtype.newbyteorder(">")) if syntax == ExplicitVRBigEndian else stored
    look = {"WindowCenter": 8000, "WindowWidth": 16000, "PixelPaddingValue": 11}
    reference = decode_grey(dicom(stored, **look), LIMITS)
    np.testing.assert_array_equal(decode_grey(dicom(swapped, syntax, **look), LIMITS), reference)


def test_deflated_is_read_and_bounded():
    path = next(path for path in GREY_FILES if path.name == "image_dfl.dcm")
    assert decode_grey(path, LIMITS).shape == (512, 512)
    assert refused(path, Limits(100_000, 10**7, 1)).reason is Unusable.TOO_MANY_BYTES  # 5 KB that hold 262 KB


def test_each_frame_comes_by_itself_with_its_own_look():
    stored = np.stack([ramp(dtype=np.uint16, step=s) for s in (1, 2, 3)])
    made = described(stored)
    shared, frames = Dataset(), []
    for center in (600, 1200, 1800):
        window = Dataset()
        window.WindowCenter, window.WindowWidth = center, 1000
        frames.append(Dataset())
        frames[-1].FrameVOILUTSequence = [window]
    made.SharedFunctionalGroupsSequence, made.PerFrameFunctionalGroupsSequence = [shared], frames
    content = written(made)
    assert inspect(content, LIMITS).frames == 3
    assert inspect(content, LIMITS).sizes == ((60, 40),) * 3
    for index, frame in enumerate(decode_frames(content, LIMITS)):
        single = dicom(stored[index], WindowCenter=(600, 1200, 1800)[index], WindowWidth=1000)
        np.testing.assert_array_equal(frame.grey, decode_grey(single, LIMITS))
    assert [f.index for f in decode_frames(content, LIMITS, indexes=[2, 0])] == [2, 0]


def test_colour_is_luma_with_the_colours_beside_it():
    colours = np.random.default_rng(3).integers(0, 256, (40, 50, 3)).astype(np.uint8)
    made = described(colours[..., 0])
    set_pixel_data(made, colours, "RGB", 8)
    (frame,) = decode_frames(written(made), LIMITS)
    np.testing.assert_array_equal(frame.colour, colours)
    np.testing.assert_allclose(frame.grey, colours @ [0.299, 0.587, 0.114] / 255, atol=1 / 255)
    set_pixel_data(made, np.repeat(colours[..., :1], 3, axis=2), "RGB", 8)
    (grey,) = decode_frames(written(made), LIMITS)
    assert grey.colour is None


# Refusals


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ({"BitsAllocated": 1, "BitsStored": 1}, "1 bits"),
        ({"BitsAllocated": 32, "BitsStored": 32}, "32 bits"),
        ({"PhotometricInterpretation": "CMYK"}, "CMYK"),
        ({"SamplesPerPixel": 3}, "3 sample"),
    ],
)
def test_pixels_that_are_not_read_are_named(attributes, words):
    error = refused(dicom(ramp(), **attributes))
    assert error.reason is Unusable.UNKNOWN_FORMAT
    assert words in error.message


def test_a_report_is_no_picture():
    error = refused(report())
    assert error.reason is Unusable.UNKNOWN_FORMAT
    assert "Enhanced SR Storage" in error.message


def test_bounds_are_held_before_a_pixel_is_decoded():
    content = dicom(ramp(), Rows=60_000, Columns=60_000)
    assert refused(content).reason is Unusable.TOO_MANY_PIXELS
    assert refused(dicom(ramp(), NumberOfFrames=17)).reason is Unusable.TOO_MANY_FRAMES
    assert refused(dicom(ramp(8, 8)), Limits(10**8, 10**7, 16)).reason is Unusable.TOO_SMALL


def test_a_coded_picture_larger_than_the_header_says_is_never_decoded(encode):
    jpeg = encode(np.zeros((512, 512), np.uint8), "JPEG")
    made = described(ramp(dtype=np.uint8))
    made.PixelData = encapsulate([jpeg])
    made["PixelData"].VR, made["PixelData"].is_undefined_length = "OB", True
    error = refused(written(made, "1.2.840.10008.1.2.4.50"))
    assert "512 x 512" in error.message


def test_no_message_repeats_what_the_file_says():
    """Errors of libraries quote values, which may be anything that somebody typed."""
    content = dicom(ramp(), NumberOfFrames="4711").replace(b"4711", b"ZWEI")
    assert "ZWEI" not in refused(content).message


def test_a_file_without_preamble_is_known_by_its_first_elements():
    content = dicom(ramp(dtype=np.uint8), ImplicitVRLittleEndian)
    meta_and_more = content[132:]
    np.testing.assert_array_equal(decode_grey(meta_and_more, LIMITS), decode_grey(content, LIMITS))
    start = content.index(b"\x08\0\x16\0")
    np.testing.assert_array_equal(decode_grey(content[start:], LIMITS), decode_grey(content, LIMITS))


def test_a_preamble_of_another_format_hides_nothing(encode):
    tiff = encode(np.zeros((4, 4), np.uint8), "TIFF")[:128].ljust(128, b"\0")
    content = dicom(ramp(dtype=np.uint8))
    assert inspect(tiff + content[128:], LIMITS).media_type == "application/dicom"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("seed", range(4))
def test_spoilt_files_raise_nothing_else(seed):
    """Cuts and changed bytes, of every transfer syntax that pydicom's files have."""
    chance = random.Random(seed)
    for path in [path for path in GREY_FILES if path.stat().st_size < 40_000][:: 4 - seed % 2]:
        content = bytearray(path.read_bytes())
        for _ in range(chance.randint(1, 8)):
            content[chance.randrange(128, len(content))] = chance.randrange(256)
        cut = len(content) if chance.random() < 0.5 else chance.randrange(132, len(content))
        for read in (inspect, decode_grey):
            with contextlib.suppress(UnusableImage):
                read(bytes(content[:cut]), LIMITS)


def test_facts_are_of_the_picture_alone():
    content = dicom(ramp(), ViewPosition="PA", BodyPartExamined="CHEST", PixelSpacing=["0.5", "0.25"], **IDENTITY)
    assert inspect(content, LIMITS).facts == {
        "photometric": "MONOCHROME2", "bits_stored": 16, "transfer_syntax": "Explicit VR Little Endian",
        "modality": "DX", "view": "PA", "body_part": "CHEST", "spacing_mm": [0.5, 0.25],
    }  # fmt: skip


@pytest.mark.parametrize("module", ["app.main", "app.cli", "workers.extract"])
def test_nothing_loads_pydicom_before_a_dicom_file_comes(module):
    code = f"import sys, {module}; print('pydicom' in sys.modules)"
    root = Path(__file__).resolve().parents[3]
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root).stdout
        == "False\n"
    )
