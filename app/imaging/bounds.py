"""What a file may hold, and how whatever a decoder raises on hostile bytes is said."""

import errno
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from PIL import Image

from app.errors import Unusable, UnusableImage

# What decoders are known to raise on hostile bytes. `Warning`: under `-W error` damaged metadata
# arrives as an exception. No MemoryError: a machine that is short of memory is no damaged scan.
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
# A file is read while it is decoded; these say that the disk failed, not that the scan is damaged.
DISK_ERRORS = frozenset({errno.EIO, errno.ESTALE, errno.ENXIO, errno.ENODEV, errno.ETIMEDOUT, errno.ENOTCONN})


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on what is accepted: bytes of the file, pixels of a frame, pixels of its shorter side, frames."""

    max_bytes: int
    max_pixels: int
    min_side: int
    max_frames: int = 16


def check_bytes(size: int, limits: Limits) -> None:
    """Raises UnusableImage(TOO_MANY_BYTES) if `size` bytes are more than accepted."""
    if size > limits.max_bytes:
        raise UnusableImage(
            Unusable.TOO_MANY_BYTES,
            f"The file has {size:,} bytes and at most {limits.max_bytes:,} are accepted: "
            "compress it, or raise PENUMBRA_MAX_FILE_BYTES.",
        )


def check_size(width: int, height: int, limits: Limits) -> None:
    """Raises UnusableImage (TOO_MANY_PIXELS, TOO_SMALL) for a frame of a size that is not accepted."""
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


def check_frames(frames: int, limits: Limits) -> None:
    """Raises UnusableImage(TOO_MANY_FRAMES) for more frames or pages than are accepted."""
    if frames > limits.max_frames:
        raise UnusableImage(
            Unusable.TOO_MANY_FRAMES,
            f"The file holds more than {limits.max_frames} frames or pages: export those that are the scan, "
            "or raise PENUMBRA_MAX_FRAMES.",
        )


@contextmanager
def decoder_errors(media_type: str) -> Iterator[None]:
    """Translate whatever a decoder raises on damaged content into UnusableImage."""
    try:
        yield
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UnusableImage(
            Unusable.TOO_MANY_PIXELS, "The image or one of its tiles has too many pixels: export it smaller."
        ) from error
    except DECODER_ERRORS as error:
        if isinstance(error, OSError) and error.errno in DISK_ERRORS:
            raise
        raise corrupt(media_type, error) from error


def corrupt(media_type: str, why: BaseException | str) -> UnusableImage:
    """The refusal of content that cannot be decoded."""
    said = str(why) or type(why).__name__
    return UnusableImage(
        Unusable.CORRUPT,
        f"The {media_type} content is damaged, cut short or of an unsupported kind "
        f"({said[:300]}): send it again, or export it anew.",
    )
