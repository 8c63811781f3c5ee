"""Frames come one after the other, at full depth, or as small as their caller can use."""

import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.errors import InvalidInput, Unusable, UnusableImage
from app.imaging import Limits, decode_grey, inspect
from app.imaging.frames import HUGE_PIXELS, decode_frames
from app.imaging.preprocessing import Preprocessing
from app.imaging.resize import prepare, resized
from app.imaging.room import Room
from tests.waiting import PATIENCE

DEPTH = np.random.default_rng(7).integers(0, 65536, (40, 50, 4)).astype(np.uint16)


def only(content, limits, **options):
    (frame,) = decode_frames(content, limits, **options)
    return frame


@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF", "BMP", "WEBP"])
def test_a_single_frame_is_what_decode_grey_gives(form, grey, encode, limits):
    content = encode(grey, form)
    frame = only(content, limits)
    np.testing.assert_array_equal(frame.grey, decode_grey(content, limits))
    assert (frame.index, frame.bits, frame.scale) == (0, 8, (1, 1))
    assert frame.colour is None or form == "WEBP"  # whose lossy colours of a grey picture differ by one


def test_colours_that_differ_come_beside_the_grey(grey, encode, limits):
    colour = np.stack([grey, np.roll(grey, 5, 0), np.roll(grey, 9, 1)], axis=2)
    exif = Image.Exif()
    exif[0x0112] = 6
    frame = only(encode(colour, "PNG", exif=exif), limits)
    np.testing.assert_array_equal(frame.colour, np.rot90(colour, -1))
    assert frame.grey.shape == frame.colour.shape[:2]


def pages(encode, **options):
    sizes = [(40, 60), (30, 20), (64, 64)]
    made = [
        Image.fromarray((np.random.default_rng(n).random(s) * 65535).astype(np.uint16)) for n, s in enumerate(sizes)
    ]
    return made, encode(made[0], "TIFF", save_all=True, append_images=made[1:], **options)


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_adobe_deflate"])
def test_pages_of_a_tiff_are_frames_of_their_own_size(compression, encode, limits):
    made, content = pages(encode, compression=compression)
    header = inspect(content, limits)
    assert (header.frames, header.sizes) == (3, ((60, 40), (20, 30), (64, 64)))
    for page, frame in zip(made, decode_frames(content, limits), strict=True):
        np.testing.assert_array_equal(frame.grey, np.asarray(page, np.float32) / np.float32(65535))
    assert [frame.index for frame in decode_frames(content, limits, indexes=[2, 0, 2])] == [2, 0, 2]
    with pytest.raises(InvalidInput):
        list(decode_frames(content, limits, indexes=[3]))


def test_more_pages_than_accepted_are_refused(encode):
    _, content = pages(encode)
    with pytest.raises(UnusableImage) as caught:
        inspect(content, Limits(10**7, 10**7, 1, max_frames=2))
    assert caught.value.reason is Unusable.TOO_MANY_FRAMES
    assert "PENUMBRA_MAX_FRAMES" in caught.value.message


def test_every_page_is_held_against_the_bounds(encode):
    _, content = pages(encode)
    with pytest.raises(UnusableImage) as caught:
        inspect(content, Limits(10**7, 3000, 1))
    assert caught.value.reason is Unusable.TOO_MANY_PIXELS


def test_a_preview_is_no_page(encode, limits):
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

    preview = Image.new("L", (20, 20))
    preview.encoderinfo = {}
    directory = ImageFileDirectory_v2()
    directory[254] = 1
    preview.encoderinfo["tiffinfo"] = directory
    content = encode(Image.new("L", (40, 40), 9), "TIFF", save_all=True, append_images=[preview])
    assert inspect(content, limits).frames == 1


# Colour of 16 bits


def deep_png(values, colour_type):
    import struct
    import zlib

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    height, width = values.shape[:2]
    rows = values.astype(">u2").reshape(height, -1)
    # A filter that looks at the pixel before: bytes a pixel must be counted rightly.
    raw = np.frombuffer(rows.tobytes(), np.uint8).reshape(height, -1)
    apart = values.shape[2] * 2
    filtered = raw.copy()
    filtered[:, apart:] -= raw[:, :-apart]
    body = b"".join(b"\1" + row.tobytes() for row in filtered)
    header = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(body)) + chunk(b"IEND", b"")


@pytest.mark.parametrize(("channels", "colour_type"), [(3, 2), (4, 6)])
def test_sixteen_bit_colour_keeps_all_its_bits(channels, colour_type, limits):
    frame = only(deep_png(DEPTH[..., :channels], colour_type), limits)
    expected = DEPTH[..., :3] @ np.array([0.299, 0.587, 0.114]) / 65535
    np.testing.assert_allclose(frame.grey, expected, atol=2e-6)
    assert frame.bits == 16
    np.testing.assert_array_equal(frame.colour, DEPTH[..., :3] >> 8)


def test_sixteen_bit_grey_with_alpha_keeps_all_its_bits(limits):
    content = deep_png(DEPTH[..., :2], 4)
    np.testing.assert_allclose(only(content, limits).grey, DEPTH[..., 0] / 65535, atol=1e-6)


