"""What is refused before a pixel is decoded, and why."""

import io
import struct
import tracemalloc
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.errors import Unusable, UnusableImage
from app.imaging import FORMATS, Limits, decode_grey, inspect
from app.imaging.header import Header

FORMS = {
    "JPEG": "image/jpeg",
    "PNG": "image/png",
    "TIFF": "image/tiff",
    "BMP": "image/bmp",
    "WEBP": "image/webp",
}


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png_claiming(width: int, height: int, depth: int = 8) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
        + chunk(b"IEND", b"")
    )


def jpeg_claiming(encoded: bytes, width: int, height: int) -> bytes:
    at = encoded.index(b"\xff\xc0")
    return encoded[: at + 5] + struct.pack(">HH", height, width) + encoded[at + 9 :]


def refused(source: bytes | Path, limits: Limits) -> UnusableImage:
    with pytest.raises(UnusableImage) as caught:
        inspect(source, limits)
    return caught.value


@pytest.mark.parametrize("form", FORMS)
def test_header_is_read_from_bytes_and_from_a_path(form, grey, encode, limits, tmp_path):
    content = encode(grey, form)
    path = tmp_path / "scan.txt"  # the name says nothing
    path.write_bytes(content)
    mode = "RGB" if form == "WEBP" else "L"
    expected = Header(FORMS[form], 60, 40, bit_depth=8, frames=1, mode=mode, orientation=1)
    assert inspect(content, limits) == inspect(path, limits) == expected


def test_every_format_of_the_table_is_tested():
    assert {known.media_type for known in FORMATS} == {*FORMS.values(), "application/dicom"}


def test_sixteen_bits_are_reported(grey, encode, limits):
    deep = grey.astype(np.uint16) * 256
    assert inspect(encode(deep, "PNG"), limits).bit_depth == 16
    assert inspect(encode(deep, "TIFF"), limits).bit_depth == 16


def test_no_bytes_are_an_empty_file(limits, tmp_path):
    (tmp_path / "nothing.jpg").touch()
    assert refused(b"", limits).reason is Unusable.EMPTY
    assert refused(tmp_path / "nothing.jpg", limits).reason is Unusable.EMPTY


@pytest.mark.parametrize("content", [b"hello, I am a JPEG", b"GIF89a" + b"\0" * 99, b"%PDF-1.7", b"\0" * 500, b"x"])
def test_other_content_is_an_unknown_format(content, limits):
    assert refused(content, limits).reason is Unusable.UNKNOWN_FORMAT


def test_text_that_begins_like_a_bitmap_is_corrupt(limits):
    assert refused(b"BMW makes cars, and this is no bitmap at all" * 9, limits).reason is Unusable.CORRUPT


def test_text_under_a_jpeg_magic_is_corrupt(limits):
    assert refused(b"\xff\xd8\xff" + b"this is text " * 99, limits).reason is Unusable.CORRUPT


def test_gif_behind_an_accepted_name_never_reaches_its_decoder(grey, encode, limits, tmp_path):
    path = tmp_path / "scan.jpg"
    path.write_bytes(encode(grey, "GIF"))
    assert refused(path, limits).reason is Unusable.UNKNOWN_FORMAT


def test_too_many_bytes_are_refused_by_size_alone(limits, tmp_path):
    path = tmp_path / "large.png"
    with path.open("wb") as stream:
        stream.truncate(limits.max_bytes + 1)  # sparse: reading it would find zeros, not a PNG
    error = refused(path, limits)
    assert error.reason is Unusable.TOO_MANY_BYTES
    assert "PENUMBRA_MAX_FILE_BYTES" in error.message


def test_hundred_megapixels_in_a_jpeg_header_are_refused(grey, encode, limits):
    error = refused(jpeg_claiming(encode(grey, "JPEG"), 10_000, 10_000), limits)
    assert error.reason is Unusable.TOO_MANY_PIXELS
    assert "10000 x 10000" in error.message


@pytest.mark.parametrize("side", [9_500, 20_000, 60_000, 2**31 - 1])
def test_small_png_with_a_huge_canvas_is_refused_without_a_warning(side, limits):
    content = png_claiming(side, side)
    assert len(content) < 200
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert refused(content, limits).reason is Unusable.TOO_MANY_PIXELS


