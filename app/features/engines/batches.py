"""What every engine does with a batch before and after its forward pass."""

from collections.abc import Iterator

import numpy as np

from app.errors import InvalidInput
from app.features.spec import Features, FeatureSetSpec, InputBatch

# Images in one pass: more is no faster (measured at 8, 16, 32 and 64) and takes memory in proportion.
CHUNK = 16


def checked(spec: FeatureSetSpec, batch: InputBatch) -> InputBatch:
    """`batch`, contiguous. Raises InvalidInput unless it is float32 (n, height, width) of the spec."""
    expected = (spec.preprocessing.height, spec.preprocessing.width)
    if batch.ndim != 3 or batch.shape[1:] != expected or batch.dtype != np.float32:
        raise InvalidInput(
            f"A batch of {spec.name} is float32 (n, {expected[0]}, {expected[1]}), not {batch.dtype} {batch.shape}."
        )
    return np.ascontiguousarray(batch)


def chunks(count: int, streams: int = 1) -> Iterator[slice]:
    """The rows of `count` images in pieces of at most `CHUNK`, in order and small enough to feed `streams`."""
    step = max(1, min(CHUNK, -(-count // streams)))
    for start in range(0, count, step):
        yield slice(start, min(start + step, count))


def empty(spec: FeatureSetSpec, count: int) -> Features:
    """Room for the features of `count` images, to be filled."""
    return Features(np.empty((count, spec.avg_dim), np.float32), np.empty((count, spec.max_dim), np.float32))
