"""Converted graphs on disk: made once by a subprocess, whole or not at all."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import app
from app.errors import ConfigurationError
from app.features.golden import GoldenVectors
from app.features.weights import IMAGENET_DOWNLOAD, ResolvedWeights

GRAPH_VERSION = 1
"""Raise it when `backbone.assemble` or `convert` makes another graph from the same spec."""

MODEL_FILE = "model.xml"
REFERENCE_FILE = "reference.npz"
CONVERSION_SECONDS = 600

# Keras takes its backend, and TensorFlow its noise and its devices, from the environment only.
ENVIRONMENT = {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}


@dataclass(frozen=True, slots=True)
class Graph:
    """A folder with the converted graph and the fp32 reference's vectors of the golden scans."""

    folder: Path

    @property
    def model(self) -> Path:
        return self.folder / MODEL_FILE

    def reference(self) -> GoldenVectors:
        return GoldenVectors.read(self.folder / REFERENCE_FILE)


def converted(resolved: ResolvedWeights, cache_dir: Path, engine_version: str) -> Graph:
    """The converted graph of `resolved` below cache_dir, made now if it is not there.

    Processes may race: each converts for itself and the first rename wins. One that is killed leaves
    only a `*.tmp` folder, which nobody reads and a later conversion removes. Raises ConfigurationError.
    """
    graph = Graph(cache_dir.resolve() / f"openvino-{_key(resolved, engine_version)}")
    if not graph.model.is_file():
        scratch = _scratch(graph)
        try:
            _convert(resolved, scratch)
            _publish(scratch, graph)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    return graph


def _scratch(graph: Graph) -> Path:
    parent = graph.folder.parent
    try:
        parent.mkdir(parents=True, exist_ok=True)
        for left in parent.glob("openvino-*.tmp"):
            if time.time() - left.stat().st_mtime > 2 * CONVERSION_SECONDS:
                shutil.rmtree(left, ignore_errors=True)
        return Path(tempfile.mkdtemp(prefix=f"{graph.folder.name}.", suffix=".tmp", dir=parent))
    except OSError as error:
        raise ConfigurationError(
            f"The cache folder {parent} cannot be written ({error}): set PENUMBRA_DATA_DIR to one that can."
        ) from error


def _key(resolved: ResolvedWeights, engine_version: str) -> str:
    version = re.sub(r"[^0-9A-Za-z.]+", "-", engine_version)
    return f"{version}-g{GRAPH_VERSION}-{resolved.spec.digest[:20]}"


def _publish(scratch: Path, graph: Graph) -> None:
    try:
        scratch.rename(graph.folder)
    except OSError:
        if not graph.model.is_file():  # not another process's success, then
            raise


def _convert(resolved: ResolvedWeights, folder: Path) -> None:
    """Run `app.features.convert` apart from this process, which so never holds TensorFlow's memory."""
    weights = str(resolved.path.resolve()) if resolved.path else IMAGENET_DOWNLOAD
    try:
        finished = subprocess.run(
            [sys.executable, "-m", "app.features.convert", resolved.spec.name, weights, str(folder)],
            cwd=Path(app.__file__).parents[1],
            env=os.environ | ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=CONVERSION_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ConfigurationError(
            f"Converting {resolved.spec.name} took over {CONVERSION_SECONDS} s: start again on an idle machine."
        ) from error
    if finished.returncode:
        last = (finished.stderr.strip() or f"exit status {finished.returncode}").splitlines()[-1]
        raise ConfigurationError(f"The weights of {resolved.spec.name} cannot be converted for OpenVINO: {last}")
