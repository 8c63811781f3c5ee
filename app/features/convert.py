"""`python -m app.features.convert NAME WEIGHTS FOLDER`: Keras graph to OpenVINO, in a process of its own.

Writes `model.xml`, `model.bin` and `reference.npz`. An expectation beside the weights file
(`WEIGHTS.expected.json` or `EXPECTED.json`) is proven first.
"""

import sys
import tempfile
from pathlib import Path

import openvino

from app.errors import AppError
from app.features import backbone
from app.features.engines.cache import MODEL_FILE, REFERENCE_FILE
from app.features.expected import find_expected, prove
from app.features.golden import GoldenVectors, prepared_scans
from app.features.spec import Features
from app.features.weights import resolve


def convert(name: str, weights: str, folder: Path) -> None:
    """Convert feature set `name` with `weights` (as `resolve` takes them) into `folder`, which exists."""
    resolved = resolve(name, weights)
    body = backbone.load_body(resolved)
    if resolved.path and (expected := find_expected(resolved.path)):
        prove(expected, backbone.pooled(body))
    graph = backbone.assemble(body, resolved.spec)
    scans = prepared_scans(resolved.spec.preprocessing)
    GoldenVectors.of(resolved.spec, scans, Features(*backbone.forward(graph)(scans))).write(folder / REFERENCE_FILE)
    # By way of a SavedModel: from a Keras object, OpenVINO 2026.4 cannot convert on Python 3.13 (NameError).
    with tempfile.TemporaryDirectory(dir=folder) as saved:
        graph.export(saved, format="tf_saved_model", verbose=False)
        # fp32 on disk: halving the file to fp16 moved v0's features by up to 8e-6 in cosine.
        openvino.save_model(openvino.convert_model(saved), folder / MODEL_FILE, compress_to_fp16=False)


def main() -> int:
    """Exit status 0, or 1 with the reason as the last line of standard error."""
    name, weights, folder = sys.argv[1:]
    try:
        convert(name, weights, Path(folder))
    except AppError as error:
        sys.stderr.write(f"{error.message}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
