"""OpenVINO's own benchmark app on the graph that our engine runs, at the same precision.

`python -m benchmarks.benchmark_app` holds our forward pass against it, in turn, several times: the machine's speed
drifts. `python -m benchmarks.throughput` does so beside everything else.
"""

import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from app.features.engines import build_extractor
from app.features.spec import Extractor

SECONDS = 5
ROUNDS = 5
BATCH = 32
IMAGES = 16


def throughput(cache: Path, precision: str, images: int, seconds: int = SECONDS) -> float:
    """Images a second, with its hint for throughput and `images` in a request."""
    (graph,) = cache.glob("openvino-*/model.xml")
    command = [
        str(Path(sys.executable).with_name("benchmark_app")), "-m", str(graph), "-d", "CPU", "-hint", "throughput",
        "-infer_precision", {"bf16": "bf16", "fp32": "f32"}[precision], "-t", str(seconds),
        "-shape", f"[{images},224,224]", "-inference_only",
    ]  # fmt: skip
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    # Its own FPS counts requests: the graph's input names no axis of images.
    count, duration = (re.search(rf"{word}:\s+([0-9.]+)", finished.stdout) for word in ("Count", "Duration"))
    if finished.returncode or not count or not duration:
        raise RuntimeError(f"benchmark_app failed: {(finished.stdout + finished.stderr)[-2000:]}")
    return float(count.group(1)) * images / (float(duration.group(1)) / 1000)


def _ours(extractor: Extractor) -> float:
    side = extractor.spec.input_size
    scans = np.random.default_rng(0).random((BATCH, side, side), np.float32)
    extractor.extract(scans)
    started, done = time.perf_counter(), 0
    while time.perf_counter() - started < SECONDS:
        extractor.extract(scans)
        done += BATCH
    return done / (time.perf_counter() - started)


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="penumbra-benchmark-app-") as folder:
        cache = Path(folder)
        for precision in sys.argv[1:] or ["bf16", "fp32"]:
            extractor = build_extractor(
                "densenet121-xray", weights=None, engine="openvino", precision=precision, cache_dir=cache
            )
            pairs = [(_ours(extractor), throughput(cache, precision, IMAGES)) for _ in range(ROUNDS)]
            ours, theirs = (statistics.median(column) for column in zip(*pairs, strict=True))
            ratio = statistics.median(a / b for a, b in pairs)
            print(
                f"{extractor.engine}: ours {ours:.1f} images/s (batches of {BATCH}), benchmark_app {theirs:.1f} "
                f"(requests of {IMAGES}), median ratio {ratio:.3f}", flush=True,
            )  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
