"""The CPU engine: OpenVINO on a converted graph; this process never loads TensorFlow."""

import threading
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
import openvino
from numpy.typing import NDArray

from app.errors import ConfigurationError
from app.features.backbones import is_int8
from app.features.engines.batches import Chunk, checked, chunks, empty
from app.features.engines.cache import Graph, converted
from app.features.engines.processor import has_bf16
from app.features.golden import GoldenVectors, prepared_scans
from app.features.spec import Features, FeatureSetSpec, InputBatch
from app.features.weights import ResolvedWeights

ELEMENT_TYPES = {"bf16": "bf16", "fp32": "f32"}


class Network:
    """A compiled graph, shared by all extractors of this process whose feature sets have the same network."""

    def __init__(self, graph: Graph, precision: str) -> None:
        self.chunk = Chunk()
        self._graph, self._precision = graph, precision
        # THROUGHPUT: a stream a core, each with a piece of the batch. One stream over all cores (LATENCY) waits
        # for the slowest core after every layer: 10 % slower alone on two cores, 35 % when decoding or
        # neighbours keep them busy (2026-11, batch 32); it gains 3 ms of 20 on a single image.
        compiled = _compile(_read(graph), graph, precision, "THROUGHPUT")
        self.streams = int(compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))
        self._queue = openvino.AsyncInferQueue(compiled, self.streams)
        self._map: tuple[openvino.CompiledModel, tuple[int, int]] | None = None
        self._lock = threading.Lock()

    def extract(self, scans: InputBatch, features: Features, engine: str) -> None:
        """Fill `features` with those of `scans`, float32 (n, height, width)."""

        def work(size: int) -> None:
            self._queue.set_callback(lambda request, rows: _keep(request, rows, features))
            try:
                for rows in chunks(len(scans), size, self.streams):
                    self._queue.start_async({0: scans[rows]}, rows, share_inputs=True)
            finally:
                self._queue.wait_all()

        with self._lock:
            self.chunk.run(engine, len(scans), work)

    def feature_map(self, scans: InputBatch, engine: str) -> NDArray[np.float32]:
        """The last feature map of `scans`: float32 (n, rows, columns, channels). Compiled when first asked for."""
        with self._lock:
            if self._map is None:
                model, places = _without_poolings(_read(self._graph))
                self._map = (_compile(model, self._graph, self._precision, "LATENCY"), places)
            compiled, places = self._map
            shape = [len(scans), *(side.get_length() for side in list(compiled.output(0).partial_shape)[1:])]
            found = np.empty(shape, np.float32)

            def work(size: int) -> None:
                for rows in chunks(len(scans), size):
                    found[rows] = compiled({0: scans[rows]})[0]

            self.chunk.run(engine, len(scans), work)
        return np.ascontiguousarray(np.moveaxis(found, places, (1, 2)))


class OpenVinoExtractor:
    """A backbone on the CPU. Safe to call from several threads, one of which runs at a time."""

    def __init__(self, spec: FeatureSetSpec, network: Network, graph: Graph, precision: str) -> None:
        self.spec = spec
        self.engine = f"openvino/{precision}"
        self.chunk = network.chunk
        self.streams = network.streams
        self._network, self.graph = network, graph

    def extract(self, batch: InputBatch) -> Features:
        """Features of float32 (n, height, width) in [0, 1]; memory is bounded by a chunk for each stream."""
        scans = checked(self.spec, batch)
        features = empty(self.spec, len(scans))
        self._network.extract(scans, features, self.engine)
        return features

    def feature_map(self, batch: InputBatch) -> NDArray[np.float32]:
        """The last feature map of float32 (n, height, width) in [0, 1]: float32 (n, rows, columns, channels)."""
        return self._network.feature_map(checked(self.spec, batch), self.engine)

    @property
    def reference(self) -> GoldenVectors:
        """The fp32 answers to the golden scans as this feature set prepares them, kept beside the graph.

        The conversion made those of the feature set that it was asked for. For another one on the same network they
        are made here by the fp32 graph, which the conversion proved to equal Keras.
        """
        stored = self.graph.reference_file(self.spec)
        if not stored.is_file():
            scans = prepared_scans(self.spec.preprocessing)
            features = empty(self.spec, len(scans))
            _network(self.graph, "fp32").extract(scans, features, "openvino/fp32")
            GoldenVectors.of(self.spec, scans, features).write(stored)
        return GoldenVectors.read(stored)


_networks: "WeakValueDictionary[tuple[Path, str], Network]" = WeakValueDictionary()
_networks_lock = threading.Lock()


def build(resolved: ResolvedWeights, *, precision: str, device: str, cache_dir: Path) -> OpenVinoExtractor:  # noqa: ARG001
    """Convert (once) and compile, or share what is compiled. Raises ConfigurationError, also for bf16 on a
    processor without it."""
    chosen = _precision(resolved, precision)
    graph = converted(resolved, cache_dir, openvino.__version__)
    word = "int8" if is_int8(resolved.spec.backbone) else chosen
    return OpenVinoExtractor(resolved.spec, _network(graph, chosen), graph, word)


def _network(graph: Graph, precision: str) -> Network:
    with _networks_lock:
        found = _networks.get((graph.folder, precision))
        if found is None:
            found = _networks[graph.folder, precision] = Network(graph, precision)
        return found


def _keep(request: openvino.InferRequest, rows: slice, features: Features) -> None:
    # Copied into place: the request reuses its output memory in its next pass.
    features.avg[rows] = request.get_output_tensor(0).data
    features.max[rows] = request.get_output_tensor(1).data


def _precision(resolved: ResolvedWeights, asked: str) -> str:
    able = "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES") and has_bf16()
    if asked == "bf16" and not able:
        raise ConfigurationError(
            "Precision bf16 was asked for and this processor has neither avx512_bf16 nor amx_bf16: "
            "set PENUMBRA_PRECISION to auto or fp32."
        )
    if asked == "auto":
        return "bf16" if able and resolved.bf16_agrees else "fp32"
    return asked


def _read(graph: Graph) -> openvino.Model:
    try:
        return openvino.Core().read_model(graph.model)
    except RuntimeError as error:
        raise _unusable(graph, error) from error


def _compile(model: openvino.Model, graph: Graph, precision: str, hint: str) -> openvino.CompiledModel:
    options = {"INFERENCE_PRECISION_HINT": ELEMENT_TYPES[precision], "PERFORMANCE_HINT": hint}
    try:
        compiled = openvino.Core().compile_model(model, "CPU", options)
    except RuntimeError as error:
        raise _unusable(graph, error) from error
    used = compiled.get_property("INFERENCE_PRECISION_HINT").to_string()
    if used != ELEMENT_TYPES[precision]:
        raise ConfigurationError(f"OpenVINO runs {used} where {precision} was chosen: set PENUMBRA_PRECISION.")
    return compiled


def _unusable(graph: Graph, error: RuntimeError) -> ConfigurationError:
    return ConfigurationError(f"OpenVINO cannot use {graph.model} ({error}): delete {graph.folder} and start again.")


def _without_poolings(model: openvino.Model) -> tuple[openvino.Model, tuple[int, int]]:
    """`model` up to what its poolings pool, and the two axes that they pool over."""
    node: Any = model.output(0).get_node()
    while node.get_type_name() != "ReduceMean":
        node = node.input_value(0).get_node()
    axes = sorted(int(axis) % 4 for axis in node.input_value(1).get_node().get_data())
    result = openvino.opset13.result(node.input_value(0))
    return openvino.Model([result], model.get_parameters(), "feature_map"), (axes[0], axes[1])
