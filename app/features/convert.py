"""`python -m app.features.convert FOLDER`: Keras graph to OpenVINO, in a process of its own.

Standard input is JSON: the `spec`, and the path of its `weights` (null where Keras downloads them). Writes
`model.xml`, `model.bin` and the reference's vectors. An expectation beside the weights file (`WEIGHTS.expected.json`
or `EXPECTED.json`) is proven first.
"""

import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import openvino

from app.errors import ConfigurationError
from app.features import backbone
from app.features.apart import ended
from app.features.engines.cache import MODEL_FILE, Graph
from app.features.expected import INPUT_SIDE, find_expected, prove
from app.features.golden import GoldenVectors, prepared_scans
from app.features.spec import Features, FeatureSetSpec
from app.features.weights import ResolvedWeights

# fp32 graphs of DenseNet121 came out at 1e-6 of the largest value (2026-11); anything near this is another graph.
MAX_DIFFERENCE = 1e-3


def convert(resolved: ResolvedWeights, folder: Path) -> None:
    """Convert the network of `resolved` into `folder`, which exists. Raises ConfigurationError."""
    body = backbone.load_body(resolved)
    fits = body.input_shape[1:3] == (INPUT_SIDE, INPUT_SIDE)
    if fits and resolved.path and (expected := find_expected(resolved.path)):
        prove(expected, backbone.pooled(body))
    graph = backbone.assemble(body, resolved.spec)
    scans = prepared_scans(resolved.spec.preprocessing)
    avg, peak = backbone.forward(graph)(scans)
    reference = GoldenVectors.of(resolved.spec, scans, Features(avg, peak))
    reference.write(Graph(folder).reference_file(resolved.spec))
    # By way of a SavedModel: from a Keras object, OpenVINO 2026.4 cannot convert on Python 3.13 (NameError).
    with tempfile.TemporaryDirectory(dir=folder) as saved:
        graph.export(saved, format="tf_saved_model", verbose=False)
        # fp32 on disk: halving the file to fp16 moved v0's features by up to 8e-6 in cosine.
        openvino.save_model(openvino.convert_model(saved), folder / MODEL_FILE, compress_to_fp16=False)
    _require_equal(folder / MODEL_FILE, scans, reference.features)


def _require_equal(model: Path, scans: np.ndarray, reference: Features) -> None:
    found = openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(scans)
    for index, expected in enumerate((reference.avg, reference.max)):
        difference = float(np.abs(found[index] - expected).max() / np.abs(expected).max())
        if not difference <= MAX_DIFFERENCE:
            raise ConfigurationError(f"the converted graph differs from Keras by {difference:.1e} of the largest value")


def main() -> int:
    """Exit status 0, or 1 with the reason as the last line of standard error."""
    asked = json.load(sys.stdin)
    spec, weights = FeatureSetSpec.from_dict(asked["spec"]), asked["weights"]
    return ended(lambda: convert(ResolvedWeights(spec, Path(weights) if weights else None), Path(sys.argv[1])))


if __name__ == "__main__":
    sys.exit(main())
