"""The forward pass alone: our engine, and Keras `predict` on the same graph and weights.

Each runs in a process of its own, so that neither holds memory or threads while another is measured.
"""

import multiprocessing
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from app.config import Settings
from app.imaging import Preprocessing, load
from app.services.ingest import limits

BATCH = 32
FEATURE_SET = "densenet121-xray"


@dataclass(frozen=True)
class Figures:
    engine: str
    engine_per_second: float
    keras_per_second: float


def measure(contents: list[bytes], cache: Path) -> Figures:
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        name, ours = pool.apply(_engine, (contents[:512], str(cache)))
    with context.Pool(1) as pool:
        keras = pool.apply(_keras, (contents[:160],))
    return Figures(name, ours, keras)


def _pixels(contents: list[bytes]) -> Any:
    bounds = limits(Settings())
    return np.stack([load(content, bounds, Preprocessing()) for content in contents])


def _per_second(run: Callable[[Any], Any], pixels: Any) -> float:
    """Images a second over all of `pixels` in batches, after one batch of warming up."""
    run(pixels[:BATCH])
    started = time.perf_counter()
    for start in range(0, len(pixels), BATCH):
        run(pixels[start : start + BATCH])
    return len(pixels) / (time.perf_counter() - started)


def _engine(contents: list[bytes], cache: str) -> tuple[str, float]:
    from app.features.engines import build_extractor

    extractor = build_extractor(FEATURE_SET, weights=None, engine="auto", precision="auto", cache_dir=Path(cache))
    return extractor.engine, _per_second(extractor.extract, _pixels(contents))


def _keras(contents: list[bytes]) -> float:
    from app.features.backbone import build
    from app.features.weights import resolve

    model = build(resolve(FEATURE_SET, None))
    return _per_second(lambda batch: model.predict(batch, batch_size=BATCH, verbose=0), _pixels(contents))
