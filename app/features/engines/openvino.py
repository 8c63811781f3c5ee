"""The CPU engine: OpenVINO on a converted graph; this process never loads TensorFlow."""

import threading
from pathlib import Path

import numpy as np
import openvino

from app.errors import ConfigurationError
from app.features.engines.batches import checked, chunks, joined
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
        self._request = compiled.create_infer_request()
        self._lock = threading.Lock()

    def extract(self, batch: InputBatch) -> Features:
        """Features of float32 (n, height, width) in [0, 1]; memory is bounded by chunks of 32."""
        with self._lock:
            return joined(self.spec, [self._forward(chunk) for chunk in chunks(checked(self.spec, batch))])

    def _forward(self, chunk: InputBatch) -> Features:
        outputs = self._request.infer({0: chunk}, share_inputs=True)
        # Copies: the request reuses its output memory in the next pass.
        return Features(np.array(outputs[0], np.float32), np.array(outputs[1], np.float32))


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
    # LATENCY: all cores on one request. The batch is the parallelism here; THROUGHPUT, which splits the
    # cores among requests, halves the speed of a worker that runs one batch at a time.
    options = {"INFERENCE_PRECISION_HINT": ELEMENT_TYPES[precision], "PERFORMANCE_HINT": "LATENCY"}
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
