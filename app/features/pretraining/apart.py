"""Pretraining in a process of its own, from one that must not load Keras. Light."""

import importlib.util
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

import app
from app.errors import ConfigurationError, InvalidInput
from app.features.engines.environment import for_pretraining
from app.features.pretraining.recipe import BACKENDS
from app.offspring import bound_to_parent

AUTO = "auto"
FASTEST_FIRST = ("torch", "tensorflow")
"""Measured on two cores with AMX, DenseNet121 forward and backward at 112 pixels, bf16: torch 48 scans a second,
TensorFlow 23 to 32, JAX 9 to 14 (2026-11-30)."""


def choose_backend(asked: str) -> str:
    """The backend that is asked for, or for `auto` the fastest on a CPU of those installed.

    Raises InvalidInput for an unknown one, ConfigurationError, naming the remedy, for one that is not installed.
    """
    if asked == AUTO:
        asked = next((one for one in FASTEST_FIRST if importlib.util.find_spec(one)), FASTEST_FIRST[-1])
    if asked not in BACKENDS:
        raise InvalidInput(f"There is no backend {asked!r}; say {AUTO}, {', '.join(BACKENDS)}.")
    if importlib.util.find_spec(asked) is None:
        raise ConfigurationError(f"Backend {asked} is not installed: `pip install {asked}`, or say --backend {AUTO}.")
    return asked


def run(order: Mapping[str, Any], backend: str, on_stage: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """Have `order` carried out (as `app.features.pretraining.__main__` reads it); the report.

    on_stage hears every stage's progress. Raises ConfigurationError with the last line that the process wrote on
    standard error where it fails; whatever ends this process ends that one too, and what it kept is gone on with.
    """
    # A file, for a pipe that nobody reads while the other is read would fill up.
    with tempfile.TemporaryFile("w+") as errors:
        with subprocess.Popen(
            bound_to_parent([sys.executable, "-m", "app.features.pretraining", backend]),
            cwd=Path(app.__file__).parents[1], env=for_pretraining(),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True,
        ) as child:  # fmt: skip
            assert child.stdin
            assert child.stdout
            try:
                child.stdin.write(json.dumps(order, default=str))
                child.stdin.close()
                report = _heard(child.stdout, on_stage)
            except BaseException:
                child.terminate()
                raise
        errors.seek(0)
        last = (errors.read().strip() or f"exit status {child.returncode}").splitlines()[-1]
    if report is None or child.returncode:
        raise ConfigurationError(f"Pretraining failed: {last}")
    return report


def _heard(lines: IO[str], on_stage: Callable[[dict[str, Any]], None]) -> dict[str, Any] | None:
    report = None
    for line in lines:
        if not line.startswith("{"):
            continue  # a library that prints
        point = json.loads(line)
        if point.pop("stage", None) == "done":
            report = point
        else:
            on_stage(json.loads(line))
    return report
