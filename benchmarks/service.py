"""The whole service through HTTP: API, worker, database and client share the machine."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2 as httpx
import numpy as np
import psutil

PORT = 8497
ADDRESS = f"http://127.0.0.1:{PORT}"
FILES_PER_REQUEST = 25
TASK = "pneumonia"


@dataclass(frozen=True)
class Figures:
    ingest_per_second: float
    upload_ms: tuple[float, float]
    one_client: str
    four_clients: str
    api_mib: float
    worker_mib: float


def measure(contents: list[bytes], data: Path) -> Figures:
    *contents, last = contents
    with running(data) as process:
        client = _client(data)
        # The trainer is still loading its libraries when the service is ready: let it finish.
        while {worker["kind"] for worker in client.get("/v1/stats").json()["workers"]} != {"extract", "train"}:
            time.sleep(0.2)
        # The first image warms the path up and is not counted.
        client.post("/v1/images", files=_parts([last]), headers={"Prefer": "wait=60"}).raise_for_status()
        single = contents[:20]
        upload_ms = _percentiles([_timed(lambda c=c: _wait_for_one(client, c)) for c in single])
        ingest = _ingest(client, contents[20:])
        ids = [image["id"] for image in client.get("/v1/images?limit=200").json()["items"]]
        one = _predictions(data, ids, clients=1)
        four = _predictions(data, ids, clients=4)
        return Figures(ingest, upload_ms, one, four, _mib(process, "uvicorn"), _mib(process, "extract"))


@contextmanager
def running(data: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`penumbra up` on a data folder of its own, until the block ends."""
    command = [sys.executable, "-m", "app.cli.application", "up", "--data", str(data), "--port", str(PORT)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 300
        while not _ready():
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"penumbra up did not become ready; see {data}/logs")
            time.sleep(0.2)
        yield process
    finally:
        process.terminate()
        process.wait(timeout=60)


def _ready() -> bool:
    try:
        return httpx.get(f"{ADDRESS}/readyz", trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def _client(data: Path) -> httpx.Client:
    key = (data / "admin.key").read_text().strip()
    headers = {"Authorization": f"Bearer {key}"}
    return httpx.Client(base_url=ADDRESS, headers=headers, timeout=120, trust_env=False)


def _parts(contents: list[bytes]) -> Any:
    return [("files", (f"film-{i}.jpg", content)) for i, content in enumerate(contents)]


def _wait_for_one(client: httpx.Client, content: bytes) -> None:
    answer = client.post("/v1/images", files=_parts([content]), headers={"Prefer": "wait=60"})
    assert answer.json()["images"][0]["predictions"], answer.text


def _ingest(client: httpx.Client, contents: list[bytes]) -> float:
    """Images a second from the first byte sent to the last prediction committed, two requests at a time."""
    requests = [contents[i : i + FILES_PER_REQUEST] for i in range(0, len(contents), FILES_PER_REQUEST)]
    started = time.perf_counter()
    with ThreadPoolExecutor(2) as pool:
        for answer in pool.map(lambda chunk: client.post("/v1/images", files=_parts(chunk)), requests):
            answer.raise_for_status()
    while client.get("/v1/stats").json()["pending"]:
        time.sleep(0.05)
    seconds = time.perf_counter() - started
    stats = client.get("/v1/stats").json()
    assert stats["failed"] == 0
    assert stats["embeddings"]["densenet121-xray"] == stats["images"]
    return len(contents) / seconds


def _predictions(data: Path, ids: list[str], *, clients: int, seconds: float = 5) -> str:
    times: list[float] = []
    end = time.perf_counter() + seconds
    lock = threading.Lock()

    def run(first: int) -> None:
        client = _client(data)
        mine = []
        turn = first
        while time.perf_counter() < end:
            body = {"image_id": ids[turn % len(ids)]}
            mine.append(_timed(lambda body=body: client.post(f"/v1/predict/{TASK}", json=body).raise_for_status()))
            turn += 1
        with lock:
            times.extend(mine)

    threads = [threading.Thread(target=run, args=(index * 17,)) for index in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    p50, p99 = _percentiles(times)
    return f"{len(times) / seconds:.0f} requests/s, p50 {p50:.1f} ms, p99 {p99:.1f} ms"


def _timed(action: Callable[[], Any]) -> float:
    started = time.perf_counter()
    action()
    return (time.perf_counter() - started) * 1000


def _percentiles(milliseconds: list[float]) -> tuple[float, float]:
    p50, p99 = np.percentile(milliseconds, [50, 99])
    return float(p50), float(p99)


def _mib(process: subprocess.Popen[bytes], word: str) -> float:
    """Resident memory of the child whose command line has `word`."""
    for child in psutil.Process(process.pid).children(recursive=True):
        if word in child.cmdline():
            return float(child.memory_info().rss) / 2**20
    raise RuntimeError(f"no child process runs {word}")
