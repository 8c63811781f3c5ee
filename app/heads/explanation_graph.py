"""What a head's ONNX graph says of how its answers can be explained. For workers: this module loads `onnx`."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from app.heads.arrays import FeatureRows, Float32, Float64
from app.heads.artifact import unsealed
from app.heads.explanation import Explanation, Linear, Reading, explain, log_odds
from app.heads.scoring import Head, open_session

# Answers that jump: trees, counted neighbours, rounded rows. A slope measured between two jumps means nothing.
STEPPED = {
    "TreeEnsembleRegressor", "TreeEnsembleClassifier", "TreeEnsemble", "TopK", "Round", "Floor", "Ceil",
    "MatMulInteger", "QLinearMatMul", "ArgMax", "ArgMin", "Sign",
}  # fmt: skip
MARGINS = "penumbra_margins"
# A calibration turns no ranking round; float32 may.
UNORDERED = 1e-3


class ExplainedHead:
    """A loaded head that can say where its answers come from. Safe to share between threads."""

    def __init__(self, artifact: bytes) -> None:
        """Raise `HeadRefused` as `Head.load` does."""
        self._head = Head.load(artifact)
        self.metadata = self._head.metadata
        model = onnx.load_from_string(artifact)
        self._stepped = any(node.op_type in STEPPED for node in model.graph.node)
        self._reading = None if self._stepped or len(self.metadata.classes) != 2 else self._read(model)

    def explain(self, feature_map: Float32) -> Explanation:
        """Return where the answer on a map float32 (h, w, channels) comes from. Raises `InvalidInput`."""
        return explain(feature_map, self.log_odds, reading=self._reading, stepped=self._stepped)

    def probabilities(self, feature_map: Float32) -> Float32:
        """Return what the head says of the poolings of a map (h, w, channels): float32 (classes,)."""
        pooled = FeatureRows(feature_map.mean(axis=(0, 1))[None], feature_map.max(axis=(0, 1))[None])
        return np.asarray(self._head.score(pooled)[0])

    def log_odds(self, rows: FeatureRows) -> Float64:
        """Return the log-odds of the positive class, float64 (n,), as the head's probabilities have them."""
        return log_odds(self._head.score(rows), self.metadata.positive_index)

    def _read(self, model: Any) -> Reading | None:
        """The head as a linear map of its features, if its graph is one and its answers rise with it."""
        found = linear_part(model.graph, self.metadata.positive_index)
        if found is None:
            return None
        linear, margins = found
        session = open_session(_with_margins(model, margins))
        positive, inputs = self.metadata.positive_index, self.metadata.pooling.inputs

        def score(rows: FeatureRows) -> Float64:
            said = session.run([MARGINS], {name: getattr(rows, name) for name in inputs})[0].astype(np.float64)
            return np.asarray(said[:, positive] - said[:, 1 - positive])

        reading = Reading(linear, self.metadata.pooling, score)
        return reading if self._rises(reading, model) else None

    def _rises(self, reading: Reading, model: Any) -> bool:
        """Whether what follows the linear map only calibrates it: rows that it ranks higher are answered no lower."""
        golden = unsealed({prop.key: prop.value for prop in model.metadata_props})[1]
        steps = np.linspace(-0.5, 1.5, 9, dtype=np.float32)[:, None, None, None]
        avg, max_ = (
            (a[:, None] + steps * (a[None] - a[:, None])).reshape(-1, a.shape[1]) for a in (golden.avg, golden.max)
        )
        rows = FeatureRows(np.maximum(avg, 0), np.maximum(max_, 0))
        answers = self.log_odds(rows)[np.argsort(reading.score(rows), kind="stable")]
        spread, fallen = float(np.ptp(answers)), float((np.maximum.accumulate(answers) - answers).max())
        return spread > UNORDERED and fallen <= UNORDERED * max(1.0, spread)


@dataclass(frozen=True)
class _Affine:
    """`clip(x * scale + shift, low, high)`, while a graph is read."""

    scale: Float64
    shift: Float64
    low: float = -np.inf
    high: float = np.inf

    @property
    def bounded(self) -> bool:
        return bool(np.isfinite(self.low) or np.isfinite(self.high))

    def then(self, operator: str, values: Float64) -> "_Affine | None":
        """With one more step behind it; None for a step that is none of these, or that follows a bound."""
        if self.bounded or values.size not in (1, self.scale.size):
            return None
        values = values.ravel()
        match operator:
            case "Add":
                return replace(self, shift=self.shift + values)
            case "Sub":
                return replace(self, shift=self.shift - values)
            case "Mul":
                return replace(self, scale=self.scale * values, shift=self.shift * values)
            case "Div":
                return replace(self, scale=self.scale / values, shift=self.shift / values)
        return None


def linear_part(graph: Any, positive: int) -> tuple[Linear, str] | None:
    """Return the first product of a graph whose factors are its features, moved, scaled and bounded one by one.

    With the name of the two margins that the product makes; None for a graph that begins otherwise.
    """
    constants = {one.name: numpy_helper.to_array(one).astype(np.float64) for one in graph.initializer}
    reached = {
        one.name: _Affine(np.ones(size), np.zeros(size))
        for one in graph.input
        for size in [one.type.tensor_type.shape.dim[-1].dim_value]
    }
    for node in graph.node:
        known = node.input[0] in reached and all(name in constants for name in node.input[1:])
        if node.op_type == "Concat" and list(node.input) == [one.name for one in graph.input]:
            size = sum(reached[name].scale.size for name in node.input)
            step: _Affine | None = _Affine(np.ones(size), np.zeros(size))
        elif not known:
            return None
        elif node.op_type == "Gemm":
            return _product(node, reached[node.input[0]], constants, positive)
        else:
            step = _stepped(node, reached[node.input[0]], constants)
        if step is None:
            return None
        reached[node.output[0]] = step
    return None


def _stepped(node: Any, before: _Affine, constants: dict[str, Float64]) -> _Affine | None:
    values = [constants[name] for name in node.input[1:]]
    if node.op_type == "Identity":
        return before
    if node.op_type == "Clip" and len(values) == 2 and not before.bounded:
        return replace(before, low=values[0].item(), high=values[1].item())
    return before.then(node.op_type, values[0]) if len(values) == 1 else None


def _product(node: Any, before: _Affine, constants: dict[str, Float64], positive: int) -> tuple[Linear, str] | None:
    weights = constants[node.input[1]]
    offset = constants[node.input[2]].ravel() if len(node.input) > 2 else np.zeros(2)
    if node.attribute or weights.shape != (before.scale.size, 2) or offset.size != 2:
        return None
    sign = 1.0 if positive == 1 else -1.0
    difference, rest = sign * (weights[:, 1] - weights[:, 0]), sign * float(offset[1] - offset[0])
    return Linear(before.scale, before.shift, before.low, before.high, difference, rest), str(node.output[0])


def _with_margins(model: Any, margins: str) -> bytes:
    """The graph up to its margins."""
    cut = onnx.ModelProto()
    cut.CopyFrom(model)
    nodes = list(model.graph.node)
    last = next(i for i, node in enumerate(nodes) if margins in node.output)
    del cut.graph.node[:]
    cut.graph.node.extend([*nodes[: last + 1], helper.make_node("Identity", [margins], [MARGINS])])
    del cut.graph.output[:]
    cut.graph.output.append(helper.make_tensor_value_info(MARGINS, onnx.TensorProto.FLOAT, ["rows", 2]))
    return bytes(cut.SerializeToString())
