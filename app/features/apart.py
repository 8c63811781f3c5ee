"""Work that needs Keras on TensorFlow, done in a process of its own: this one never holds their memory."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import app
from app.errors import AppError, ConfigurationError
from app.features.engines.environment import for_conversion

CONVERSION_SECONDS = 600


def run_apart(module: str, *arguments: str, given: str = "", what: str, seconds: float = CONVERSION_SECONDS) -> str:
    """What `python -m MODULE ARGUMENTS` prints.

    given is its standard input; what names the work in errors. Raises ConfigurationError with the last line that it
    wrote on standard error, or when it takes more than `seconds`.
    """
    try:
        finished = subprocess.run(
            [sys.executable, "-m", module, *arguments],
            cwd=Path(app.__file__).parents[1],
            env=for_conversion(),
            input=given,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ConfigurationError(f"{what} took over {seconds:.0f} s: start again on an idle machine.") from error
    if finished.returncode:
        last = (finished.stderr.strip() or f"exit status {finished.returncode}").splitlines()[-1]
        raise ConfigurationError(f"{what} failed: {last}")
    return finished.stdout


def ended(work: Callable[[], object]) -> int:
    """Do what `run_apart` asked for: exit status 0, or 1 with the reason as the last line of standard error."""
    try:
        work()
    except AppError as error:
        sys.stderr.write(f"{error.message}\n")
        return 1
    return 0
