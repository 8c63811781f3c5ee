"""How many images to give an engine at once: measured at the start, on this machine."""

import logging
import time

import numpy as np

from app.features.spec import Extractor

log = logging.getLogger(__name__)

SIZES = (4, 8, 16, 32)
# Of two sizes as fast, within this, the smaller: an upload waits for a batch that is under way.
AS_FAST = 0.95
ROUNDS = 3


def best_batch(extractor: Extractor) -> int:
    """The smallest batch that is about as fast as any; the figures are logged."""
    steps = extractor.spec.preprocessing
    pixels = np.random.default_rng(0).random((max(SIZES), steps.height, steps.width), np.float32)
    extractor.extract(pixels)  # the first pass of an engine is slow
    seconds = {size: float("inf") for size in SIZES}
    for _ in range(ROUNDS):  # in turn, and the fastest of each: a neighbour's burst must not decide
        for size in SIZES:
            started = time.perf_counter()
            extractor.extract(pixels[:size])
            seconds[size] = min(seconds[size], (time.perf_counter() - started) / size)
    chosen = next(size for size in SIZES if seconds[size] * AS_FAST <= min(seconds.values()))
    figures = ", ".join(f"{size}: {1 / seconds[size]:.0f}" for size in SIZES)
    log.info("%s: batches of %d (images/s by batch: %s)", extractor.spec.name, chosen, figures)
    return chosen
