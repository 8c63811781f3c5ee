"""OpenVINO's own benchmark app on the graph that our engine runs, at the same precision."""

import re
import subprocess
import sys
from pathlib import Path

SECONDS = 5


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
