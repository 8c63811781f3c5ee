"""Converted graphs on disk: made once by a subprocess, whole or not at all."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
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
    only a `*.tmp` folder, which nobody reads. Raises ConfigurationError.
    """
    graph = Graph(cache_dir.resolve() / f"openvino-{_key(resolved, engine_version)}")
    if not graph.model.is_file():
        graph.folder.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f"{graph.folder.name}.", suffix=".tmp", dir=graph.folder.parent))
        try:
            _convert(resolved, scratch)
            _publish(scratch, graph)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    return graph


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
    finished = subprocess.run(
        [sys.executable, "-m", "app.features.convert", resolved.spec.name, weights, str(folder)],
        cwd=Path(app.__file__).parents[1],
        # Keras reads its backend, and TensorFlow its noise, from the environment only.
        env=os.environ | {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=CONVERSION_SECONDS,
        check=False,
    )
    if finished.returncode:
        last = (finished.stderr.strip() or "no message").splitlines()[-1]
        raise ConfigurationError(f"The weights of {resolved.spec.name} cannot be converted for OpenVINO: {last}")
