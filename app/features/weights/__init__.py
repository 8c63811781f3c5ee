"""Which weights a feature set has, where they lie, and whether they are whole."""

from app.features.weights.arrays import Arrays, read_arrays, weights_digest, write_arrays
from app.features.weights.known import CURRENT, KNOWN, NETWORKS, KnownFeatureSet, Network, successor, versions
from app.features.weights.resolution import IMAGENET_DOWNLOAD, ResolvedWeights, resolve, resolve_spec

__all__ = [
    "CURRENT",
    "IMAGENET_DOWNLOAD",
    "KNOWN",
    "NETWORKS",
    "Arrays",
    "KnownFeatureSet",
    "Network",
    "ResolvedWeights",
    "read_arrays",
    "resolve",
    "resolve_spec",
    "successor",
    "versions",
    "weights_digest",
    "write_arrays",
]
