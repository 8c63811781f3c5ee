"""Stored values of a DICOM image to displayed grey: modality, then VOI, then MONOCHROME1 (PS3.3 C.11, C.7.6.3).

At most 16 bits are stored, so that pydicom's own functions are asked once for every value there may be, and each
pixel is then looked up: the same numbers as theirs, in a quarter of the memory.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.imaging.planes import bands

Grey = NDArray[np.float32]

# Of a picture of more than 8 bits that says no window: shares of its pixels that become black and white.
LOW_PERCENTILE, HIGH_PERCENTILE = 0.5, 99.5


def stored_values(dtype: np.dtype[Any]) -> NDArray[Any]:
    """Every value that samples of an integer type may have, by their bits taken as an unsigned number."""
    unsigned = np.arange(1 << (8 * dtype.itemsize), dtype=np.uint32).astype(f"u{dtype.itemsize}")
    return unsigned.view(f"{dtype.kind}{dtype.itemsize}")


def curve(look: Any, stored: NDArray[Any]) -> Grey:
    """The displayed grey of every stored value, float32 in [0, 1], ordered as `stored_values`.

    look: the data set with the transformations of this frame (`frame_look`); stored: the frame's samples, of whose
    values percentiles are taken where the file says no window. Padding is black.
    Raises what pydicom raises for transformations that make no sense, ValueError for what is not finite.
    """
    from pydicom.pixels import apply_modality_lut  # noqa: PLC0415

    values = stored_values(stored.dtype)
    padded = _padding(look, values)
    rescaled = apply_modality_lut(values, look)
    if windowed(look):
        shown = _unit(np.asarray(_through_voi(rescaled, look), np.float64), *_range(look))
    elif look.BitsStored <= 8:
        shown = _unit(np.asarray(rescaled, np.float64), *_range(look))
    else:
        shown = _unit(np.asarray(rescaled, np.float64), *_percentiles(stored, rescaled, padded))
    if look.PhotometricInterpretation == "MONOCHROME1":
        shown = 1 - shown
    if not np.isfinite(shown).all():
        raise ValueError("a transformation gives values that are not finite")
    shown[padded] = 0
    return shown.astype(np.float32)


def _through_voi(rescaled: NDArray[Any], look: Any) -> NDArray[Any]:
    """pydicom's `apply_voi_lut`. What lies beyond the ends of a table is brought to them first: pydicom (3.0) brings
    it there only after a cast that wraps it round."""
    from pydicom.pixels import apply_voi_lut  # noqa: PLC0415

    if (table := _voi_table(look)) is not None:
        entries, first = int(table.LUTDescriptor[0]) or 1 << 16, int(table.LUTDescriptor[1])
        rescaled = np.clip(np.floor(np.asarray(rescaled, np.float64)), first, first + entries - 1).astype(np.int64)
    return np.asarray(apply_voi_lut(rescaled, look))


def _voi_table(look: Any) -> Any:
    voi = look.get("VOILUTSequence")
    return voi[0] if voi and None not in (voi[0].get("LUTDescriptor"), voi[0].get("LUTData")) else None


def windowed(look: Any) -> bool:
    """Whether the file says how it is to be shown."""
    # An empty attribute counts as none.
    return _voi_table(look) is not None or not any(
        look.get(word) in (None, "") for word in ("WindowCenter", "WindowWidth")
    )


def frame_look(dataset: Any, index: int) -> Any:
    """The attributes that say how frame `index` is shown, from the file and its functional groups."""
    from pydicom.dataset import Dataset  # noqa: PLC0415

    look = Dataset()
    look.file_meta = dataset.file_meta
    _copy(dataset, look)
    groups = [dataset.get("SharedFunctionalGroupsSequence"), dataset.get("PerFrameFunctionalGroupsSequence")]
    for group, place in zip(groups, (0, index), strict=True):
        if group and place < len(group):
            for name in ("PixelValueTransformationSequence", "FrameVOILUTSequence"):
                for item in group[place].get(name) or ():
                    _copy(item, look)
    for word in ("WindowCenter", "WindowWidth", "RescaleSlope", "RescaleIntercept"):
        if word in look and look.get(word) in (None, ""):
            del look[word]
    return look


_LOOK = (
    "PhotometricInterpretation", "BitsStored", "BitsAllocated", "PixelRepresentation", "RescaleSlope",
    "RescaleIntercept", "ModalityLUTSequence", "VOILUTSequence", "WindowCenter", "WindowWidth", "VOILUTFunction",
    "PixelPaddingValue", "PixelPaddingRangeLimit",
)  # fmt: skip


def _copy(source: Any, look: Any) -> None:
    for word in _LOOK:
        if word in source:
            look[word] = source[word]


def _range(look: Any) -> tuple[float, float]:
    """Least and most of what the transformations give: as pydicom's `apply_windowing` has it, or of the VOI table."""
    if (table := _voi_table(look)) is not None:
        return 0.0, float(2 ** int(table.LUTDescriptor[2]) - 1)
    if modality := look.get("ModalityLUTSequence"):
        return 0.0, float(2 ** int(modality[0].LUTDescriptor[2]) - 1)
    bits = int(look.BitsStored)
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if look.PixelRepresentation else (0, 2**bits - 1)
    if "RescaleSlope" in look and "RescaleIntercept" in look:
        slope, intercept = float(look.RescaleSlope), float(look.RescaleIntercept)
        return low * slope + intercept, high * slope + intercept
    return float(low), float(high)


def _percentiles(stored: NDArray[Any], rescaled: NDArray[Any], padded: NDArray[np.bool_]) -> tuple[float, float]:
    """The rescaled values between which the picture lies, by a histogram of its samples; padding does not count."""
    codes = stored.view(f"u{stored.dtype.itemsize}")
    counts = np.zeros(len(rescaled), np.int64)
    height, width = codes.shape
    for top, bottom in bands(height, width, 1):  # NumPy counts in eight bytes a sample
        counts += np.bincount(codes[top:bottom].ravel(), minlength=len(rescaled))
    counts[padded] = 0
    order = np.argsort(rescaled, kind="stable")
    reached = np.cumsum(counts[order])
    if not reached[-1]:
        return 0.0, 1.0
    at = np.searchsorted(reached, np.array([LOW_PERCENTILE, HIGH_PERCENTILE]) / 100 * reached[-1])
    low, high = np.asarray(rescaled, np.float64)[order][at]
    return float(low), float(high)


def _unit(values: NDArray[np.float64], low: float, high: float) -> NDArray[np.float64]:
    """Values between `low` (0) and `high` (1); a constant picture keeps to the middle."""
    if high == low:
        return np.full(values.shape, 0.5)
    return np.clip((values - low) / (high - low), 0, 1)


def _padding(look: Any, values: NDArray[Any]) -> NDArray[np.bool_]:
    """Which values mark pixels outside the picture."""
    value = look.get("PixelPaddingValue")
    if value is None or value == "":
        return np.zeros(values.shape, np.bool_)
    limit = look.get("PixelPaddingRangeLimit")
    ends = [_as_stored(int(v), values.dtype) for v in (value, value if limit in (None, "") else limit)]
    return (values >= min(ends)) & (values <= max(ends))


def _as_stored(value: int, dtype: np.dtype[Any]) -> int:
    """Writers disagree on whether the attribute is signed: its bits are what counts."""
    bits = 8 * dtype.itemsize
    value &= (1 << bits) - 1
    return value - (1 << bits) if dtype.kind == "i" and value >> (bits - 1) else value
