"""Each part of an extraction alone: the forward pass, and decoding with resizing. In a process of their own, kept
alive between rounds and idle between them, so that what is compared can be measured in turn."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from app.config import Settings
from app.imaging import Limits
from app.imaging.prepare import prepare_scan
from app.services.ingest import limits

BATCH = 32
_kept: dict[str, Any] = {}


@dataclass(frozen=True)
class Pace:
    """Images a second by the clock, and seconds of the processor that each took."""

    per_second: float
    cpu: float


def open_forward(feature_set: str, cache: str, count: int) -> tuple[str, int]:
    """Load an extractor and make it ready; its engine, and the images that it takes in a pass."""
    from app.features.engines import build_extractor, measure_chunk

    extractor = build_extractor(
        feature_set, weights=None, engine="auto", precision="auto", cache_dir=Path(cache), weights_dir=None
    )  # fmt: skip
    measured = measure_chunk(extractor, Path(cache))
    steps = extractor.spec.preprocessing
    pixels = np.random.default_rng(0).random((count, steps.height, steps.width), np.float32)
    extractor.extract(pixels[:BATCH])
    _kept["forward"] = (extractor, pixels)
    return extractor.engine, measured.size if measured else BATCH


def forward() -> Pace:
    """The bare engine, in batches of 32."""
    extractor, pixels = _kept["forward"]
    with timed(len(pixels)) as found:
        in_batches(extractor.extract, pixels)
    return found[0]


def decode(feature_set: str, paths: Sequence[str]) -> Pace:
    """From files to the network's input, on as many threads as there are cores."""
    from app.features.weights import resolve

    steps = resolve(feature_set, None).spec.preprocessing
    bounds: Limits = limits(Settings())
    with ThreadPoolExecutor(os.cpu_count()) as pool, timed(len(paths)) as found:
        for _ in pool.map(lambda path: prepare_scan(Path(path), bounds, steps), paths):
            pass
    return found[0]


def open_keras() -> None:
    """Build the same network with Keras, for `predict` and as a `tf.function`."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf

    from app.features.backbone import build
    from app.features.weights import resolve

    resolved = resolve("densenet121-xray", None)
    model = build(resolved)
    steps = resolved.spec.preprocessing
    pixels = np.random.default_rng(0).random((64, steps.height, steps.width), np.float32)
    function = tf.function(lambda batch: model(batch, training=False))
    _kept["keras"] = (model, function, pixels)
    model.predict(pixels[:BATCH], batch_size=BATCH, verbose=0)
    function(tf.constant(pixels[:BATCH]))


def keras_predict() -> Pace:
    model, _, pixels = _kept["keras"]
    with timed(len(pixels)) as found:
        in_batches(lambda batch: model.predict(batch, batch_size=BATCH, verbose=0), pixels)
    return found[0]


def keras_function() -> Pace:
    import tensorflow as tf

    _, function, pixels = _kept["keras"]
    with timed(len(pixels)) as found:
        in_batches(lambda batch: function(tf.constant(batch)), pixels)
    return found[0]


def in_batches(run: Callable[[Any], Any], pixels: Any) -> None:
    for start in range(0, len(pixels), BATCH):
        run(pixels[start : start + BATCH])


@contextmanager
def timed(images: int) -> Iterator[list[Pace]]:
    """How fast the block works on so many images; the list has it when the block has ended."""
    found: list[Pace] = []
    started, spent = time.perf_counter(), time.process_time()
    yield found
    found.append(Pace(images / (time.perf_counter() - started), (time.process_time() - spent) / images))
