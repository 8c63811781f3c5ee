"""`python -m benchmarks.benchmark_app`: our forward pass beside OpenVINO's own benchmark_app on the same graph.

In turn, several times, since the machine's speed drifts; benchmark_app with the throughput hint, the precision and
the images in a pass that our engine has. It feeds and reads nothing: its inputs lie ready and stay.
"""

import argparse
import json
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from app.features.engines import build_extractor
from app.features.engines.openvino import ELEMENT_TYPES, OpenVinoExtractor

FEATURE_SET = "densenet121-xray"


@dataclass(frozen=True)
class Compared:
    """Medians of images/s in turn; batch is what ours is given at once, chunk what one pass takes."""

    engine: str
    batch: int
    chunk: int
    ours: float
    benchmark_app: float

    @property
    def ratio(self) -> float:
        return self.ours / self.benchmark_app


def compare(cache: Path, *, precision: str = "auto", batch: int = 32, seconds: int = 8, rounds: int = 3) -> Compared:
    """Ours and benchmark_app's images/s on the graph of the bundled feature set, each `rounds` times `seconds`."""
    extractor = build_extractor(FEATURE_SET, weights=None, engine="openvino", precision=precision, cache_dir=cache)
    assert isinstance(extractor, OpenVinoExtractor)
    chunk = min(extractor.chunk.size, -(-batch // extractor.streams))
    graph = extractor.graph.model
    pairs = [
        (_ours(extractor, batch, seconds), benchmark_app(graph, extractor.engine.split("/")[1], chunk, seconds))
        for _ in range(rounds)
    ]
    ours, theirs = (statistics.median(column) for column in zip(*pairs, strict=True))
    return Compared(extractor.engine, batch, chunk, ours, theirs)


def _ours(extractor: OpenVinoExtractor, batch: int, seconds: float) -> float:
    side = extractor.spec.input_size
    scans = np.random.default_rng(0).random((batch, side, side), np.float32)
    extractor.extract(scans)
    started, done = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        extractor.extract(scans)
        done += batch
    return done / (time.perf_counter() - started)


def benchmark_app(graph: Path, precision: str, chunk: int, seconds: int) -> float:
    """What OpenVINO's own tool reaches on the model file `graph` with passes of `chunk` images: images/s."""
    tool = Path(sysconfig.get_path("scripts")) / "benchmark_app"
    with tempfile.TemporaryDirectory(prefix="penumbra-benchmark-app-") as folder:
        subprocess.run(
            [
                tool, "-m", graph, "-d", "CPU", "-hint", "throughput", "-t", str(seconds),
                "-data_shape", f"[{chunk},224,224]", "-layout", "[NHW]", "-infer_precision", ELEMENT_TYPES[precision],
                "-report_type", "no_counters", "-report_folder", folder, "-json_stats",
            ],
            check=True, capture_output=True, text=True,
        )  # fmt: skip
        report = json.loads(next(Path(folder).glob("benchmark_report.json")).read_text())
    return float(report["execution_results"]["throughput"])


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.benchmark_app", description=__doc__)
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--seconds", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="penumbra-benchmark-app-") as folder:
        found = compare(
            Path(folder), precision=given.precision, batch=given.batch, seconds=given.seconds, rounds=given.rounds
        )
    print(
        f"{found.engine}, batches of {found.batch}, passes of {found.chunk}: ours {found.ours:.1f} images/s, "
        f"benchmark_app {found.benchmark_app:.1f}, ratio {found.ratio:.3f}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
