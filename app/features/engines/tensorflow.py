"""Keras on TensorFlow, on the CPU or a GPU: in float32 without XLA the reference that other engines are held to."""

from functools import cached_property
from pathlib import Path

import keras
import numpy as np
import tensorflow
from numpy.typing import NDArray

from app.errors import ConfigurationError
from app.features import backbone
from app.features.engines.batches import Chunk, checked, chunks, empty, padded
from app.features.spec import Features, FeatureSetSpec, InputBatch
from app.features.weights import ResolvedWeights


class TensorFlowExtractor:
    """A backbone as a `tf.function`; with XLA its passes have a power of two of images, the rest zeros."""

    def __init__(self, spec: FeatureSetSpec, graph: keras.Model, *, precision: str, device: str, xla: bool) -> None:
        self.spec = spec
        self.engine = f"tensorflow{'-xla' if xla else ''}/{precision}{'/gpu' if device == 'gpu' else ''}"
        self.chunk = Chunk()
        self._graph, self._device, self._xla = graph, f"/{device.upper()}:0", xla
        self._forward = backbone.forward(graph, xla=xla)

    def extract(self, batch: InputBatch) -> Features:
        """Features of float32 (n, height, width) in [0, 1]."""
        scans = checked(self.spec, batch)
        features = empty(self.spec, len(scans))

        def work(size: int) -> None:
            for rows in chunks(len(scans), size):
                features.avg[rows], features.max[rows] = self._run(self._forward, scans[rows])

        self.chunk.run(self.engine, len(scans), work)
        return features

    def feature_map(self, batch: InputBatch) -> NDArray[np.float32]:
        """The last feature map of float32 (n, height, width) in [0, 1]: float32 (n, rows, columns, channels)."""
        scans = checked(self.spec, batch)
        found = np.empty((len(scans), *self._graph.get_layer("avg").input.shape[1:]), np.float32)

        def work(size: int) -> None:
            for rows in chunks(len(scans), size):
                (found[rows],) = self._run(self._map, scans[rows])

        self.chunk.run(self.engine, len(scans), work)
        return found

    def _run(self, forward: backbone.Forward, scans: InputBatch) -> tuple[NDArray[np.float32], ...]:
        with tensorflow.device(self._device):
            return tuple(output[: len(scans)] for output in forward(padded(scans) if self._xla else scans))

    @cached_property
    def _map(self) -> backbone.Forward:
        return backbone.forward(backbone.feature_map_of(self._graph), xla=self._xla)


def build(
    resolved: ResolvedWeights,
    *,
    precision: str,
    device: str,
    cache_dir: Path,  # noqa: ARG001
    xla: bool = False,
) -> TensorFlowExtractor:
    """Build the graph in this process; nothing is cached. device is `auto`, `cpu` or `gpu`.

    Raises ConfigurationError, also where a GPU is asked for and TensorFlow sees none.
    """
    chosen = _device(device)
    if precision == "auto":
        precision = "bf16" if chosen == "gpu" and resolved.bf16_agrees else "fp32"
    with tensorflow.device(f"/{chosen.upper()}:0"), backbone.computing(precision):
        graph = backbone.build(resolved)
    return TensorFlowExtractor(resolved.spec, graph, precision=precision, device=chosen, xla=xla)


def build_xla(resolved: ResolvedWeights, *, precision: str, device: str, cache_dir: Path) -> TensorFlowExtractor:
    """As `build`, compiled by XLA: the first pass of each length of batch waits for the compiler."""
    return build(resolved, precision=precision, device=device, cache_dir=cache_dir, xla=True)


def _device(asked: str) -> str:
    gpus = [] if asked == "cpu" else tensorflow.config.list_physical_devices("GPU")
    if asked == "gpu" and not gpus:
        raise ConfigurationError(
            "A GPU was asked for and TensorFlow sees none: install tensorflow[and-cuda] and the NVIDIA driver, or "
            "set PENUMBRA_DEVICE to auto or cpu."
        )
    for gpu in gpus:
        try:
            tensorflow.config.experimental.set_memory_growth(gpu, True)
        except RuntimeError:
            break  # TensorFlow has begun to work in this process: it keeps what it has
    # On a GPU float32 would be multiplied as TF32, of ten bits: a feature set says fp32 and means it.
    tensorflow.config.experimental.enable_tensor_float_32_execution(False)
    return "gpu" if gpus else "cpu"
