"""Child processes that do not outlive their parent, however it ends."""

import os
import sys
from collections.abc import Sequence

# Between fork and exec only a program of its own can do this safely: the parent may have threads.
# 1 is PR_SET_PDEATHSIG; the parent may have died before it was set.
STARTER = """
import ctypes, os, signal, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)
if os.getppid() == int(sys.argv[1]):
    try:
        os.execvp(sys.argv[2], sys.argv[2:])
    except OSError as error:
        sys.exit(f"{sys.argv[2]} cannot be started: {error}")
"""


def bound_to_parent(command: Sequence[str]) -> list[str]:
    """What to start instead of `command`, so that it gets SIGTERM when the thread that started it ends (on Linux).

    The process becomes `command`: its id, status and streams are the same.
    """
    return [sys.executable, "-I", "-S", "-c", STARTER, str(os.getpid()), *command]
