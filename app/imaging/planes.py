"""A loaded Pillow image as planes of numbers, band by band, so that a giant one is never held twice as floats."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image
from PIL.ImageFile import ImageFile
from PIL.TiffImagePlugin import TiffImageFile

from app.errors import Unusable, UnusableImage
from app.imaging.header import EIGHT_BIT_MODES
from app.imaging.orientation import as_stored

WHITE_IS_ZERO = 0
_BAND_PIXELS = 1 << 22  # converted at a time: 16 MiB of floats

Grey = NDArray[np.float32]


def grey_plane(image: ImageFile, bits: int, orientation: int, *, reduce: int = 1) -> Grey:
    """The grey of a loaded image as displayed: float32 (height, width) in [0, 1].

    `bits` is the header's. reduce: an integer factor; boxes of so many pixels a side become their mean.
    Raises UnusableImage for values that are not finite or whose full scale is unknown.
    """
    width, height = -(-image.width // reduce), -(-image.height // reduce)
    shape = (width, height) if orientation >= 5 else (height, width)
    displayed = np.empty(shape, np.float32)
    stored = as_stored(displayed, orientation)
    scale = _Scale(image, bits)
    for top, bottom in bands(image.height, image.width, reduce):
        rows = scale.applied(image.crop((0, top, image.width, bottom)))
        stored[top // reduce : -(-bottom // reduce)] = smaller(rows, reduce)
    scale.check()
    return displayed


def colour_plane(image: ImageFile, orientation: int, *, reduce: int = 1) -> NDArray[np.uint8] | None:
    """The colours of a loaded image as displayed: uint8 (height, width, 3); None where they are all grey."""
    if image.mode not in EIGHT_BIT_MODES - {"1", "L", "LA", "La"} or (image.mode == "RGB" and _is_grey(image)):
        return None
    width, height = -(-image.width // reduce), -(-image.height // reduce)
    shape = (width, height, 3) if orientation >= 5 else (height, width, 3)
    displayed = np.empty(shape, np.uint8)
    stored = as_stored(displayed, orientation)
    coloured = False
    for top, bottom in bands(image.height, image.width, reduce):
        band = image.crop((0, top, image.width, bottom)).convert("RGB")
        small = np.asarray(band if reduce == 1 else band.reduce(reduce))
        coloured = coloured or bool((small[..., :1] != small[..., 1:]).any())
        stored[top // reduce : -(-bottom // reduce)] = small
    return displayed if coloured else None


def _is_grey(image: Image.Image) -> bool:
    """Whether the three channels are the same; laying out the colours of a grey scan takes four times as long."""
    for top, bottom in bands(image.height, image.width, 1):
        red, green, blue = (channel.tobytes() for channel in image.crop((0, top, image.width, bottom)).split())
        if not red == green == blue:
            return False
    return True


def smaller(rows: Grey, reduce: int) -> Grey:
    """Boxes of `reduce` x `reduce` pixels as their mean; those cut by the border as the mean of what is there."""
    return rows if reduce == 1 else np.asarray(Image.fromarray(rows).reduce(reduce))


def bands(height: int, width: int, reduce: int) -> Iterator[tuple[int, int]]:
    """First and last row (not included) of each band; all but the last are whole boxes."""
    rows = max(1, _BAND_PIXELS // (width * reduce)) * reduce
    for top in range(0, height, rows):
        yield top, min(top + rows, height)


class _Scale:
    """From stored samples to [0, 1], by the kind of image; what cannot be scaled is told at the end."""

    def __init__(self, image: ImageFile, bits: int) -> None:
        self._mode = image.mode
        self._eight = image.mode in EIGHT_BIT_MODES
        self._full = 1.0 if image.mode == "F" else 65535.0 if image.mode == "I" else float(2 ** min(bits, 16) - 1)
        # Pillow inverts "white is zero" up to 8 bits and leaves deeper images as they are.
        self._inverted = (
            not self._eight
            and isinstance(image, TiffImageFile)
            and image.tag_v2.get(ExifTags.Base.PhotometricInterpretation) == WHITE_IS_ZERO
        )
        self._least, self._most = 0.0, 0.0

    def applied(self, band: Image.Image) -> Grey:
        if self._eight:
            luma = band if band.mode == "L" else band.convert("L")
            return np.asarray(luma, dtype=np.float32) / np.float32(255)
        values = np.asarray(band).astype(np.float32)
        if self._mode in {"F", "I"}:
            self._look(values)
        values /= np.float32(self._full)
        return np.subtract(np.float32(1), values, out=values) if self._inverted else values

    def _look(self, values: Grey) -> None:
        if not np.isfinite(values).all():
            raise UnusableImage(Unusable.CORRUPT, "The image holds NaN or infinite values: export it anew.")
        self._least = min(self._least, float(values.min()))
        self._most = max(self._most, float(values.max()))

    def check(self) -> None:
        """Raises UnusableImage where values lay outside the full scale."""
        if self._least < 0 or self._most > self._full:
            raise UnusableImage(
                Unusable.UNKNOWN_FORMAT,
                f"The values reach from {self._least:g} to {self._most:g}, outside 0 to {self._full:g}, "
                "and their full scale is unknown: export the scan as 16-bit grey.",
            )