def test_real_bomb_is_refused_without_decoding_it(limits):
    rows = zlib.compressobj(9)
    body = b"".join(rows.compress(b"\0" * 20_001) for _ in range(20_000)) + rows.flush()
    header = struct.pack(">IIBBBBB", 20_000, 20_000, 8, 0, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    tracemalloc.start()
    try:
        assert refused(bomb, limits).reason is Unusable.TOO_MANY_PIXELS
        with pytest.raises(UnusableImage):
            decode_grey(bomb, limits)
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


def test_bound_is_ours_and_may_exceed_the_library_s_own(grey, encode):
    generous = Limits(10**7, 10**9, 1)
    content = jpeg_claiming(encode(grey, "JPEG"), 20_000, 20_000)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert inspect(content, generous).width == 20_000


def test_huge_webp_canvas_is_refused(limits, encode):
    content = bytearray(encode(Image.new("RGBA", (64, 64), (9, 9, 9, 9)), "WEBP", lossless=True, exact=True))
    extended = b"VP8X" + struct.pack("<I", 10) + b"\x10\0\0\0" + (16382).to_bytes(3, "little") * 2
    body = b"WEBP" + extended + bytes(content[12:])
    error = refused(b"RIFF" + struct.pack("<I", len(body)) + body, limits)
    assert error.reason in {Unusable.TOO_MANY_PIXELS, Unusable.CORRUPT}


@pytest.mark.parametrize("size", [(1, 1), (15, 400), (400, 15)])
def test_image_with_a_side_below_the_bound_is_too_small(size, encode, limits):
    assert refused(encode(Image.new("L", size), "PNG"), limits).reason is Unusable.TOO_SMALL


def test_least_accepted_side_is_accepted(encode, limits):
    assert inspect(encode(Image.new("L", (16, 16)), "PNG"), limits).width == 16


@pytest.mark.parametrize("form", ["WEBP", "PNG"])
def test_a_moving_picture_is_refused(form, encode, limits):
    frames = [Image.new("RGB", (32, 32), (shade, shade, 9)) for shade in (0, 100, 200)]
    content = encode(frames[0], form, save_all=True, append_images=frames[1:])
    error = refused(content, limits)
    assert error.reason is Unusable.MULTIPLE_FRAMES
    assert "export" in error.message


def test_second_picture_of_a_jpeg_is_no_frame(encode, limits, grey):
    preview = Image.new("L", (32, 32), 255)
    content = encode(grey, "MPO", save_all=True, append_images=[preview])
    assert inspect(content, limits).width == 60
    assert decode_grey(content, limits).shape == (40, 60)


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_inspection_decodes_no_pixel(form, grey, encode, limits, monkeypatch):
    content = encode(grey, form)

    def fail(self):
        raise AssertionError("pixels were decoded")

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", fail)
    monkeypatch.setattr("PIL.TiffImagePlugin.TiffImageFile.load", fail)
    assert inspect(content, limits).width == 60


def test_png_text_bomb_is_corrupt(limits):
    bomb = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b"\0" * 100_000_000, 9))
    content = png_claiming(32, 32)
    assert refused(content[:33] + bomb + content[33:], limits).reason is Unusable.CORRUPT


def test_colour_space_that_is_not_read_is_named(encode, limits):
    error = refused(encode(Image.new("LAB", (32, 32)), "TIFF"), limits)
    assert error.reason is Unusable.UNKNOWN_FORMAT
    assert "LAB" in error.message


def test_missing_path_is_no_damaged_image(limits, tmp_path):
    with pytest.raises(FileNotFoundError):
        inspect(tmp_path / "gone.png", limits)
    with pytest.raises(FileNotFoundError):
        decode_grey(tmp_path / "gone.png", limits)


def test_open_streams_are_closed(grey, encode, limits, tmp_path):
    path = tmp_path / "scan.png"
    path.write_bytes(encode(grey, "PNG"))
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        inspect(path, limits)
        inspect(io.BytesIO(path.read_bytes()).getvalue(), limits)
