"""Children that end with their parent, when it is killed too."""

import signal
import subprocess
import sys

import psutil

from app.offspring import bound_to_parent
from tests.integration.processes import ROOT
from tests.waiting import PATIENCE, eventually

PARENT = """
import subprocess, sys
from app.offspring import bound_to_parent
child = subprocess.Popen(bound_to_parent([sys.executable, "-c", "import time; time.sleep(1000)"]))
print(child.pid, flush=True)
child.wait()
"""


def test_a_child_ends_with_a_parent_that_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        eventually(lambda: "time.sleep(1000)" in " ".join(child.cmdline()[-1:]), what="the command itself")
        parent.send_signal(signal.SIGKILL)
        parent.wait(PATIENCE)
    eventually(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, what="the child's end")


def test_a_command_keeps_its_status_and_its_streams() -> None:
    command = bound_to_parent([sys.executable, "-c", "import sys; print(input()); sys.exit(3)"])
    done = subprocess.run(command, input="heard\n", capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (3, "heard\n", "")


def test_a_command_that_is_not_there_is_named() -> None:
    done = subprocess.run(
        bound_to_parent(["no-such-command"]), capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 1
    assert "no-such-command cannot be started" in done.stderr
