"""A running service of its own, and uploads that come to it at a steady rate, whatever else it does."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx2 as httpx
import psutil

from app.simulator import encode_jpeg, port_day

CORPUS = Path(__file__).resolve().parents[1] / "../shared/corpus"
# All scans are chest films: so that a live set for containers, if there is one, has no part in this.
KIND = {"profile": "chest"}


@dataclass(frozen=True)
class Upload:
    """A live upload: when it was due, and when its answer with all predictions was there, in seconds of this run."""

    due: float
    answered: float

    @property
    def milliseconds(self) -> float:
        return (self.answered - self.due) * 1000


@dataclass
class House:
    """A running service on a data folder of its own."""

    data: Path
    port: int
    process: subprocess.Popen[bytes]
    began: float = field(default_factory=time.perf_counter)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def now(self) -> float:
        return time.perf_counter() - self.began

    def client(self) -> httpx.Client:
        headers = {"Authorization": f"Bearer {(self.data / 'admin.key').read_text().strip()}"}
        return httpx.Client(base_url=self.address, headers=headers, timeout=120, trust_env=False)

    def worker(self) -> psutil.Process | None:
        """The extraction worker's process."""
        for child in psutil.Process(self.process.pid).children(recursive=True):
            try:
                if "workers" in child.cmdline() and "extract" in child.cmdline():
                    return child
            except psutil.Error:
                continue
        return None


class LiveTraffic:
    """Uploads at a steady rate, sent when they are due, whatever became of those before."""

    def __init__(self, house: House, scans: Iterator[bytes], per_second: float) -> None:
        self._house, self._scans, self._gap = house, scans, 1 / per_second
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self.uploads: list[Upload] = []
        self.trouble: list[str] = []
        self._thread = threading.Thread(target=self._run, name="live")

    def __enter__(self) -> "LiveTraffic":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        with ThreadPoolExecutor(32) as pool, self._house.client() as client:
            due, sent = self._house.now(), list[Future[None]]()
            while not self._stop.wait(max(0.0, due - self._house.now())):
                sent.append(pool.submit(self._send, client, next(self._scans), due))
                due += self._gap
            for future in sent:
                future.result()

    def _send(self, client: httpx.Client, scan: bytes, due: float) -> None:
        try:
            answer = client.post(
                "/v1/images", files=[("files", ("live.jpg", scan))], data=KIND, headers={"Prefer": "wait=60"}
            )
            state = answer.json()["images"][0]["state"] if answer.is_success else answer.text
        except httpx.HTTPError as error:
            state = repr(error)
        with self._lock:
            if state == "ready":
                self.uploads.append(Upload(due, self._house.now()))
            else:
                self.trouble.append(state)

    def between(self, start: float, end: float) -> list[Upload]:
        with self._lock:
            return sorted((one for one in self.uploads if start <= one.due < end), key=lambda one: one.due)


@contextmanager
def running(data: Path, port: int, settings: dict[str, str]) -> Iterator[House]:
    """`penumbra up` with these settings, until the block ends."""
    command = [sys.executable, "-m", "app.cli.application", "up", "--data", str(data), "--port", str(port)]
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, **settings}
    )
    house = House(data, port, process)
    try:
        until(lambda: _ready(house), 300, f"penumbra up; see {data}/logs")
        yield house
    finally:
        process.terminate()
        process.wait(timeout=60)


def _ready(house: House) -> bool:
    if house.process.poll() is not None:
        raise RuntimeError(f"penumbra up ended; see {house.data}/logs")
    try:
        return httpx.get(f"{house.address}/readyz", trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def until(condition: Callable[[], bool], seconds: float, what: str, every: float = 0.2) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{what} did not come true in {seconds:.0f} s")
        time.sleep(every)


def scans(count: int, mark: str) -> tuple[Iterator[bytes], str]:
    """JPEG files without end, each different by a comment in it; chest films where there are any."""
    paths = sorted((CORPUS / "chest" / "train").rglob("*.jp*g"))
    step = max(1, len(paths) // max(1, count))
    contents = [path.read_bytes() for path in paths[::step][:count]] or [encode_jpeg(s) for s in port_day(200, seed=0)]

    def endless() -> Iterator[bytes]:
        number = 0
        while True:
            comment = f"{mark} {number}".encode()
            content = contents[number % len(contents)]
            yield b"\xff\xd8\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + content[2:]
            number += 1

    return endless(), "chest films" if paths else "simulated scans"