def deep_tiff(values, order, compression):
    """A TIFF of one strip, written by hand: Pillow writes no such colour."""
    import struct
    import zlib

    height, width, channels = values.shape
    body = values.astype(f"{order}u2").tobytes()
    body = zlib.compress(body) if compression == 8 else body
    at = 8 + len(body)
    entries = [
        (256, 4, 1, width), (257, 4, 1, height), (258, 3, channels, at), (259, 3, 1, compression), (262, 3, 1, 2),
        (273, 4, 1, 8), (277, 3, 1, channels), (278, 4, 1, height), (279, 4, 1, len(body)),
    ]  # fmt: skip
    bits = struct.pack(f"{order}{channels}H", *[16] * channels)
    packed = struct.pack(f"{order}H", len(entries))
    for tag, kind, count, value in entries:
        short = kind == 3 and count == 1
        packed += struct.pack(f"{order}HHI", tag, kind, count) + struct.pack(
            f"{order}{'HH' if short else 'I'}", *([value, 0] if short else [value])
        )
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", at + len(bits))
    return head + body + bits + packed + b"\0" * 4


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("compression", [1, 8])
def test_sixteen_bit_colour_of_a_tiff_keeps_all_its_bits(order, compression, limits):
    values = DEPTH[..., :3]
    content = deep_tiff(values, order, compression)
    frame = only(content, limits)
    np.testing.assert_allclose(frame.grey, values @ np.array([0.299, 0.587, 0.114]) / 65535, atol=2e-6)
    np.testing.assert_array_equal(frame.colour, values >> 8)
    shallow = only(content, limits, deep_colour=False)
    np.testing.assert_array_equal(shallow.grey, decode_grey(content, limits))


# Smaller


def test_a_jpeg_is_decoded_no_smaller_than_asked(encode, limits):
    picture = Image.linear_gradient("L").resize((1600, 1000))
    content = encode(picture, "JPEG", quality=95)
    for at_least, side in ((None, 1000), (900, 1000), (500, 500), (300, 500), (224, 250), (1, 125)):
        frame = only(content, limits, at_least=at_least)
        assert min(frame.grey.shape) == side
        assert frame.scale == (1000 / side, 1000 / side)
    full = only(content, limits).grey
    np.testing.assert_allclose(
        only(content, limits, at_least=250).grey, full.reshape(250, 4, 400, 4).mean((1, 3)), atol=0.02
    )


def test_only_a_huge_plane_is_reduced(encode):
    generous = Limits(10**8, 10**8, 1)
    small = np.random.default_rng(0).integers(0, 65536, (600, 700)).astype(np.uint16)
    assert only(encode(small, "TIFF"), generous, at_least=100).scale == (1, 1)
    huge = np.tile(small, (7, 6))
    assert huge.size > HUGE_PIXELS
    frame = only(encode(huge, "TIFF"), generous, at_least=1000)
    assert frame.grey.shape == (1050, 1050)
    means = huge.reshape(1050, 4, 1050, 4).mean((1, 3)) / 65535
    np.testing.assert_allclose(frame.grey, means, atol=1e-6)


def test_a_giant_plane_is_resized_in_bands_as_at_once(monkeypatch):
    monkeypatch.setattr("app.imaging.resize._GIANT_PIXELS", 1)
    monkeypatch.setattr("app.imaging.resize._BAND_PIXELS", 5_000)
    for shape in ((700, 900), (900, 300)):
        plane = np.random.default_rng(1).random(shape, dtype=np.float32)
        at_once = np.asarray(Image.fromarray(plane).resize((224, 224), Image.Resampling.BILINEAR))
        np.testing.assert_allclose(resized(plane, 224, 224), at_once, atol=1e-6)
        assert prepare(plane, Preprocessing()).shape == (224, 224)


# Room


def test_giant_scans_do_not_meet():
    room, most, inside = Room(100), [], []

    def work(pixels):
        with room.hold(pixels):
            inside.append(pixels)
            most.append(sum(inside))
            time.sleep(0.005)
            inside.remove(pixels)

    threads = [threading.Thread(target=work, args=(pixels,)) for pixels in (80, 70, 30, 20, 500, 90, 10) * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert not any(thread.is_alive() for thread in threads)
    assert max(total for total in most if total != 500) <= 100
    assert [total for total in most if total > 100] == [500] * 3  # larger than the room: each alone


def test_a_thread_that_is_inside_enters_again():
    room = Room(100)
    with room.hold(90), room.hold(90):
        pass
    with room.hold(100):
        pass


def test_a_frame_holds_its_room_until_its_caller_is_done(encode, limits, grey, monkeypatch):
    room = Room(60 * 40)
    monkeypatch.setattr("app.imaging.frames.ROOM", room)
    frames = decode_frames(encode(grey, "PNG"), limits)
    next(frames)
    assert room._free == 0
    frames.close()
    assert room._free == 60 * 40


# Memory

MEASURE = """
import resource, sys
from pathlib import Path
from app.imaging import Limits, Preprocessing, decode_grey
from app.imaging.frames import decode_frames
from app.imaging.resize import prepare
path, limits = Path(sys.argv[1]), Limits(1 << 29, 250_000_000, 16)
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
before = peak()
for frame in decode_frames(path, limits, at_least=448):
    assert min(frame.grey.shape) >= 448
reduced = peak() - before
prepare(decode_grey(path, limits), Preprocessing())
print(reduced, peak() - before)
"""


@pytest.mark.parametrize("compression", [None, "tiff_adobe_deflate"])
def test_a_large_deep_tiff_is_decoded_in_little_more_than_its_planes(compression, tmp_path):
    """40 megapixels of 16 bits: 76 MiB as they are stored, 153 MiB as floats. `benchmarks/memory.py` has 200."""
    picture = Image.fromarray(np.tile(np.arange(8_000, dtype=np.uint16), (5_000, 1)))
    picture.save(tmp_path / "large.tiff", compression=compression)
    root = Path(__file__).resolve().parents[3]
    said = subprocess.run(
        [sys.executable, "-c", MEASURE, tmp_path / "large.tiff"], capture_output=True, text=True, check=True, cwd=root
    )
    reduced, full = map(float, said.stdout.split())
    stored, floats = 76.3, 152.6
    assert reduced < 2 * stored + 60  # the pixels, and at most the file or a strip of it beside them
    assert full < stored + floats + 60
