"""Pixels come out right, whatever the file's depth, colour space and orientation."""

import numpy as np
import pytest
from PIL import Image

from app.errors import Unusable, UnusableImage
from app.imaging import decode_grey, inspect

ORIENTATION = 0x0112

# What EXIF says each value means: how the stored picture has to be turned to be displayed.
TURNS = {
    1: lambda stored: stored,
    2: np.fliplr,
    3: lambda stored: np.rot90(stored, 2),
    4: np.flipud,
    5: np.transpose,
    6: lambda stored: np.rot90(stored, -1),
    7: lambda stored: np.rot90(stored, 2).T,
    8: np.rot90,
}


def refused(content, limits):
    with pytest.raises(UnusableImage) as caught:
        decode_grey(content, limits)
    return caught.value


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize("form", ["PNG", "TIFF", "JPEG", "WEBP"])
def test_orientation_is_applied(form, orientation, grey, encode, limits):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    content = encode(grey, form, exif=exif, **({"lossless": True} if form == "WEBP" else {}))
    upright = TURNS[orientation](grey)
    header, found = inspect(content, limits), decode_grey(content, limits)
    assert header.orientation == orientation
    assert (header.height, header.width) == upright.shape == found.shape
    np.testing.assert_allclose(found * 255, upright, atol=3 if form == "JPEG" else 1e-4)


@pytest.mark.parametrize("orientation", TURNS)
def test_orientation_of_sixteen_bits_is_applied(orientation, grey, encode, limits):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    deep = grey.astype(np.uint16) * 257
    for form in ("PNG", "TIFF"):
        found = decode_grey(encode(deep, form, exif=exif), limits)
        np.testing.assert_allclose(found * 65535, TURNS[orientation](deep), atol=0.01)


def test_nonsense_orientation_is_ignored(grey, encode, limits):
    exif = Image.Exif()
    exif[ORIENTATION] = 77
    content = encode(grey, "PNG", exif=exif)
    assert inspect(content, limits).orientation == 1
    np.testing.assert_allclose(decode_grey(content, limits) * 255, grey, atol=1e-4)


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_every_sixteen_bit_value_survives(form, encode, limits):
    ramp = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    found = decode_grey(encode(ramp, form), limits)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(np.round(found.astype(np.float64) * 65535), ramp)


@pytest.mark.parametrize("form", ["PNG", "TIFF", "BMP"])
def test_every_eight_bit_value_survives(form, encode, limits):
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    np.testing.assert_array_equal(decode_grey(encode(ramp, form), limits), ramp.astype(np.float32) / np.float32(255))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr"])
def test_every_eight_bit_mode_is_the_library_s_luma(mode, grey, encode, limits):
    colour = Image.merge("RGB", [Image.fromarray(np.roll(grey, shift, axis=1)) for shift in (0, 7, 20)])
    image = colour.convert("RGBA").convert(mode) if mode == "LA" else colour.convert(mode)
    form = "TIFF" if mode in {"CMYK", "YCbCr"} else "PNG"
    expected = np.asarray(image.convert("L"), np.float32) / np.float32(255)
    np.testing.assert_array_equal(decode_grey(encode(image, form), limits), expected)


def test_alpha_is_ignored(grey, encode, limits):
    clear = Image.merge("LA", [Image.fromarray(grey), Image.new("L", (60, 40), 0)])
    np.testing.assert_allclose(decode_grey(encode(clear, "PNG"), limits) * 255, grey, atol=1e-4)


def test_cmyk_jpeg_is_read(grey, encode, limits):
    image = Image.fromarray(grey).convert("CMYK")
    np.testing.assert_allclose(decode_grey(encode(image, "JPEG", quality=95), limits) * 255, grey, atol=4)


def test_floats_are_intensities(encode, limits):
    values = np.linspace(0, 1, 400, dtype=np.float32).reshape(20, 20)
    np.testing.assert_array_equal(decode_grey(encode(values, "TIFF"), limits), values)


def test_thirty_two_bit_integers_are_sixteen_bit_counts(encode, limits):
    counts = (np.arange(400, dtype=np.int32) * 160).reshape(20, 20)
    np.testing.assert_allclose(decode_grey(encode(counts, "TIFF"), limits) * 65535, counts, atol=0.01)


@pytest.mark.parametrize(
    "values",
    [
        np.full((20, 20), 1.5, np.float32),
        np.full((20, 20), -1, np.int32),
        np.full((20, 20), 70_000, np.int32),
    ],
)
def test_values_of_unknown_scale_are_refused_with_a_remedy(values, encode, limits):
    error = refused(encode(values, "TIFF"), limits)
    assert error.reason is Unusable.UNKNOWN_FORMAT
    assert "16-bit" in error.message


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_corrupt(value, encode, limits):
    values = np.full((20, 20), 0.5, np.float32)
    values[3, 4] = value
    assert refused(encode(values, "TIFF"), limits).reason is Unusable.CORRUPT


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_white_is_zero_is_inverted_at_every_depth(dtype, grey, encode, limits):
    full = np.iinfo(dtype).max
    stored = grey.astype(dtype) * dtype(full // 255)
    # Written anew because Pillow's writer would invert by itself.
    content = encode(stored, "TIFF")
    tag = b"\x06\x01\x03\x00\x01\x00\x00\x00"
    assert content.count(tag + b"\x01") == 1
    flipped = content.replace(tag + b"\x01", tag + b"\x00")
    np.testing.assert_allclose(decode_grey(flipped, limits), 1 - stored.astype(np.float32) / full, atol=1e-6)


def test_twelve_bit_tiff_reaches_full_scale(encode, limits):
    content = encode(np.full((20, 20), 4095, np.uint16), "TIFF")
    tag = b"\x02\x01\x03\x00\x01\x00\x00\x00"
    assert content.count(tag + b"\x10") == 1
    # 12-bit samples packed in 16-bit strips: all ones whatever the packing.
    packed = content.replace(tag + b"\x10", tag + b"\x0c").replace(b"\xff\x0f" * 400, b"\xff\xff" * 400)
    assert inspect(packed, limits).bit_depth == 12
    np.testing.assert_allclose(decode_grey(packed, limits), 1.0)


@pytest.mark.parametrize("shade", [0, 128, 255])
def test_constant_image_is_an_image(shade, encode, limits):
    found = decode_grey(encode(Image.new("L", (30, 30), shade), "PNG"), limits)
    assert np.unique(found).tolist() == [np.float32(shade) / np.float32(255)]


@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF", "BMP", "WEBP"])
def test_truncated_file_passes_no_further_than_decoding(form, encode, limits):
    noise = np.random.default_rng(1).integers(0, 256, (200, 200), dtype=np.uint8)
    content = encode(noise, form)
    assert refused(content[: len(content) // 2], limits).reason is Unusable.CORRUPT


def test_result_is_contiguous_and_writable_by_nobody_else(grey, encode, limits):
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    found = decode_grey(encode(grey, "PNG", exif=exif), limits)
    assert found.flags.c_contiguous


def test_path_and_bytes_decode_alike(grey, encode, limits, tmp_path):
    path = tmp_path / "x"
    path.write_bytes(encode(grey, "PNG"))
    np.testing.assert_array_equal(decode_grey(path, limits), decode_grey(path.read_bytes(), limits))
