"""Converted graphs on disk: made once by a subprocess, whole or not at all."""

import json
import re
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from app.errors import ConfigurationError
from app.features.apart import CONVERSION_SECONDS, run_apart
from app.features.backbones import is_int8
from app.features.golden import GoldenVectors
from app.features.quantise import unpack
from app.features.spec import FeatureSetSpec
from app.features.weights import ResolvedWeights

GRAPH_VERSION = 2
"""Raise it when `backbone.assemble` or `convert` makes another graph from the same spec."""

MODEL_FILE = "model.xml"


@dataclass(frozen=True, slots=True)
class Graph:
    """A folder with the converted graph and, for each preprocessing, the fp32 vectors of the golden scans."""

    folder: Path

    @property
    def model(self) -> Path:
        return self.folder / MODEL_FILE

    def reference_file(self, spec: FeatureSetSpec) -> Path:
        return self.folder / f"reference-{spec.preprocessing.digest[:20]}.npz"


def converted(resolved: ResolvedWeights, cache_dir: Path, engine_version: str) -> Graph:
    """The converted graph of `resolved` below cache_dir, made now if it is not there; one for each network.

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
    return f"{version}-g{GRAPH_VERSION}-{resolved.spec.network_digest[:20]}"


def _publish(scratch: Path, graph: Graph) -> None:
    try:
        scratch.rename(graph.folder)
    except OSError:
        if not graph.model.is_file():  # not another process's success, then
            raise


def _convert(resolved: ResolvedWeights, folder: Path) -> None:
    """Fill `folder` with the graph of `resolved`: by Keras, or out of the file where it is a quantised one."""
    if is_int8(resolved.spec.backbone):
        features, preprocessing, pixels = unpack(resolved, folder)
        golden = GoldenVectors(resolved.spec.weights_digest, preprocessing, pixels, features)
        if preprocessing == resolved.spec.preprocessing.digest:
            golden.write(Graph(folder).reference_file(resolved.spec))
        return
    asked = {"spec": resolved.spec.as_dict(), "weights": str(resolved.path.resolve()) if resolved.path else None}
    run_apart("app.features.convert", str(folder), given=json.dumps(asked), what=f"Converting {resolved.spec.name}")
