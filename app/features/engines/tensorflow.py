"""The reference engine: Keras on TensorFlow in float32. Slow, and what the other engines are held against."""

from pathlib import Path

from app.errors import ConfigurationError
from app.features import backbone
from app.features.engines.batches import checked, chunks, empty
from app.features.spec import Features, FeatureSetSpec, InputBatch
from app.features.weights import ResolvedWeights


class TensorFlowExtractor:
    """DenseNet121 as a `tf.function` in float32."""

    engine = "tensorflow/fp32"

    def __init__(self, spec: FeatureSetSpec, forward: backbone.Forward) -> None:
        self.spec = spec
        self._forward = forward

    def extract(self, batch: InputBatch) -> Features:
        """Features of float32 (n, height, width) in [0, 1]."""
        scans = checked(self.spec, batch)
        features = empty(self.spec, len(scans))
        for rows in chunks(len(scans)):
            features.avg[rows], features.max[rows] = self._forward(scans[rows])
        return features


def build(resolved: ResolvedWeights, *, precision: str, cache_dir: Path) -> TensorFlowExtractor:  # noqa: ARG001
    """Build the graph in this process; nothing is cached. Raises ConfigurationError, also for bf16."""
    if precision == "bf16":
        raise ConfigurationError("The tensorflow engine is the fp32 reference: use openvino for bf16.")
    return TensorFlowExtractor(resolved.spec, backbone.forward(backbone.build(resolved)))
