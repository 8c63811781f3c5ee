"""`python -m benchmarks.memory`: what the processes of `penumbra up` take while a giant scan and a long queue pass.

Small scans are uploaded faster than they are extracted; behind the first tenth of them come 16-bit TIFF files of 200
megapixels, one for each thread that decodes. Peaks are the kernel's own (`VmHWM`), from the start of each process.
"""

import argparse
import io
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from PIL import Image

from benchmarks import service

GIANT_SIDE = 14_143
FILES_PER_REQUEST = 100
KINDS = {"worker": "extract", "API": "uvicorn", "trainer": "train"}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__)
    parser.add_argument("--count", type=int, default=10_000, help="small scans to queue")
    parser.add_argument("--giants", type=int, default=2, help="TIFF files of 200 megapixels among them")
    parser.add_argument("--compression", choices=("raw", "tiff_adobe_deflate", "tiff_lzw"), default="raw")
    parser.add_argument("--seconds", type=float, default=1800, help="how long to wait for the queue to empty")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="penumbra-memory-") as folder:
        giants = [Path(folder) / f"giant-{number}.tiff" for number in range(given.giants)]
        for number, path in enumerate(giants):
            _giant(path, number, None if given.compression == "raw" else given.compression)
        data = Path(folder) / "data"
        with service.running(data) as process:
            _run(process.pid, data, given.count, giants, given.seconds)
    return 0


def _run(pid: int, data: Path, count: int, giants: list[Path], seconds: float) -> None:
    client = service._client(data)
    started, longest = time.monotonic(), 0
    sending = threading.Thread(target=_send, args=(data, count, giants), name="sender")
    sending.start()
    while time.monotonic() - started < seconds:
        stats = client.get("/v1/stats").json()
        longest = max(longest, stats["pending"])
        if not sending.is_alive() and not stats["pending"]:
            break
        time.sleep(0.5)
    sending.join()
    states = [image["state"] for image in client.get("/v1/images", params={"source": "giant"}).json()["items"]]
    stats = client.get("/v1/stats").json()
    print(
        f"images {stats['images']}, failed {stats['failed']}, still pending {stats['pending']}, longest queue {longest}"
    )
    print(f"{len(giants)} giants of {GIANT_SIDE} x {GIANT_SIDE}, 16 bits: {', '.join(states)}")
    print(f"{time.monotonic() - started:.0f} s")
    for name, words in KINDS.items():
        print(f"peak of the {name}: {_peak_mib(pid, words):,.0f} MiB")


def _send(data: Path, count: int, giants: list[Path]) -> None:
    client = service._client(data)
    for start in range(0, count, FILES_PER_REQUEST):
        parts: Any = [("files", (f"{n}.jpg", _small(n))) for n in range(start, min(start + FILES_PER_REQUEST, count))]
        client.post("/v1/images", files=parts).raise_for_status()
        if start <= count // 10 < start + FILES_PER_REQUEST:
            for path in giants:
                with path.open("rb") as stream:
                    sent = client.post("/v1/images", files={"files": (path.name, stream)}, data={"source": "giant"})
                sent.raise_for_status()


def _small(number: int) -> bytes:
    rng = np.random.default_rng(number)
    picture = Image.fromarray(rng.integers(0, 256, (16, 16), dtype=np.uint8)).resize((400, 300))
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=80)
    return stream.getvalue()


def _giant(path: Path, number: int, compression: str | None) -> None:
    rows = np.arange(GIANT_SIDE, dtype=np.uint16)
    plane = np.empty((GIANT_SIDE, GIANT_SIDE), np.uint16)
    for top in range(0, GIANT_SIDE, 500):
        plane[top : top + 500] = rows + np.uint16(top + number)
    Image.fromarray(plane).save(path, "TIFF", compression=compression)


def _peak_mib(pid: int, words: str) -> float:
    """The largest peak among the children whose command line has the words."""
    peaks = [0.0]
    for child in psutil.Process(pid).children(recursive=True):
        if words in " ".join(child.cmdline()):
            status = Path(f"/proc/{child.pid}/status").read_text()
            peaks.append(
                float(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024
            )
    return max(peaks)


if __name__ == "__main__":
    raise SystemExit(main())
