"""`python -m app.features.quantise_graph WEIGHTS_DIR CACHE_DIR`: a converted graph to eight bits; prints the digest.

Standard input as for `app.features.convert`. Needs NNCF, from penumbra[int8].
"""

import importlib
import json
import os
import random
import sys
import tempfile
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import openvino
from numpy.typing import NDArray

from app.errors import ConfigurationError
from app.features.apart import ended
from app.features.engines.cache import MODEL_FILE, converted
from app.features.golden import GoldenVectors, prepared_scans
from app.features.quantise import BIN, XML, graph_digest
from app.features.spec import Features, FeatureSetSpec
from app.features.weights import ResolvedWeights
from app.imaging import Limits, load
from app.simulator import encode_jpeg, simulate

SIMULATED = 128
LIMITS = Limits(max_bytes=1 << 28, max_pixels=1 << 26, min_side=1)


def quantise_graph(resolved: ResolvedWeights, weights_dir: Path, cache_dir: Path) -> str:
    """Store the network of `resolved` in eight bits; its digest. Raises ConfigurationError."""
    nncf = _nncf()
    spec = resolved.spec
    graph = converted(resolved, cache_dir, openvino.__version__)
    golden = prepared_scans(spec.preprocessing)
    scans = np.concatenate([_simulated(spec), golden])
    random.seed(0)
    np.random.seed(0)
    quantised = nncf.quantize(
        openvino.Core().read_model(graph.folder / MODEL_FILE),
        nncf.Dataset([scan[None] for scan in scans]),
        preset=nncf.QuantizationPreset.MIXED,
        subset_size=len(scans),
    )
    xml, weights = _serialised(quantised)
    compiled = openvino.Core().compile_model(quantised, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    answers = compiled(golden)
    vectors = GoldenVectors.of(spec, golden, Features(answers[0].copy(), answers[1].copy()))
    return _write(xml, weights, vectors, weights_dir)


def _nncf() -> Any:
    try:
        return importlib.import_module("nncf")
    except ImportError as error:
        raise ConfigurationError(f"NNCF is not installed ({error}): install penumbra[int8]") from error


def _simulated(spec: FeatureSetSpec) -> NDArray[np.float32]:
    """Simulated containers as the feature set prepares scans: float32 (n, height, width)."""
    made = (simulate(np.random.default_rng(seed), loaded=seed % 4 > 0) for seed in range(SIMULATED))
    return np.stack([load(encode_jpeg(scan), LIMITS, spec.preprocessing) for scan in made])


def _serialised(model: openvino.Model) -> tuple[bytes, bytes]:
    """The graph without its notes on who made it, when and with which options: those would change its digest."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / MODEL_FILE
        openvino.save_model(model, path, compress_to_fp16=False)
        tree = ET.parse(path)  # noqa: S314
        root = tree.getroot()
        for notes in root.findall("rt_info"):
            root.remove(notes)
        return ET.tostring(root, encoding="utf-8"), path.with_suffix(".bin").read_bytes()


def _write(xml: bytes, weights: bytes, golden: GoldenVectors, weights_dir: Path) -> str:
    digest = graph_digest(xml, weights)
    weights_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=weights_dir, suffix=".tmp") as scratch:
        whole = Path(scratch) / f"{digest}.npz"
        graph: dict[str, Any] = {XML: np.frombuffer(xml, np.uint8), BIN: np.frombuffer(weights, np.uint8)}
        np.savez_compressed(
            whole, avg=golden.features.avg, max=golden.features.max, pixels=golden.pixels,
            preprocessing_digest=golden.preprocessing_digest, **graph,
        )  # fmt: skip
        with whole.open("rb") as stream:
            os.fsync(stream.fileno())
        whole.rename(weights_dir / whole.name)
    return digest


def main() -> int:
    """Exit status 0, or 1 with the reason as the last line of standard error."""
    asked = json.load(sys.stdin)
    spec, weights = FeatureSetSpec.from_dict(asked["spec"]), asked["weights"]
    resolved = ResolvedWeights(spec, Path(weights) if weights else None)
    return ended(lambda: print(quantise_graph(resolved, Path(sys.argv[1]), Path(sys.argv[2]))))


if __name__ == "__main__":
    sys.exit(main())
