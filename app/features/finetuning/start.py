"""A stored head as the last layer of a network that goes on learning. Loads Keras and onnx: for workers."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import onnx
from onnx import numpy_helper

from app.errors import NotTrainable
from app.heads.artifact import OUTPUT, HeadMetadata
from app.heads.scoring import read_metadata

Tensor = Any
_LINEAR = {"Concat", "Sub", "Mul", "Add", "Clip", "Gemm", "MatMul", "Identity", "Neg", "Softplus"}


class StoredHead:
    """The arithmetic of a stored head on pooled features, its products' weights free to change.

    What comes before the product (means, deviations, limits) and behind it (calibration) stays as it was: they only
    state the scale, which the weights can take up.
    """

    def __init__(self, artifact: bytes) -> None:
        """Raises NotTrainable for a head that is not linear, HeadRefused for bytes that are no head."""
        self.metadata: HeadMetadata = read_metadata(artifact)
        graph = onnx.load_from_string(artifact).graph
        constants = {one.name: numpy_helper.to_array(one) for one in graph.initializer}
        self._nodes, self._shift = _linear(graph, constants, self.metadata.algorithm)
        free = [name for node in self._nodes if node.op_type in ("Gemm", "MatMul") for name in node.input[1:]]
        self._free = {
            name: keras.Variable(constants.pop(name).astype(np.float32), name=role)
            for name, role in zip(free, ("head_kernel", "head_bias"), strict=False)
        }
        self._constants = constants

    @property
    def variables(self) -> list[keras.Variable]:
        return list(self._free.values())

    def __call__(self, avg: Tensor, peak: Tensor) -> Tensor:
        """Log-odds (n, classes), whose softmax are the head's probabilities."""
        values: dict[str, Tensor] = {"avg": avg, "max": peak, **self._constants, **self._free}
        for node in self._nodes:
            values[node.output[0]] = _result(node, [values[name] for name in node.input])
        return values[self._nodes[-1].output[0]] + self._shift


class NewHead:
    """A linear head on both poolings that has learned nothing yet."""

    def __init__(self, dimensions: int, classes: int, seed: int) -> None:
        initial = keras.initializers.GlorotUniform(seed)((dimensions, classes))
        self._kernel = keras.Variable(initial, name="head_kernel")
        self._offset = keras.Variable(np.zeros(classes, np.float32), name="head_bias")

    @property
    def variables(self) -> list[keras.Variable]:
        return [self._kernel, self._offset]

    def __call__(self, avg: Tensor, peak: Tensor) -> Tensor:
        return keras.ops.matmul(keras.ops.concatenate([avg, peak], axis=1), self._kernel) + self._offset


def _linear(graph: Any, constants: Mapping[str, Any], algorithm: str) -> tuple[list[Any], Any]:
    """The nodes up to the softmax that gives the probabilities, and what a stated prevalence adds to its log-odds.

    Raises NotTrainable for anything more than one linear product.
    """
    made_by = {node.output[0]: node for node in graph.node}
    last, shift = made_by[OUTPUT], np.float32(0)
    while last.op_type == "Identity":
        last = made_by[last.input[0]]
    if last.op_type == "Div" and made_by[last.input[0]].op_type == "Mul":
        weighted = made_by[last.input[0]]  # p * w / sum(p * w) is a softmax of log-odds + log(w)
        last, shift = made_by[weighted.input[0]], np.log(constants[weighted.input[1]])
    nodes: list[Any] = []
    needed = set(last.input) if last.op_type == "Softmax" else set()
    for node in reversed(graph.node):
        if needed & set(node.output):
            nodes.insert(0, node)
            needed |= set(node.input)
    products = sum(node.op_type in ("Gemm", "MatMul") for node in nodes)
    if products != 1 or not {node.op_type for node in nodes} <= _LINEAR:
        raise NotTrainable(
            f"A head by {algorithm} is no single linear product, so a network cannot go on learning from it; "
            "train a logistic regression first, or name no head: one is then fitted."
        )
    return nodes, shift


def _result(node: Any, given: Sequence[Tensor]) -> Tensor:
    ops = keras.ops
    results: Mapping[str, Callable[..., Tensor]] = {
        "Concat": lambda *parts: ops.concatenate(list(parts), axis=1),
        "Sub": ops.subtract,
        "Mul": ops.multiply,
        "Add": ops.add,
        "Clip": lambda x, least, most: ops.minimum(ops.maximum(x, least), most),
        "Gemm": lambda x, kernel, offset: ops.matmul(x, kernel) + offset,
        "MatMul": ops.matmul,
        "Neg": ops.negative,
        "Softplus": ops.softplus,
        "Identity": lambda x: x,
    }
    return results[node.op_type](*given)
