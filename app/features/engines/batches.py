"""What every engine does with a batch before and after its forward pass."""

from collections.abc import Iterator, Sequence

import numpy as np

from app.errors import InvalidInput
from app.features.spec import Features, FeatureSetSpec, InputBatch

# Images in one pass: more is no faster (measured at 8, 32 and 64) and takes memory in proportion.
CHUNK = 32


def checked(spec: FeatureSetSpec, batch: InputBatch) -> InputBatch:
    """`batch`, contiguous. Raises InvalidInput unless it is float32 (n, height, width) of the spec."""
    expected = (spec.preprocessing.height, spec.preprocessing.width)
    if batch.ndim != 3 or batch.shape[1:] != expected or batch.dtype != np.float32:
        raise InvalidInput(
            f"A batch of {spec.name} is float32 (n, {expected[0]}, {expected[1]}), not {batch.dtype} {batch.shape}."
        )
    return np.ascontiguousarray(batch)


def chunks(batch: InputBatch) -> Iterator[InputBatch]:
    """`batch` in pieces of at most `CHUNK` images, in order."""
    for start in range(0, len(batch), CHUNK):
        yield batch[start : start + CHUNK]


def joined(spec: FeatureSetSpec, parts: Sequence[Features]) -> Features:
    """The features of all pieces; none gives arrays of no rows."""
    if not parts:
        return Features(np.empty((0, spec.avg_dim), np.float32), np.empty((0, spec.max_dim), np.float32))
    if len(parts) == 1:
        return parts[0]
    return Features(np.concatenate([part.avg for part in parts]), np.concatenate([part.max for part in parts]))
