"""Array types of this room, and the one check that every matrix of features passes."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from app.errors import InvalidInput, MixedFeatureSets

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Floats = npt.NDArray[np.floating]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


def feature_matrix(name: str, values: npt.ArrayLike, dimensions: int) -> Float32:
    """Return `values` as contiguous float32 (n, dimensions).

    Raises `InvalidInput` for anything that is no matrix of finite numbers, `MixedFeatureSets` for another width.
    """
    given = np.asarray(values)
    if given.ndim != 2 or given.dtype.kind not in "fiu":
        raise InvalidInput(
            f"'{name}' features have shape {given.shape} and type {given.dtype}; send a matrix (rows, {dimensions})"
        )
    if given.shape[1] != dimensions:
        raise MixedFeatureSets(
            f"'{name}' features have {given.shape[1]} dimensions where {dimensions} are expected; "
            "use vectors of the feature set that the head was trained on"
        )
    matrix = np.ascontiguousarray(given, dtype=np.float32)
    require_finite(name, matrix)
    return matrix


def require_finite(name: str, matrix: Float32) -> None:
    """Raise `InvalidInput` that names the first row with a NaN or an infinity."""
    # A sum is one pass without a mask; every NaN and infinity survives it.
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(matrix.sum(dtype=np.float64)):
            return
    row = int(np.flatnonzero(~np.isfinite(matrix).all(axis=1))[0])
    raise InvalidInput(f"'{name}' features of row {row} are not finite; extract that region again")


@dataclass(frozen=True)
class FeatureRows:
    """Features that were checked once and may be scored by many heads: `avg` and `max` float32 (n, dimensions)."""

    avg: Float32
    max: Float32

    @classmethod
    def checked(cls, avg: npt.ArrayLike, max_: npt.ArrayLike, widths: tuple[int, int]) -> "FeatureRows":
        """Raise `MixedFeatureSets` for other widths, `InvalidInput` for values that are not finite or no matrix."""
        rows = cls(feature_matrix("avg", avg, widths[0]), feature_matrix("max", max_, widths[1]))
        if len(rows.avg) != len(rows.max):
            raise InvalidInput(f"{len(rows.avg)} 'avg' rows beside {len(rows.max)} 'max' rows; send one of each")
        return rows

    @property
    def widths(self) -> tuple[int, int]:
        return self.avg.shape[1], self.max.shape[1]
