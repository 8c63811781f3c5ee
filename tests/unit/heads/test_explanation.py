"""Evidence by position adds up where it claims to, and no method is used on a head that it does not fit."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from app.errors import InvalidInput
from app.heads.algorithms import Algorithm
from app.heads.arrays import FeatureRows
from app.heads.convert import to_onnx
from app.heads.explanation import (
    Explanation,
    Linear,
    Method,
    Reading,
    Shares,
    explain,
    hirescam,
    hottest_window,
    log_odds,
    occlusion,
)
from app.heads.explanation_graph import ExplainedHead
from app.heads.pooling import Pooling
from app.heads.recipe import Combination, HeadRecipe
from app.heads.scoring import Head
from app.heads.table import TrainingTable
from app.heads.trainers import TrainedHead, train
from tests.unit.heads.conftest import PARAMS, build_table, small_recipe

CHANNELS = 12


@pytest.fixture(scope="module")
def square() -> TrainingTable:
    """Rows with as many averages as maxima, as poolings of one map are."""
    return build_table(dimensions=(CHANNELS, CHANNELS))


def made_map(seed: int, *, shape: tuple[int, int] = (7, 7), high: float = 6.0) -> np.ndarray:
    """A rectified map whose poolings lie where the rows of `square` do."""
    rng = np.random.default_rng(seed)
    return np.maximum(rng.normal(2.0, high, (*shape, CHANNELS)), 0).astype(np.float32)


def map_of(table: TrainingTable, row: int) -> np.ndarray:
    """A map whose average is a row of a table."""
    shares = np.random.default_rng(0).uniform(0.2, 2, (7, 7, CHANNELS))
    return np.asarray(table.avg[row] * shares / shares.mean(axis=(0, 1)), np.float32)


def pooled(feature_map: np.ndarray) -> FeatureRows:
    return FeatureRows(feature_map.mean(axis=(0, 1))[None], feature_map.max(axis=(0, 1))[None])


def linear_head(seed: int, *, width: int, bound: float = np.inf) -> Linear:
    rng = np.random.default_rng(seed)
    scale, shift, weights = rng.uniform(0.2, 2, width), rng.normal(size=width), rng.normal(size=width)
    return Linear(scale, shift, -bound, bound, weights, 0.7)


def reading_of(linear: Linear, pooling: Pooling) -> Reading:
    return Reading(linear, pooling, lambda rows: linear(pooling.combine(rows.avg, rows.max)))


# Linear heads


@pytest.mark.parametrize("pooling", list(Pooling))
@pytest.mark.parametrize("bound", [np.inf, 2.0])
def test_a_class_activation_map_and_its_bias_add_up_to_what_the_head_says(pooling: Pooling, bound: float) -> None:
    linear = linear_head(1, width=CHANNELS * len(pooling.inputs), bound=bound)
    reading = reading_of(linear, pooling)
    for seed in range(5):
        feature_map = made_map(seed)
        found = explain(feature_map, reading.score, reading=reading)
        said = reading.score(pooled(feature_map))[0]
        assert found.method is Method.CAM
        assert found.bias is not None
        assert found.heat.sum(dtype=np.float64) + found.bias == pytest.approx(said, abs=1e-4)
        assert found.log_odds == pytest.approx(said)


def test_the_map_of_an_average_is_the_weighted_sum_of_the_feature_map() -> None:
    linear = Linear(np.ones(CHANNELS), np.zeros(CHANNELS), -np.inf, np.inf, np.arange(12.0) - 5, 0.0)
    feature_map = made_map(3)
    found = explain(feature_map, lambda _: np.zeros(1), reading=reading_of(linear, Pooling.AVG))
    np.testing.assert_allclose(found.heat, feature_map @ (np.arange(12.0) - 5) / 49, atol=1e-4)


def test_a_maximum_speaks_where_it_was_won_and_ties_are_shared() -> None:
    feature_map = np.zeros((2, 3, 2), np.float32)
    feature_map[0, 1, 0], feature_map[1, 2, 1], feature_map[1, 0, 1] = 4.0, 3.0, 3.0
    linear = Linear(np.ones(2), np.zeros(2), -np.inf, np.inf, np.array([2.0, -1.0]), 0.0)
    found = explain(feature_map, lambda _: np.zeros(1), reading=reading_of(linear, Pooling.MAX))
    np.testing.assert_allclose(found.heat, [[0, 8.0, 0], [-1.5, 0, -1.5]])
    assert found.hottest == (0, 1)


def test_what_is_clipped_belongs_to_no_position() -> None:
    linear = Linear(np.ones(1), np.zeros(1), -1.0, 1.0, np.array([3.0]), 0.5)
    feature_map = np.full((2, 2, 1), 9.0, np.float32)
    found = explain(feature_map, lambda _: np.zeros(1), reading=reading_of(linear, Pooling.AVG))
    assert not found.heat.any()
    assert found.bias == 3.5


def test_a_map_that_does_not_add_up_is_not_called_exact() -> None:
    linear = linear_head(2, width=CHANNELS)

    def says_otherwise(rows: FeatureRows) -> np.ndarray:
        return linear(rows.avg) + 0.01 * rows.avg[:, 0]

    found = explain(made_map(1), says_otherwise, reading=Reading(linear, Pooling.AVG, says_otherwise))
    assert found.method is Method.HIRESCAM
    assert "does not add up" in found.notes[0]


# Others


def test_hirescam_is_the_gradient_times_the_map() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=CHANNELS), rng.normal(size=CHANNELS)

    def score(rows: FeatureRows) -> np.ndarray:
        return np.sin(rows.avg.astype(float) @ a / 9) * 3 + (rows.max.astype(float) @ b / 30) ** 2

    feature_map = made_map(4)
    rows, shares = pooled(feature_map), Shares.of(feature_map)
    gradient_avg = np.cos(rows.avg[0] @ a / 9) * 3 * a / 9
    gradient_max = 2 * (rows.max[0] @ b / 30) * b / 30
    won = feature_map == feature_map.max(axis=(0, 1))
    expected = (feature_map * (gradient_avg / 49 + won * gradient_max)).sum(axis=2)
    found = hirescam(shares, score)
    assert found is not None
    np.testing.assert_allclose(found.heat, expected, atol=2e-3 * np.abs(expected).max())
    assert found.bias == pytest.approx(found.log_odds - expected.sum(), abs=1e-2)


def test_a_head_that_jumps_is_explained_by_leaving_regions_out() -> None:
    """Its slopes are zero or endless; the bright corner is what keeps its score up."""
    feature_map = np.ones((7, 7, 1), np.float32)
    feature_map[0, 0] = 50.0

    def score(rows: FeatureRows) -> np.ndarray:
        return np.where(rows.max[:, 0] > 10, 2.0, -1.0)

    found = explain(feature_map, score)
    assert found.method is Method.OCCLUSION
    assert found.bias is None
    assert "no slope" in found.notes[0]
    expected = np.zeros((7, 7))
    expected[:2, :2] = 3.0
    np.testing.assert_array_equal(found.heat, expected)


def test_a_head_that_is_moved_by_nothing_says_so() -> None:
    found = explain(made_map(5), lambda rows: np.zeros(len(rows.avg)))
    assert not found.heat.any()
    assert any("No region matters" in note for note in found.notes)


def test_occlusion_pools_what_is_left() -> None:
    feature_map = made_map(6, shape=(3, 4))  # too small for windows: positions one by one
    seen = []

    def score(rows: FeatureRows) -> np.ndarray:
        seen.append(rows)
        return rows.avg[:, 0] + rows.max[:, 1]

    found = occlusion(Shares.of(feature_map), score)
    without = np.delete(feature_map.reshape(12, CHANNELS), 5, axis=0)
    expected = feature_map[..., 0].mean() + feature_map[..., 1].max() - without[:, 0].mean() - without[:, 1].max()
    assert found.heat[1, 1] == pytest.approx(expected, abs=1e-4)
    assert seen[1].avg.shape == (12, CHANNELS)


@pytest.mark.parametrize("shape", [(7, 7), (49, 7), (1, 1, 0)])
def test_what_is_no_map_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InvalidInput, match="feature map"):
        Shares.of(np.ones(shape, np.float32))


def test_a_map_with_a_hole_in_it_is_refused() -> None:
    feature_map = made_map(0)
    feature_map[0, 0, 0] = np.nan
    with pytest.raises(InvalidInput, match="finite"):
        explain(feature_map, lambda rows: np.zeros(len(rows.avg)))


def test_log_odds_survive_certain_answers() -> None:
    found = log_odds(np.array([[0.0, 1.0], [1.0, 0.0], [0.5, 0.5]], np.float32), 1)
    assert np.isfinite(found).all()
    assert found[0] > 80
    assert found[0] == -found[1]
    assert found[2] == 0


def test_the_hottest_window_has_the_most_evidence() -> None:
    heat = np.zeros((7, 7))
    heat[5:, 2:4] = 1.0
    heat[0, 0] = 2.0
    row, column, high, wide = hottest_window(heat)
    assert (high, wide) == (3, 3)
    assert heat[row : row + 3, column : column + 3].sum() == 4
    assert hottest_window(np.eye(2)) == (0, 0, 2, 2)


# Trained heads


def trained(table: TrainingTable, algorithm: Algorithm, pooling: Pooling = Pooling.BOTH, **changes: Any) -> TrainedHead:
    return train(table, small_recipe(algorithm, pooling=pooling, **changes))


EXPECTED = {
    Algorithm.LOGISTIC_REGRESSION: Method.CAM,
    Algorithm.LINEAR_SVM: Method.CAM,
    Algorithm.RBF_SVM: Method.HIRESCAM,
    Algorithm.MLP: Method.HIRESCAM,
    Algorithm.RANDOM_FOREST: Method.OCCLUSION,
    Algorithm.K_NEAREST: Method.OCCLUSION,
}


@pytest.mark.parametrize(("algorithm", "method"), EXPECTED.items())
def test_each_algorithm_is_explained_by_the_method_that_fits_it(
    square: TrainingTable, algorithm: Algorithm, method: Method
) -> None:
    head = ExplainedHead(trained(square, algorithm, Pooling.AVG).artifact)
    found = head.explain(map_of(square, row=3))
    assert found.method is method, found.notes
    assert found.heat.shape == (7, 7)
    assert found.heat.any()


@pytest.mark.parametrize("pooling", list(Pooling))
@pytest.mark.parametrize("calibration", ["none", "platt", "isotonic"])
def test_exact_maps_add_up_whatever_calibrates_the_head(
    square: TrainingTable, pooling: Pooling, calibration: str
) -> None:
    made = trained(square, Algorithm.LOGISTIC_REGRESSION, pooling, calibration=calibration)
    feature_map = made_map(8, high=1.0)
    found = ExplainedHead(made.artifact).explain(feature_map)
    assert found.method is Method.CAM
    assert found.bias is not None
    assert found.heat.sum(dtype=np.float64) + found.bias == pytest.approx(found.log_odds, abs=1e-4)
    if calibration == "none":
        rows = pooled(feature_map)
        said = log_odds(Head.load(made.artifact).probabilities(rows.avg, rows.max), 1)[0]
        assert found.log_odds == pytest.approx(said, abs=1e-4)


@pytest.mark.parametrize("positive", ["empty", "loaded"])
def test_evidence_is_for_the_positive_class_whichever_it_is(positive: str) -> None:
    table = build_table(dimensions=(CHANNELS, CHANNELS), positive=positive)
    head = ExplainedHead(trained(table, Algorithm.LOGISTIC_REGRESSION).artifact)
    feature_map = made_map(9)
    found = head.explain(feature_map)
    said = head.probabilities(feature_map)[head.metadata.positive_index]
    assert (found.log_odds > 0) == (said > 0.5)


def test_an_ensemble_is_explained_by_a_general_method(square: TrainingTable) -> None:
    spaces = [
        {"algorithm": one.value, "params": PARAMS[one]} for one in (Algorithm.LOGISTIC_REGRESSION, Algorithm.RBF_SVM)
    ]
    recipe = HeadRecipe.from_json({"spaces": spaces, "ensemble": Combination.STACKING.value, "folds": 3})
    found = ExplainedHead(train(square, recipe).artifact).explain(made_map(7))
    assert found.method is Method.HIRESCAM


def test_three_classes_are_explained_by_a_general_method() -> None:
    table = build_table(dimensions=(CHANNELS, CHANNELS), classes=("empty", "loaded", "odd"))
    found = ExplainedHead(trained(table, Algorithm.LOGISTIC_REGRESSION).artifact).explain(made_map(7))
    assert found.method is Method.HIRESCAM


Emit = Callable[[Any, str], str]


def disguised(square: TrainingTable, emit: Emit) -> Explanation:
    """How a head is explained that calls itself a logistic regression and computes something else."""
    honest = trained(square, Algorithm.LOGISTIC_REGRESSION, Pooling.AVG)
    golden = Head.load(honest.artifact)._golden

    def write(graph: Any, inputs: Any) -> str:
        return emit(graph, inputs["avg"])

    artifact = to_onnx(write, replace(honest.metadata, algorithm="logistic-regression"), golden)
    return ExplainedHead(artifact).explain(made_map(3, high=1.0))


@pytest.mark.parametrize("kept", [[0, 1], [1, 1]])
def test_a_head_is_not_believed_to_be_linear_for_its_name(square: TrainingTable, kept: list[int]) -> None:
    """Its first product is linear, and what follows turns the ranking round in the middle, or gives up all ranking."""

    def emit(graph: Any, x: str) -> str:
        weights = np.zeros((CHANNELS, 2), np.float32)
        weights[0] = [-0.2, 0.2]
        margins = graph.node("Gemm", x, graph.constant(weights), graph.constant([1.4, -1.4]))
        return str(graph.node("Softmax", graph.node("Mul", graph.node("Abs", margins), graph.constant(kept)), axis=1))

    assert disguised(square, emit).method is not Method.CAM


def test_a_head_whose_product_is_hidden_behind_other_steps_is_not_read_as_linear(square: TrainingTable) -> None:
    def emit(graph: Any, x: str) -> str:
        weights = np.random.default_rng(0).normal(size=(CHANNELS, 2)).astype(np.float32) / 9
        product = graph.node("Gemm", graph.node("Tanh", x), graph.constant(weights), graph.constant([0.0, 0.0]))
        return str(graph.node("Softmax", product, axis=1))

    assert disguised(square, emit).method is Method.HIRESCAM
