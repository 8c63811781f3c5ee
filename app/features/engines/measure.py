"""How many images one pass of an engine should take: measured on this machine, once."""

import hashlib
import json
import logging
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from app.features.engines.batches import Chunk
from app.features.engines.processor import model_name
from app.features.spec import Extractor, InputBatch

log = logging.getLogger(__name__)

SIZES = (8, 16, 32, 64)
GPU_SIZES = (32, 64, 128, 256, 512)
# Of two sizes as fast, within this, the smaller: it takes less memory, and an upload waits for the pass under way.
AS_FAST = 0.97
ROUNDS = 2  # and the faster of them: a neighbour's burst must not decide


@dataclass(frozen=True, slots=True)
class Measured:
    """The chosen number of images in a pass, and images/s with each that was tried (all streams busy)."""

    size: int
    per_second: dict[int, float]


def measure_chunk(
    extractor: Extractor, cache_dir: Path | None = None, *, sizes: Sequence[int] | None = None
) -> Measured | None:
    """Choose how many images a pass takes, and let `extractor` take so many from here on.

    Two passes a stream and size, after one that warms up: 3 to 7 s for DenseNet121 on two cores, once. Kept in
    cache_dir by network, engine, processor and cores. A size that memory does not suffice for ends the search.
    None for an extractor that has no `chunk`.
    """
    chunk = getattr(extractor, "chunk", None)
    if not isinstance(chunk, Chunk):
        return None
    stored = cache_dir / f"chunk-{_key(extractor)}.json" if cache_dir else None
    found = _read(stored) or _measure(extractor, chunk, sizes or _sizes(extractor))
    chunk.size = found.size
    if stored:
        stored.parent.mkdir(parents=True, exist_ok=True)
        stored.write_text(json.dumps(asdict(found)), encoding="utf-8")
    figures = ", ".join(f"{size}: {rate:.0f}" for size, rate in found.per_second.items())
    log.info("%s: passes of %d (images/s by images in a pass: %s)", extractor.engine, found.size, figures)
    return found


def _measure(extractor: Extractor, chunk: Chunk, sizes: Sequence[int]) -> Measured:
    steps, streams = extractor.spec.preprocessing, getattr(extractor, "streams", 1)
    pixels = np.random.default_rng(0).random((max(sizes) * streams, steps.height, steps.width), np.float32)
    rates: dict[int, float] = {}
    for size in sizes:
        chunk.size = size
        extractor.extract(pixels[: size * streams])  # a new length is compiled, or memory made ready, at its first pass
        seconds = min(_seconds(extractor, pixels[: size * streams]) for _ in range(ROUNDS))
        if chunk.size < size:  # memory ran out and `extract` went on with half
            break
        rates[size] = size * streams / seconds
    if not rates:
        return Measured(chunk.size, {})
    best = max(rates.values())
    return Measured(next(size for size, rate in rates.items() if rate >= AS_FAST * best), rates)


def _seconds(extractor: Extractor, pixels: InputBatch) -> float:
    started = time.perf_counter()
    extractor.extract(pixels)
    return time.perf_counter() - started


def _sizes(extractor: Extractor) -> Sequence[int]:
    return GPU_SIZES if extractor.engine.endswith("/gpu") else SIZES


def _key(extractor: Extractor) -> str:
    what = (extractor.spec.network_digest, extractor.engine, model_name(), str(os.cpu_count()))
    return hashlib.sha256("\n".join(what).encode()).hexdigest()[:20]


def _read(stored: Path | None) -> Measured | None:
    if stored is None or not stored.is_file():
        return None
    try:
        fields = json.loads(stored.read_text(encoding="utf-8"))
        return Measured(int(fields["size"]), {int(size): float(rate) for size, rate in fields["per_second"].items()})
    except (ValueError, KeyError, TypeError, AttributeError):
        return None  # a file that cannot be read is measured again
