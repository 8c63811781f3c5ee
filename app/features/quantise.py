"""Feature sets of eight-bit networks: another network, so another feature set, with weights and a digest of its own.

Light: the work is done by a process of its own (`app.features.quantise_graph`), which needs penumbra[int8].
"""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

from app.errors import ConfigurationError
from app.features.apart import run_apart
from app.features.backbones import INT8, is_int8
from app.features.spec import Features, FeatureSetSpec
from app.features.weights import ResolvedWeights, resolve_spec
from app.features.weights.arrays import READ_ERRORS

XML, BIN = "model.xml", "model.bin"
QUANTISATION_SECONDS = 1800


def quantise(
    spec: FeatureSetSpec, name: str, *, weights: str | None = None, weights_dir: Path, cache_dir: Path
) -> FeatureSetSpec:
    """The spec of feature set `name`: the network of `spec` in eight bits, stored as `weights_dir/<digest>.npz`.

    Post-training quantisation (NNCF), calibrated on simulated scans and the golden scans as `spec` prepares them;
    about half a minute for DenseNet121. Runs on the openvino engine only. Raises ConfigurationError.
    """
    if is_int8(spec.backbone):
        raise ConfigurationError(f"{spec.name} is in eight bits already: name the feature set that it was made from.")
    resolved = resolve_spec(spec, weights, weights_dir)
    asked = {"spec": spec.as_dict(), "weights": str(resolved.path.resolve()) if resolved.path else None}
    printed = run_apart(
        "app.features.quantise_graph", str(weights_dir.resolve()), str(cache_dir.resolve()), given=json.dumps(asked),
        what=f"Quantising {spec.name}", seconds=QUANTISATION_SECONDS,
    )  # fmt: skip
    return replace(spec, name=name, backbone=spec.backbone + INT8, weights_digest=printed.split()[-1])


def graph_digest(xml: bytes, weights: bytes) -> str:
    """SHA-256, hexadecimal, of a quantised graph: what its feature set has for a digest of weights."""
    digest = hashlib.sha256(f"int8 {len(xml)} {len(weights)}\n".encode())
    digest.update(xml)
    digest.update(weights)
    return digest.hexdigest()


def unpack(resolved: ResolvedWeights, folder: Path) -> tuple[Features, str, NDArray[np.float32]]:
    """Write the graph of `resolved` into `folder` as `model.xml` and `model.bin`.

    Returns what the machine that quantised it got for the golden scans: their features, the digest of their
    preprocessing, and their pixels as `GoldenVectors` keeps them. Raises ConfigurationError for a file that cannot be
    read or is not that of the spec.
    """
    assert resolved.path is not None
    try:
        with resolved.path.open("rb") as stream, NpzFile(stream, allow_pickle=False) as stored:
            xml, weights = stored[XML].tobytes(), stored[BIN].tobytes()
            golden = Features(stored["avg"], stored["max"]), str(stored["preprocessing_digest"]), stored["pixels"]
    except READ_ERRORS as error:
        raise ConfigurationError(
            f"The quantised graph {resolved.path} cannot be read ({error}): make it anew, or copy it again."
        ) from error
    if graph_digest(xml, weights) != resolved.spec.weights_digest:
        raise ConfigurationError(f"{resolved.path} is not the quantised graph of {resolved.spec.name}: copy it again.")
    (folder / XML).write_bytes(xml)
    (folder / BIN).write_bytes(weights)
    return golden
