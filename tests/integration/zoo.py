"""Files that nobody should send, and some odd ones that are fine. `docs/bad-input.md` is their table."""

import io
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps

from tests.dicom_files import dicom, ramp, report
from tests.integration.calls import encode, picture

READY = "ready"
ORIENTATIONS = range(1, 9)


@dataclass(frozen=True)
class Odd:
    """A file, and what it gets: `ready`, `failed` (by the worker, with a reason), or a status with a reason."""

    name: str
    make: Callable[[], bytes]
    answer: str | int
    reason: str | None = None


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png_of_zeros(side: int) -> bytes:
    """A true PNG: half a megabyte that would decode to hundreds."""
    rows = zlib.compressobj(9)
    body = b"".join(rows.compress(bytes(side + 1)) for _ in range(side)) + rows.flush()
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def jpeg(seed: int = 0) -> bytes:
    return encode(picture(seed, side=64), "JPEG", quality=95)


def jpeg_claiming(width: int, height: int) -> bytes:
    content = jpeg()
    at = content.index(b"\xff\xc0")
    return content[: at + 5] + struct.pack(">HH", height, width) + content[at + 9 :]


def truncated(form: str) -> bytes:
    content = encode(picture(1, side=96), form)
    return content[: len(content) // 2]


def frames(form: str, count: int = 3) -> bytes:
    first, *others = [picture(seed).convert("RGB") for seed in range(count)]
    return encode(first, form, save_all=True, append_images=others)


def rotated(orientation: int) -> bytes:
    """The same scan, stored turned and tagged so that it displays upright."""
    upright = Image.fromarray(np.add.outer(np.arange(0, 120, 3), np.arange(0, 120, 2)).astype(np.uint8))
    turns = {
        2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }  # fmt: skip
    turned = upright.transpose(turns[orientation]) if orientation in turns else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encode(turned, "PNG", exif=exif)
    shown = ImageOps.exif_transpose(Image.open(io.BytesIO(content)))
    assert np.array_equal(np.asarray(shown), np.asarray(upright))
    return content


def deep_png() -> bytes:
    values = np.random.default_rng(5).integers(0, 65_536, (40, 40)).astype(np.uint16)
    return encode(Image.fromarray(values), "PNG")


def float_tiff(value: float) -> bytes:
    return encode(Image.fromarray(np.full((32, 32), value, np.float32)), "TIFF")


ZOO = [
    Odd("zero-byte.jpg", lambda: b"", 422, "empty-file"),
    Odd("text-as-jpeg.jpg", lambda: b"Dear sir, please find the scan attached.\n" * 20, 415, "unknown-format"),
    Odd("text-behind-a-jpeg-magic.jpg", lambda: b"\xff\xd8\xff" + b"this is text " * 99, 422, "corrupt"),
    Odd("random-bytes.png", lambda: np.random.default_rng(1).bytes(4_000), 415, "unknown-format"),
    Odd("gif.gif", lambda: encode(picture(), "GIF"), 415, "unknown-format"),
    Odd("animated.gif", lambda: frames("GIF"), 415, "unknown-format"),
    Odd("animated.webp", lambda: frames("WEBP"), 422, "multiple-frames"),
    Odd("animated.png", lambda: frames("PNG"), 422, "multiple-frames"),
    Odd("too-many-pages.tiff", lambda: frames("TIFF", 17), 413, "too-many-frames"),
    Odd("too-many-frames.dcm", lambda: dicom(np.zeros((17, 32, 32), np.uint8)), 413, "too-many-frames"),
    Odd("report.dcm", report, 415, "unknown-format"),
    Odd("32-bit.dcm", lambda: dicom(ramp(dtype=np.uint32)), 415, "unknown-format"),
    Odd("truncated.dcm", lambda: dicom(ramp())[:-1_000], 422, "corrupt"),
    Odd("burned-in-name.dcm", lambda: dicom(ramp(), BurnedInAnnotation="YES"), 422, "identifying-pixels"),
    Odd("300-megapixels.jpg", lambda: jpeg_claiming(20_000, 15_000), 413, "too-many-pixels"),
    Odd("decompression-bomb.png", lambda: png_of_zeros(20_000), 413, "too-many-pixels"),
    Odd("1x1.png", lambda: encode(Image.new("L", (1, 1))), 422, "too-small"),
    Odd("header-only.png", lambda: encode(picture(), "PNG")[:20], 422, "corrupt"),
    Odd("lab-colours.tiff", lambda: encode(Image.new("LAB", (32, 32)), "TIFF"), 415, "unknown-format"),
    Odd("truncated.jpg", lambda: truncated("JPEG"), "failed", "corrupt"),
    Odd("truncated.png", lambda: truncated("PNG"), "failed", "corrupt"),
    Odd("float-without-scale.tiff", lambda: float_tiff(4711.0), "failed", "unknown-format"),
    Odd("float-with-nan.tiff", lambda: float_tiff(float("nan")), "failed", "corrupt"),
    Odd("png-named.jpg", lambda: encode(picture(2), "PNG"), READY),
    Odd("jpeg-without-extension", lambda: jpeg(3), READY),
    Odd("cmyk.jpg", lambda: encode(picture(4, side=64).convert("RGB").convert("CMYK"), "JPEG"), READY),
    Odd("palette.png", lambda: encode(picture(5).convert("P"), "PNG"), READY),
    Odd("alpha.png", lambda: encode(picture(6).convert("RGBA"), "PNG"), READY),
    Odd("one-bit.tiff", lambda: encode(picture(7).convert("1"), "TIFF"), READY),
    Odd("16-bit.png", deep_png, READY),
    Odd("many-pages.tiff", lambda: frames("TIFF"), READY),
    Odd("trailing-garbage.jpg", lambda: jpeg(8) + b"\0" * 5_000, READY),
    *(Odd(f"exif-{n}.png", lambda n=n: rotated(n), READY) for n in ORIENTATIONS),
]
