"""An estimator that cannot be converted, or is converted wrongly, never becomes a head."""

import numpy as np
import pytest

from app.errors import HeadRefused
from app.heads.algorithms import Algorithm
from app.heads.convert import TREES, Graph
from app.heads.pooling import Pooling
from app.heads.recipe import HeadRecipe
from app.heads.trainers import train
from app.heads.trainers.forest import ForestFit
from app.heads.trainers.pipeline import SinglePipeline, convert
from app.heads.trainers.scaling import Scaling
from app.heads.trainers.sigmoid import Softmax
from tests.unit.heads.activations import activations, metadata_of


class Nearest:
    """The log-odds of the distance to two points, and whatever nodes a test gives it."""

    def __init__(self, nodes) -> None:
        self.emit = nodes

    def scores(self, x):
        return np.column_stack([np.zeros(len(x)), x[:, 0] + x[:, 1]])


def unwritten(graph: Graph, x: str) -> str:
    raise NotImplementedError("no operator for this kernel")


def off(graph: Graph, x: str) -> str:
    weights = np.zeros((128, 2))
    weights[:2, 1] = 1.0
    return graph.node("Gemm", x, graph.constant(weights), graph.constant([0.0, 0.1]))


def exact(graph: Graph, x: str) -> str:
    weights = np.zeros((128, 2))
    weights[:2, 1] = 1.0
    return graph.node("MatMul", x, graph.constant(weights))


def too_wide(graph: Graph, x: str) -> str:
    return graph.node("MatMul", x, graph.constant(np.zeros((7, 2))))


def unknown_operator(graph: Graph, x: str) -> str:
    return graph.node("KernelTrick", x)


def unknown_domain(graph: Graph, x: str) -> str:
    return graph.node("Kernel", x, domain="com.example")


def bad_attribute(graph: Graph, x: str) -> str:
    return graph.node("TreeEnsembleRegressor", x, domain=TREES, trees=[object()])


def converted(nodes):
    table = activations(count=300)
    scaling = Scaling.fit(table.features(Pooling.BOTH))
    pipeline = SinglePipeline(Pooling.BOTH, scaling, Nearest(nodes), Softmax())
    own = pipeline.probabilities(table.avg, table.max).astype(np.float32)
    return convert(pipeline, table, metadata_of(table, pipeline, "nearest-points"), own)


def test_estimator_spelled_rightly_passes():
    assert converted(exact)[1].max_difference < 1e-6


@pytest.mark.parametrize("nodes", [unwritten, too_wide, unknown_operator, unknown_domain, bad_attribute])
def test_estimator_that_cannot_be_written_is_refused_by_name_with_the_remedy(nodes):
    with pytest.raises(HeadRefused, match=r"'nearest-points' cannot be written as ONNX \(.+\); train another algo"):
        converted(nodes)


def test_estimator_off_by_a_tenth_is_refused_with_the_difference():
    with pytest.raises(HeadRefused, match=r"differs from its trainer by 0\.0\d+ \(bound 0\.0001\)"):
        converted(off)


def test_training_with_such_an_estimator_gives_no_head(monkeypatch):
    monkeypatch.setattr(ForestFit, "emit", lambda _, graph, x: unwritten(graph, x))
    recipe = HeadRecipe.single(Algorithm.RANDOM_FOREST, folds=2, params={"trees": 5})
    with pytest.raises(HeadRefused, match=r"'random-forest' cannot be written .* no operator for this kernel"):
        train(activations(count=300), recipe)


def test_a_head_larger_than_the_bound_is_refused():
    def huge(graph: Graph, x: str) -> str:
        graph.constant(np.zeros((128, 140_000), dtype=np.float32))
        return exact(graph, x)

    with pytest.raises(HeadRefused, match=r"would take 68 MiB, more than 64; train on fewer rows"):
        converted(huge)
