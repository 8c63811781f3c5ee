"""The supervisor, with real children and real signals. It runs in a process of its own, as `penumbra up` does."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path

import psutil
import pytest

from app import supervisor
from app.errors import ConfigurationError, DatabaseUnusable
from app.supervisor import Child, Supervisor
from tests.waiting import PATIENCE, eventually

pytestmark = pytest.mark.alone

# A child tells what happens to it in the file of its name: one word a line.
CHILD = textwrap.dedent(
    """
    import os, signal, sys, time
    from pathlib import Path
    told = Path(sys.argv[1])
    def tell(word):
        with told.open("a") as file: file.write(f"{word} {os.getpid()} {time.monotonic()}\\n")
    def end(number, frame):
        if "deaf" in sys.argv: return
        tell("stopped"); sys.exit(0)
    signal.signal(signal.SIGTERM, end)
    tell("started")
    print("hello from", told.name, flush=True)
    while True: time.sleep(0.05)
    """
)

RUN = textwrap.dedent(
    """
    import sys
    from pathlib import Path
    from app.supervisor import Child, Supervisor
    place = Path(sys.argv[1])
    def child(name, *words, stop_seconds=5.0):
        argv = [sys.executable, str(place / "child.py"), str(place / name), *words]
        return Child(name, argv, ready=(place / name).exists, stop_seconds=stop_seconds)
    """
)


class Up:
    """A supervisor in another process, and what its children told."""

    def __init__(self, place: Path, code: str) -> None:
        self.place = place
        (place / "child.py").write_text(CHILD)
        self.process = subprocess.Popen(
            [sys.executable, "-c", RUN + textwrap.dedent(code), str(place)], stderr=subprocess.PIPE, text=True
        )

    def told(self, name: str) -> list[tuple[str, int, float]]:
        path = self.place / name
        lines = path.read_text().splitlines() if path.exists() else []
        return [(word, int(pid), float(at)) for word, pid, at in map(str.split, lines)]

    def pids(self, name: str) -> list[int]:
        return [pid for word, pid, _ in self.told(name) if word == "started"]

    def end(self, *signals: signal.Signals) -> str:
        for sent in signals:
            self.process.send_signal(sent)
            time.sleep(0.3)
        return self.process.communicate(timeout=PATIENCE)[1]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[str], Up]]:
    begun: list[Up] = []

    def begin(code: str) -> Up:
        begun.append(Up(tmp_path, code))
        return begun[-1]

    yield begin
    for up in begun:
        if up.process.poll() is None:
            up.end(signal.SIGINT, signal.SIGINT)


TWO = 'Supervisor([child("first"), child("second")], place / "logs").run()'


def test_children_start_in_order_and_stop_in_reverse(start: Callable[[str], Up]) -> None:
    up = start(TWO)
    eventually(lambda: up.told("second"))
    console = up.end(signal.SIGTERM)
    assert up.process.returncode == 0
    (_, _, first_began), (first_word, _, first_ended) = up.told("first")
    (_, _, second_began), (second_word, _, second_ended) = up.told("second")
    assert (first_word, second_word) == ("stopped", "stopped")
    assert first_began < second_began < second_ended < first_ended
    assert "[first] hello from first" in console
    assert "hello from second" in (up.place / "logs" / "second.log").read_text()


def test_killed_child_is_started_again_and_the_other_left_alone(start: Callable[[str], Up]) -> None:
    up = start(TWO)
    eventually(lambda: up.told("second"))
    os.kill(up.pids("first")[0], signal.SIGKILL)
    eventually(lambda: len(up.pids("first")) == 2)
    console = up.end(signal.SIGINT)
    assert len(up.pids("second")) == 1
    assert "[first] ended (signal 9); starting again in 0.5 s" in console


def test_terminals_interrupt_reaches_no_child(start: Callable[[str], Up]) -> None:
    up = start(TWO)
    eventually(lambda: up.told("second"))
    groups = {os.getpgid(pid) for pid in (*up.pids("first"), *up.pids("second"))}
    assert len(groups) == 2
    assert os.getpgid(up.process.pid) not in groups


def test_deaf_child_is_killed_after_its_time(start: Callable[[str], Up]) -> None:
    up = start('Supervisor([child("deaf", "deaf", stop_seconds=0.5)], place / "logs").run()')
    eventually(lambda: up.told("deaf"))
    assert "[deaf] killed, since it did not stop" in up.end(signal.SIGTERM)
    assert not psutil.pid_exists(up.pids("deaf")[0])


def test_second_interrupt_hastens(start: Callable[[str], Up]) -> None:
    up = start('Supervisor([child("deaf", "deaf", stop_seconds=600)], place / "logs").run()')
    eventually(lambda: up.told("deaf"))
    up.end(signal.SIGINT, signal.SIGINT)
    assert up.process.returncode == 0
    assert not psutil.pid_exists(up.pids("deaf")[0])


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's death")
def test_children_of_a_killed_supervisor_stop_in_good_order(start: Callable[[str], Up]) -> None:
    up = start(TWO)
    eventually(lambda: up.told("second"))
    up.end(signal.SIGKILL)
    eventually(lambda: [word for name in ("first", "second") for word, _, _ in up.told(name)].count("stopped") == 2)
    eventually(lambda: not any(psutil.pid_exists(pid) for pid in (*up.pids("first"), *up.pids("second"))))


def test_helpers_of_a_killed_child_end_with_it(start: Callable[[str], Up]) -> None:
    up = start(
        """
        helped = "import subprocess, sys; subprocess.run([sys.executable, *sys.argv[1:]])"
        inner = child("helper")
        Supervisor(
            [Child("outer", [sys.executable, "-c", helped, *inner.argv[1:]], ready=inner.ready)], place / "logs"
        ).run()
        """
    )
    eventually(lambda: up.told("helper"))
    helper = psutil.Process(up.pids("helper")[0])
    os.kill(helper.ppid(), signal.SIGKILL)
    eventually(lambda: not helper.is_running())


def failing(tmp_path: Path, code: str, *, ready: Callable[[], bool] | None = lambda: False) -> Supervisor:
    return Supervisor(
        [Child("worker", [sys.executable, "-c", code], ready=ready)], tmp_path / "logs", console=StringIO()
    )


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "FIRST_DELAY_SECONDS", 0.01)


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("ready", [None, lambda: False])
def test_child_that_never_becomes_ready_is_given_up_with_its_words(
    tmp_path: Path, ready: Callable[[], bool] | None
) -> None:
    hopeless = failing(tmp_path, "import sys; sys.exit('no such weights')", ready=ready)
    with pytest.raises(ConfigurationError, match=r"worker failed 5 times without becoming ready(.|\n)*no such weights"):
        hopeless.run()


@pytest.mark.usefixtures("hasty")
def test_child_that_hangs_at_its_start_counts_as_failed(tmp_path: Path) -> None:
    code = [sys.executable, "-c", "import time; time.sleep(60)"]
    hanging = Child("worker", code, ready=lambda: False, ready_seconds=0.1)
    console = StringIO()
    with pytest.raises(ConfigurationError, match="failed 5 times"):
        Supervisor([hanging], tmp_path, console=console).run()
    assert "ended (not ready after 0.1 s)" in console.getvalue()


@pytest.mark.usefixtures("hasty")
def test_missing_program_is_given_up_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no-such-program"):
        Supervisor([Child("worker", ["no-such-program"])], tmp_path, console=StringIO()).run()


@pytest.mark.usefixtures("hasty")
def test_child_that_was_once_ready_is_never_given_up(tmp_path: Path) -> None:
    lives = tmp_path / "lives"
    code = f"open({str(lives)!r}, 'a').write('x'); import time; time.sleep(0.2)"

    def enough() -> None:
        if lives.exists() and len(lives.read_text()) > 7:
            os.kill(os.getpid(), signal.SIGTERM)

    child = Child("worker", [sys.executable, "-c", code], ready=lives.exists)
    Supervisor([child], tmp_path, watch=enough, console=StringIO()).run()
    assert len(lives.read_text()) > 7


def test_pause_before_a_restart_doubles_up_to_half_a_minute(tmp_path: Path) -> None:
    keeper = supervisor.Keeper(Child("worker", []), supervisor.Log(tmp_path / "worker.log"))
    told = [keeper._died("x").rpartition(" in ")[2] for _ in range(8)]
    keeper.log.close()
    assert told == ["0.5 s", "1 s", "2 s", "4 s", "8 s", "16 s", "30 s", "30 s"]


def test_trouble_of_the_watch_is_told_once_and_ends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "WATCH_SECONDS", 0.1)
    console, calls = StringIO(), []

    def watch() -> None:
        calls.append(1)
        if len(calls) == 4:
            os.kill(os.getpid(), signal.SIGINT)
        raise DatabaseUnusable("the disk is full")

    Supervisor([], tmp_path, watch=watch, console=console).run()
    assert console.getvalue() == "[watch] the disk is full\n"


def test_second_signal_interrupts_a_watch_that_hangs(tmp_path: Path) -> None:
    hanging = threading.Event()

    def watch() -> None:
        for delay in (0.1, 0.2):
            threading.Timer(delay, os.kill, (os.getpid(), signal.SIGINT)).start()
        hanging.wait(60)

    began = time.monotonic()
    Supervisor([], tmp_path, watch=watch, console=StringIO()).run()
    assert time.monotonic() - began < 10


def test_ready_is_reported_once_all_are(tmp_path: Path) -> None:
    children = [Child(name, [sys.executable, "-c", "import time; time.sleep(60)"], ready=lambda: True) for name in "ab"]
    calls: list[int] = []

    def on_ready() -> None:
        calls.append(len(psutil.Process().children()))
        os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    Supervisor(children, tmp_path, console=StringIO()).run(on_ready=on_ready)
    assert calls == [2]
    assert signal.getsignal(signal.SIGTERM) == before


def test_log_is_bounded_and_tells_every_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "LOG_BYTES", 1000)
    path = tmp_path / "worker.log"
    path.write_text("of an earlier run\n")
    log = supervisor.Log(path)
    told = []
    for number in range(100):
        os.write(log.descriptor, f"line {number} with some words\npart".encode())
        told += log.news()
        os.write(log.descriptor, b" end\n")
        told += log.news()
    log.close()
    assert [line for line in told if line.startswith("line")] == [f"line {n} with some words" for n in range(100)]
    assert path.stat().st_size < 1100
    assert path.with_name("worker.log.1").exists()
