"""A tree decides alike in scikit-learn and in onnxruntime, on its thresholds too."""

import numpy as np
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

from app.errors import HeadRefused
from app.heads.convert import IR_VERSION, MOST_BYTES, OPSETS, Graph
from app.heads.trainers.bins import Bins
from app.heads.trainers.trees import Tree, emit_sum, round_down


def run(graph: Graph, output: str, x: np.ndarray) -> np.ndarray:
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, x.shape[1]])
    made = helper.make_tensor_value_info(output, TensorProto.FLOAT, None)
    built = helper.make_graph(graph.nodes, "t", [given], [made], initializer=graph.constants)
    opsets = [helper.make_opsetid(*one) for one in OPSETS.items()]
    model = helper.make_model(built, opset_imports=opsets, ir_version=IR_VERSION)
    return ort.InferenceSession(model.SerializeToString()).run([output], {"x": x})[0]


def stump(threshold: float, *, target: int = 0) -> Tree:
    leaf = np.array([False, True, True])
    value = np.array([[0.0], [1.0], [2.0]])
    zeros = np.zeros(3, dtype=np.int64)
    thresholds = np.array([threshold, -2.0, -2.0])
    return Tree(zeros, thresholds, np.array([1, -1, -1]), np.array([2, -1, -1]), leaf, value, np.array([target]))


def test_thresholds_between_two_float32_numbers_split_as_float64_does():
    rng = np.random.default_rng(0)
    threshold = rng.normal(size=2000) * 10.0 ** rng.integers(-6, 3, 2000)
    rounded = round_down(threshold)
    assert rounded.dtype == np.float32
    for x in (rounded, np.nextafter(rounded, np.float32(np.inf)), np.nextafter(rounded, np.float32(-np.inf))):
        assert np.array_equal(x <= rounded, x.astype(np.float64) <= threshold)


def test_onnxruntime_goes_left_on_the_threshold_itself():
    threshold = 0.1  # its float32 lies above it
    near = np.float32(threshold)
    x = np.array([[np.nextafter(near, np.float32(0))], [near], [1.0]], dtype=np.float32)
    graph = Graph()
    found = run(graph, emit_sum(graph, "x", [stump(threshold)], np.zeros(1)), x)
    assert found[:, 0].tolist() == [1.0 if value <= threshold else 2.0 for value in x[:, 0].astype(float)] == [1, 2, 2]


def test_trees_add_up_to_their_targets_and_base():
    graph = Graph()
    trees = [stump(0.0), stump(5.0, target=1), stump(-1.0, target=1)]
    found = run(graph, emit_sum(graph, "x", trees, np.array([0.5, 10.0])), np.array([[-2.0], [1.0]], dtype=np.float32))
    assert found.tolist() == [[1.5, 12.0], [2.5, 13.0]]


def test_forest_larger_than_an_artifact_is_refused_with_its_size():
    graph = Graph()
    graph.size = MOST_BYTES - 100
    with pytest.raises(HeadRefused, match=r"would take 64 MiB, more than 64; train on fewer rows, .* or another algo"):
        emit_sum(graph, "x", [stump(0.0)] * 10, np.zeros(1))


def test_bins_and_thresholds_split_alike():
    x = np.random.default_rng(0).normal(size=(500, 6)).astype(np.float32)
    x[:, 2] = np.round(x[:, 2])  # many ties
    x[:, 3] = 1.0
    bins = Bins.fit(x, 16)
    binned = bins(x)
    assert binned.min() == 0
    assert binned.max() == 15
    for split in (0.5, 3.0, 7.5):
        for feature in range(6):
            threshold = bins.thresholds(np.array([feature]), np.array([split]))[0]
            assert np.array_equal(binned[:, feature] <= split, x[:, feature] <= threshold)
