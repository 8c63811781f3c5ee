"""Which weights a feature set has, where they lie, and whether they are whole."""

from app.features.weights.arrays import read_arrays, weights_digest
from app.features.weights.resolution import (
    IMAGENET_DOWNLOAD,
    KNOWN,
    KnownFeatureSet,
    ResolvedWeights,
    resolve,
)

__all__ = [
    "IMAGENET_DOWNLOAD",
    "KNOWN",
    "KnownFeatureSet",
    "ResolvedWeights",
    "read_arrays",
    "resolve",
    "weights_digest",
]
