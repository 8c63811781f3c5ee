"""`penumbra up` and the other commands, as a user starts them: real processes, a data folder of their own."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from app.cli.client import Client
from tests.waiting import PATIENCE, eventually

PENUMBRA = str(Path(sys.executable).with_name("penumbra"))
# Quick to notice what was lost; the defaults are for machines that are slow and seldom killed.
QUICK = {
    "PENUMBRA_HEARTBEAT_SECONDS": "1",
    "PENUMBRA_RECONCILE_SECONDS": "1",
    "PENUMBRA_LEASE_SECONDS": "3",
    "PENUMBRA_RETRY_DELAY_SECONDS": "0.2",
}


def environment(**more: str) -> dict[str, str]:
    """Only the settings that a test names."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PENUMBRA_")}
    return {**inherited, **more}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def processes_of(folder: Path) -> list[psutil.Process]:
    """Everything that runs on a data folder: it is in the command line or the environment of all of it."""
    needle, found = str(folder.resolve()), []
    for process in psutil.process_iter():
        try:
            told = " ".join(process.cmdline()) + process.cwd() + process.environ().get("PENUMBRA_DATA_DIR", "")
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue
        if needle in told and process.pid != os.getpid():
            found.append(process)
    return found


@dataclass
class Up:
    """One data folder and the `penumbra up` that runs on it, over all its lives."""

    folder: Path
    env: dict[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def key(self) -> str:
        return (self.folder / "admin.key").read_text().strip()

    def get(self, path: str) -> Any:
        return self.send("GET", path)

    def send(self, method: str, path: str, body: Any = None) -> Any:
        with Client(self.address, self.key) as client:
            return client.send(method, path, body)

    @property
    def log(self) -> str:
        return (self.folder.parent / f"{self.folder.name}.up.log").read_text()

    def start(self) -> "Up":
        with (self.folder.parent / f"{self.folder.name}.up.log").open("ab") as log:
            self.process = subprocess.Popen(
                [PENUMBRA, "up", "--data", str(self.folder), "--port", str(self.port)],
                env=environment(**self.env), stdout=log, stderr=log,
            )  # fmt: skip
        return self

    def ready(self) -> "Up":
        def answers() -> bool:
            assert self.process is not None
            assert self.process.poll() is None, self.log
            with Client(self.address) as client:
                return client.ready()

        eventually(answers, what="`penumbra up` ready", every=0.1)
        eventually(lambda: f"is ready at {self.address}" in self.log, what="its announcement")
        return self

    def stop(self, sent: signal.Signals = signal.SIGINT) -> int:
        assert self.process is not None
        self.process.send_signal(sent)
        return self.process.wait(timeout=60)  # a child that is deaf would take longer

    def child(self, kind: str) -> psutil.Process | None:
        """The running `api`, `worker`, `trainer` or `postgres` (its postmaster)."""
        if kind == "postgres":
            pid_file = self.folder / "postgres" / "postmaster.pid"
            try:
                return psutil.Process(int(pid_file.read_text().split()[0]))
            except (OSError, ValueError, IndexError, psutil.NoSuchProcess):
                return None
        words = {"api": "uvicorn", "worker": "extract", "trainer": "train"}[kind]
        assert self.process is not None
        for process in psutil.Process(self.process.pid).children():
            try:
                if words in process.cmdline():
                    return process
            except psutil.NoSuchProcess:
                continue
        return None

    def kill_everything(self) -> int:
        """SIGKILL to the supervisor and all that runs on its folder, at once; how many there were."""
        victims = processes_of(self.folder)
        for victim in victims:
            victim.kill()
        assert self.process is not None
        self.process.wait(timeout=PATIENCE)
        psutil.wait_procs(victims, timeout=PATIENCE)
        return len(victims)

    def command(self, *words: str, **options: Any) -> "Ended":
        return command(*words, "--data", str(self.folder), env=self.env, **options)


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        assert self.status == 0, self.err
        return json.loads(self.out)


def command(*words: str, env: dict[str, str] | None = None) -> Ended:
    """Run `penumbra` with these words."""
    done = subprocess.run(
        [PENUMBRA, *words], env=environment(**(env or {})), capture_output=True, timeout=PATIENCE, check=False
    )
    return Ended(done.returncode, done.stdout.decode(), done.stderr.decode())


def is_one_sentence(told: str) -> bool:
    """A message for people: `penumbra: ...`, no traceback, no class name of ours or of a library."""
    problem = told[max(0, told.find("penumbra: ")) :]
    return problem.startswith("penumbra: ") and not re.search(r"Traceback|\b\w+(Error|Exception)\b", told)


@contextmanager
def upon(folder: Path, graphs: Path, **env: str) -> Iterator[Up]:
    """`penumbra up` on a new folder, with graphs that are converted already; all of it is gone afterwards."""
    folder.mkdir(parents=True)
    (folder / "cache").symlink_to(graphs, target_is_directory=True)
    up = Up(folder, {**QUICK, **env})
    try:
        yield up
    finally:
        if up.process is not None and up.process.poll() is None:
            up.kill_everything()
        for left in processes_of(folder):
            left.kill()


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory, graphs: Path) -> Iterator[Up]:
    """One running `penumbra up` for a module's tests."""
    with upon(tmp_path_factory.mktemp("up") / "data", graphs) as up:
        yield up.start().ready()
