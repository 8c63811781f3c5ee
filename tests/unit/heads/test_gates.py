"""A converter that lies and a head that is inverted do not pass."""

import numpy as np
import pytest

from app.errors import HeadRefused, InvalidInput
from app.heads.artifact import PARITY_BOUND
from app.heads.gates import polarity_ok
from app.heads.parity import MOST_ROWS, NEAR_ROWS, measure_parity
from app.heads.scoring import Head
from app.heads.trainers import train
from app.heads.trainers.links import Softmax
from app.heads.trainers.logistic import LogisticFit


def lying_bias(self, graph, x):
    weights, offsets = self.coefficients.T, self.offsets + np.array([0.0, 0.01])
    return graph.node("Gemm", x, graph.constant(weights), graph.constant(offsets))


def test_converter_with_a_bias_is_refused(table, make_recipe, monkeypatch):
    monkeypatch.setattr(LogisticFit, "emit", lying_bias)
    with pytest.raises(HeadRefused, match=r"differs from its trainer by 0\.00"):
        train(table, make_recipe(calibration="none"))


def test_converter_that_swaps_the_classes_is_refused(table, make_recipe, monkeypatch):
    straight = Softmax.emit
    swap = np.array([1, 0], dtype=np.int64)
    monkeypatch.setattr(
        Softmax,
        "emit",
        lambda self, graph, x: graph.node("Gather", straight(self, graph, x), graph.constant(swap, np.int64), axis=1),
    )
    with pytest.raises(HeadRefused, match="decisions"):
        train(table, make_recipe(calibration="none"))


def test_parity_compares_the_rows_nearest_to_the_threshold(logistic, make_table):
    head = Head.load(logistic.artifact)
    many = make_table(subjects=1500, films=3)
    asked: list[np.ndarray] = []
    scored = head.probabilities(many.avg, many.max).astype(np.float64)

    def trainer(index):
        asked.append(index)
        return scored[index]

    parity = measure_parity(head, many.avg, many.max, trainer)
    assert parity.rows == MOST_ROWS == len(set(asked[0]))
    nearest = np.argsort(np.abs(scored[:, 1] - head.metadata.threshold))[:NEAR_ROWS]
    assert set(nearest) <= set(asked[0])


def test_difference_within_the_bound_passes_and_beyond_it_does_not(logistic, table):
    head = Head.load(logistic.artifact)
    scored = head.probabilities(table.avg, table.max).astype(np.float64)
    assert measure_parity(head, table.avg, table.max, lambda i: scored[i] + 0.5 * PARITY_BOUND).rows == len(table.y)
    with pytest.raises(HeadRefused):
        measure_parity(head, table.avg, table.max, lambda i: scored[i] + 2 * PARITY_BOUND)


def test_trainer_that_answers_nan_is_refused(logistic, table):
    head = Head.load(logistic.artifact)
    with pytest.raises(HeadRefused):
        measure_parity(head, table.avg, table.max, lambda i: np.full((len(i), 2), np.nan))


def names(table, y=None):
    return list(np.array(table.classes)[table.y if y is None else y])


def test_right_way_round_passes_with_its_auc(logistic, table):
    assert polarity_ok(Head.load(logistic.artifact), table.avg, table.max, names(table)) > 0.8


def test_inverted_labels_are_refused(table, make_table, make_recipe):
    inverted = train(make_table(y=1 - table.y), make_recipe())
    with pytest.raises(HeadRefused, match="looks inverted"):
        polarity_ok(Head.load(inverted.artifact), table.avg, table.max, names(table))


def test_head_that_knows_nothing_is_refused(logistic, table):
    noise = np.random.default_rng(0).permutation(table.y)
    with pytest.raises(HeadRefused, match="no better than chance"):
        polarity_ok(Head.load(logistic.artifact), table.avg, table.max, names(table, noise))


def test_polarity_needs_known_classes_of_both_sides(logistic, table):
    head = Head.load(logistic.artifact)
    with pytest.raises(InvalidInput, match="not covid"):
        polarity_ok(head, table.avg[:2], table.max[:2], ["empty", "covid"])
    with pytest.raises(InvalidInput, match="both sides"):
        polarity_ok(head, table.avg[:2], table.max[:2], ["empty", "empty"])
