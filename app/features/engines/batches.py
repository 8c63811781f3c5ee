"""What every engine does with a batch before and after its forward pass, and when memory runs out in it."""

import logging
from collections.abc import Callable, Iterator

import numpy as np

from app.errors import InvalidInput
from app.features.spec import Features, FeatureSetSpec, InputBatch

log = logging.getLogger(__name__)

CHUNK = 16
"""Images in one pass, before `measure_chunk` has measured what is best here."""

# How the libraries say it, where they have no class of their own for it.
OUT_OF_MEMORY = ("RESOURCE_EXHAUSTED", "bad_alloc", "bad array new length", "out of memory", "ailed to allocate")


class Chunk:
    """How many images one forward pass of an extractor takes; halved for good when memory runs out."""

    def __init__(self, size: int = CHUNK) -> None:
        self.size = size

    def run(self, engine: str, count: int, work: Callable[[int], None]) -> None:
        """`work(size)`, which does all of `count` images in passes of at most `size`; again from the start with
        half of it when memory runs out, down to one image. Raises what `work` does."""
        while True:
            try:
                return work(self.size)
            except Exception as error:
                smaller = min(self.size, count) // 2
                if smaller < 1 or not ran_out_of_memory(error):
                    raise
                log.warning(
                    "%s: memory ran out with %d images in a pass; from here on %d (%s)",
                    engine, min(self.size, count), smaller, str(error).partition("\n")[0][:200],
                )  # fmt: skip
                self.size = smaller


def ran_out_of_memory(error: BaseException) -> bool:
    """Whether NumPy, TensorFlow, JAX or OpenVINO says by `error` that memory did not suffice."""
    if isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError":
        return True
    text = str(error)
    return any(word in text for word in OUT_OF_MEMORY) or "Out of memory" in text


def checked(spec: FeatureSetSpec, batch: InputBatch) -> InputBatch:
    """`batch`, contiguous. Raises InvalidInput unless it is float32 (n, height, width) of the spec."""
    expected = (spec.preprocessing.height, spec.preprocessing.width)
    if batch.ndim != 3 or batch.shape[1:] != expected or batch.dtype != np.float32:
        raise InvalidInput(
            f"A batch of {spec.name} is float32 (n, {expected[0]}, {expected[1]}), not {batch.dtype} {batch.shape}."
        )
    return np.ascontiguousarray(batch)


def chunks(count: int, size: int, streams: int = 1) -> Iterator[slice]:
    """The rows of `count` images in order, in pieces of at most `size`, as many as keep all `streams` busy alike."""
    rounds = -(-count // (streams * size))
    step = max(1, -(-count // max(1, rounds * streams)))
    for start in range(0, count, step):
        yield slice(start, min(start + step, count))


def padded(batch: InputBatch) -> InputBatch:
    """`batch` with zeros after it up to a power of two, for engines that compile anew for every length."""
    room = 1 << (len(batch) - 1).bit_length()
    if room == len(batch):
        return batch
    return np.concatenate([batch, np.zeros((room - len(batch), *batch.shape[1:]), batch.dtype)])


def empty(spec: FeatureSetSpec, count: int) -> Features:
    """Room for the features of `count` images, to be filled."""
    return Features(np.empty((count, spec.avg_dim), np.float32), np.empty((count, spec.max_dim), np.float32))
