"""Which weights a feature set has, where they lie, and whether they are whole."""

from app.features.weights.arrays import Arrays, read_arrays, weights_digest, write_arrays
from app.features.weights.resolution import (
    IMAGENET_DOWNLOAD,
    KNOWN,
    KnownFeatureSet,
    ResolvedWeights,
    resolve,
    resolve_spec,
)

__all__ = [
    "IMAGENET_DOWNLOAD",
    "KNOWN",
    "Arrays",
    "KnownFeatureSet",
    "ResolvedWeights",
    "read_arrays",
    "resolve",
    "resolve_spec",
    "weights_digest",
    "write_arrays",
]
