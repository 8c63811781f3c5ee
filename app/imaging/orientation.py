"""How a stored picture is turned to be displayed (EXIF orientation, 1 to 8)."""

from typing import Any

from numpy.typing import NDArray


def upright(stored: NDArray[Any], orientation: int) -> NDArray[Any]:
    """A view of (h, w, ...) as displayed: 5 to 8 swap the axes, then rows or columns are mirrored."""
    if orientation >= 5:
        stored = stored.swapaxes(0, 1)
    if orientation in {3, 4, 7, 8}:
        stored = stored[::-1]
    if orientation in {2, 3, 6, 7}:
        stored = stored[:, ::-1]
    return stored


def as_stored(displayed: NDArray[Any], orientation: int) -> NDArray[Any]:
    """The inverse of `upright`: a view of a displayed plane, to be filled by the rows of the file."""
    if orientation in {2, 3, 6, 7}:
        displayed = displayed[:, ::-1]
    if orientation in {3, 4, 7, 8}:
        displayed = displayed[::-1]
    if orientation >= 5:
        displayed = displayed.swapaxes(0, 1)
    return displayed
