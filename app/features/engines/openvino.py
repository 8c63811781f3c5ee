"""The CPU engine: OpenVINO on a converted graph; this process never loads TensorFlow."""

import threading
from pathlib import Path

import openvino

from app.errors import ConfigurationError
from app.features.engines.batches import checked, chunks, empty
from app.features.engines.cache import Graph, converted
from app.features.engines.processor import has_bf16
from app.features.golden import GoldenVectors
from app.features.spec import Features, FeatureSetSpec, InputBatch
from app.features.weights import ResolvedWeights

ELEMENT_TYPES = {"bf16": "bf16", "fp32": "f32"}


class OpenVinoExtractor:
    """DenseNet121 on the CPU. Safe to call from several threads, one of which runs at a time."""

    def __init__(
        self, spec: FeatureSetSpec, compiled: openvino.CompiledModel, precision: str, reference: GoldenVectors
    ) -> None:
        self.spec = spec
        self.engine = f"openvino/{precision}"
        self.reference = reference
        self._streams = int(compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))
        self._queue = openvino.AsyncInferQueue(compiled, self._streams)
        self._lock = threading.Lock()

    def extract(self, batch: InputBatch) -> Features:
        """Features of float32 (n, height, width) in [0, 1]; memory is bounded by chunks of 16 a stream."""
        scans = checked(self.spec, batch)
        features = empty(self.spec, len(scans))
        with self._lock:
            self._queue.set_callback(lambda request, rows: _keep(request, rows, features))
            for rows in chunks(len(scans), self._streams):
                self._queue.start_async({0: scans[rows]}, rows, share_inputs=True)
            self._queue.wait_all()
        return features


def _keep(request: openvino.InferRequest, rows: slice, features: Features) -> None:
    # Copied into place: the request reuses its output memory in its next pass.
    features.avg[rows] = request.get_output_tensor(0).data
    features.max[rows] = request.get_output_tensor(1).data


def build(resolved: ResolvedWeights, *, precision: str, cache_dir: Path) -> OpenVinoExtractor:
    """Convert (once) and compile. Raises ConfigurationError, also for bf16 on a processor without it."""
    core = openvino.Core()
    chosen = _precision(core, resolved, precision)
    graph = converted(resolved, cache_dir, openvino.__version__)
    compiled = _compile(core, graph, chosen)
    return OpenVinoExtractor(resolved.spec, compiled, chosen, graph.reference())


def _precision(core: openvino.Core, resolved: ResolvedWeights, asked: str) -> str:
    able = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES") and has_bf16()
    if asked == "bf16" and not able:
        raise ConfigurationError(
            "Precision bf16 was asked for and this processor has neither avx512_bf16 nor amx_bf16: "
            "set PENUMBRA_PRECISION to auto or fp32."
        )
    if asked == "auto":
        return "bf16" if able and resolved.bf16_agrees else "fp32"
    return asked


def _compile(core: openvino.Core, graph: Graph, precision: str) -> openvino.CompiledModel:
    # THROUGHPUT: a stream a core, each with a piece of the batch. One stream over all cores (LATENCY) waits
    # for the slowest core after every layer: 10 % slower alone on two cores, 35 % when decoding or
    # neighbours keep them busy (2026-11, batch 32); it gains 3 ms of 20 on a single image.
    options = {"INFERENCE_PRECISION_HINT": ELEMENT_TYPES[precision], "PERFORMANCE_HINT": "THROUGHPUT"}
    try:
        compiled = core.compile_model(core.read_model(graph.model), "CPU", options)
    except RuntimeError as error:
        raise ConfigurationError(
            f"OpenVINO cannot use {graph.model} ({error}): delete {graph.folder} and start again."
        ) from error
    used = compiled.get_property("INFERENCE_PRECISION_HINT").to_string()
    if used != ELEMENT_TYPES[precision]:
        raise ConfigurationError(f"OpenVINO runs {used} where {precision} was chosen: set PENUMBRA_PRECISION.")
    return compiled
