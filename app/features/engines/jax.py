"""Keras on JAX, compiled by XLA, on a GPU or the CPU."""

from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import jax
import keras
import numpy as np
from numpy.typing import NDArray

from app.errors import ConfigurationError
from app.features import backbone
from app.features.engines.batches import Chunk, checked, chunks, empty, padded
from app.features.spec import Features, FeatureSetSpec, InputBatch
from app.features.weights import ResolvedWeights

Forward = Callable[[InputBatch], list[jax.Array]]


class JaxExtractor:
    """A backbone as one jitted function; passes have a power of two of images, the rest zeros.

    Passes are started one after the other and read back at the end, so that a GPU need not wait for the host.
    """

    def __init__(self, spec: FeatureSetSpec, graph: keras.Model, precision: str, device: jax.Device) -> None:
        self.spec = spec
        self.engine = f"jax/{precision}{'/gpu' if device.platform != 'cpu' else ''}"
        self.chunk = Chunk()
        self._graph, self._device, self._precision = graph, device, precision
        self._forward = self._compiled(graph)

    def extract(self, batch: InputBatch) -> Features:
        """Features of float32 (n, height, width) in [0, 1]."""
        scans = checked(self.spec, batch)
        features = empty(self.spec, len(scans))

        def work(size: int) -> None:
            started = [(rows, self._forward(scans[rows])) for rows in chunks(len(scans), size)]
            for rows, (avg, peak) in started:
                length = rows.stop - rows.start
                features.avg[rows], features.max[rows] = np.asarray(avg)[:length], np.asarray(peak)[:length]

        self.chunk.run(self.engine, len(scans), work)
        return features

    def feature_map(self, batch: InputBatch) -> NDArray[np.float32]:
        """The last feature map of float32 (n, height, width) in [0, 1]: float32 (n, rows, columns, channels)."""
        scans = checked(self.spec, batch)
        found = np.empty((len(scans), *self._graph.get_layer("avg").input.shape[1:]), np.float32)

        def work(size: int) -> None:
            for rows in chunks(len(scans), size):
                found[rows] = np.asarray(self._map(scans[rows])[0])[: rows.stop - rows.start]

        self.chunk.run(self.engine, len(scans), work)
        return found

    @cached_property
    def _map(self) -> Forward:
        return self._compiled(backbone.feature_map_of(self._graph))

    def _compiled(self, graph: keras.Model) -> Forward:
        # On a GPU float32 would be multiplied as TF32, of ten bits: a feature set says fp32 and means it.
        exact = "highest" if self._precision == "fp32" else "default"
        weights = jax.device_put(
            ([v.value for v in graph.trainable_variables], [v.value for v in graph.non_trainable_variables]),
            self._device,
        )

        def run(weights: tuple[list[jax.Array], list[jax.Array]], batch: jax.Array) -> list[jax.Array]:
            with jax.default_matmul_precision(exact):
                outputs, _ = graph.stateless_call(*weights, batch, training=False)
            outputs = outputs if isinstance(outputs, (list, tuple)) else [outputs]
            return [output.astype("float32") for output in outputs]

        compiled = jax.jit(run)
        return lambda scans: compiled(weights, jax.device_put(padded(scans), self._device))


def build(resolved: ResolvedWeights, *, precision: str, device: str, cache_dir: Path) -> JaxExtractor:  # noqa: ARG001
    """Build the graph in this process; nothing is cached, and the first pass of each length waits for the compiler.

    device is `auto`, `cpu` or `gpu`. Raises ConfigurationError, also where a GPU is asked for and JAX sees none.
    """
    chosen = _device(device)
    if precision == "auto":
        precision = "bf16" if chosen.platform != "cpu" and resolved.bf16_agrees else "fp32"
    with jax.default_device(chosen), backbone.computing(precision):
        graph = backbone.build(resolved)
    return JaxExtractor(resolved.spec, graph, precision, chosen)


def _device(asked: str) -> jax.Device:
    if asked != "cpu":
        try:
            return jax.devices("gpu")[0]
        except RuntimeError as error:  # JAX's answer for a platform that it does not have
            if asked == "gpu":
                raise ConfigurationError(
                    f"A GPU was asked for and JAX sees none ({error}): install jax[cuda12] and the NVIDIA driver, or "
                    "set PENUMBRA_DEVICE to auto or cpu."
                ) from error
    return jax.devices("cpu")[0]
