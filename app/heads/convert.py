"""Write a head as one ONNX graph. For workers: this module loads `onnx`.

Each trainer spells its arithmetic in standard operators instead of going through a converter: a logistic regression, a
kernel machine, a folded dense network and a forest are a handful of nodes each. Dense products run on the batch, which
the `ai.onnx.ml` SVM operator does row by row.
"""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from app.errors import HeadRefused
from app.heads.artifact import OUTPUT, GoldenRows, HeadMetadata, sealed
from app.heads.familiarity import Familiarity

TREES = "ai.onnx.ml"
OPSETS = {"": 17, TREES: 3}  # read by every onnxruntime since 1.12
IR_VERSION = 8
# Every process that scores holds its live heads; the largest ones so far have 4 MiB.
MOST_BYTES = 64 << 20
FLOAT, DOUBLE, UINT8 = int(TensorProto.FLOAT), int(TensorProto.DOUBLE), int(TensorProto.UINT8)


class Graph:
    """Collects nodes and constants; every method returns the name of the value it made."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.size = 0  # bytes of all constants

    def constant(self, values: npt.ArrayLike, dtype: npt.DTypeLike = np.float32) -> str:
        name = f"constant_{len(self.constants)}"
        array = np.ascontiguousarray(values, dtype=dtype)
        self.require_room(array.nbytes)
        self.size += array.nbytes
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def node(self, operator: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        name = output or f"value_{len(self.nodes)}"
        self._add(helper.make_node(operator, list(inputs), [name], **attributes))
        return name

    def pair(self, operator: str, *inputs: str, **attributes: Any) -> tuple[str, str]:
        """Write a node with two outputs."""
        first, second = f"value_{len(self.nodes)}", f"value_{len(self.nodes)}_too"
        self._add(helper.make_node(operator, list(inputs), [first, second], **attributes))
        return first, second

    def _add(self, node: Any) -> None:
        self.require_room(node.ByteSize())
        self.size += node.ByteSize()
        self.nodes.append(node)

    def require_room(self, size: int) -> None:
        """Raise `HeadRefused` where `size` bytes more would make the artifact too large."""
        if self.size + size > MOST_BYTES:
            raise HeadRefused(
                f"The head would take {(self.size + size) / 2**20:.0f} MiB, more than {MOST_BYTES >> 20}; "
                "train on fewer rows, with fewer or smaller trees, or another algorithm"
            )


class Step(Protocol):
    """Something that maps rows to rows, in NumPy while training and in the graph ever after."""

    def emit(self, graph: Graph, x: str) -> str: ...


def to_onnx(
    emit: Callable[[Graph, Mapping[str, str]], str],
    metadata: HeadMetadata,
    golden: GoldenRows,
    familiarity: Familiarity | None = None,
) -> bytes:
    """Return the artifact's bytes, the same for the same input; `emit` writes the nodes behind the head's inputs.

    Raises `HeadRefused` where it would be larger than `MOST_BYTES`.
    """
    graph = Graph()
    widths = {"avg": metadata.avg_dimensions, "max": metadata.max_dimensions}
    names = metadata.pooling.inputs
    inputs = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["rows", widths[n]]) for n in names]
    graph.node("Identity", emit(graph, {name: name for name in names}), output=OUTPUT)
    outputs = [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["rows", len(metadata.classes)])]
    built = helper.make_graph(graph.nodes, "head", inputs, outputs, initializer=graph.constants)
    return _serialise(built, sealed(metadata, golden, familiarity))


def _serialise(graph: Any, texts: dict[str, str]) -> bytes:
    opsets = [helper.make_opsetid(domain, OPSETS[domain]) for domain in sorted({node.domain for node in graph.node})]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="penumbra")
    helper.set_model_props(model, texts)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))
