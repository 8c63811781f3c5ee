"""Probabilities that can be taken at their word, chosen where they were not fitted, and the same in the artifact."""

import numpy as np
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper
from sklearn.calibration import calibration_curve

from app.errors import InvalidInput
from app.heads.artifact import PARITY_BOUND
from app.heads.calibration import expected_calibration_error, reliability
from app.heads.convert import Graph
from app.heads.trainers.isotonic import Isotonic
from app.heads.trainers.links import METHODS, fit_link
from app.heads.trainers.sigmoid import Platt, Softmax


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def answers(rows=4000, *, seed=0, curve=lambda s: s, spread=2.0, classes=2):
    """Scores (n, classes), classes drawn with the log-odds `curve(score)`, and folds."""
    rng = np.random.default_rng(seed)
    if classes > 2:
        scores = rng.normal(size=(rows, classes)) * spread
        drawn = curve(scores) + rng.gumbel(size=scores.shape)
        return scores, drawn.argmax(axis=1), rng.integers(0, 5, rows)
    s = rng.normal(size=rows) * spread
    y = (rng.random(rows) < sigmoid(curve(s))).astype(np.int64)
    return np.column_stack([np.zeros(rows), s]), y, rng.integers(0, 5, rows)


def in_graph(link, scores):
    """What onnxruntime makes of the nodes that `link` writes."""
    graph = Graph()
    graph.node("Identity", link.emit(graph, "x"), output="p")
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["rows", scores.shape[1]]) for n in ("x", "p")]
    built = helper.make_graph(graph.nodes, "link", ends[:1], ends[1:], initializer=graph.constants)
    model = helper.make_model(built, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(["p"], {"x": scores.astype(np.float32)})[0]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("prevalence", [None, 0.001, 0.9])
def test_the_graph_answers_as_the_trainer_does(method, classes, prevalence):
    scores, y, fold_of = answers(classes=classes, spread=4.0)
    link = fit_link(scores, y, fold_of, log_odds=True, calibration=method, prevalence=prevalence).link
    beyond = np.concatenate([scores, scores * 3, np.zeros((1, classes))])
    scored = in_graph(link, beyond)
    assert np.abs(scored - link(beyond.astype(np.float32).astype(np.float64))).max() < PARITY_BOUND / 3
    assert scored.sum(axis=1) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("spread", [0.01, 1.0, 300.0])
def test_isotonic_forgives_the_last_digits_of_float32(spread):
    scores, y, fold_of = answers(20_000, curve=lambda s: 30 * s / spread, spread=spread)
    link = fit_link(scores, y, fold_of, log_odds=False, calibration="isotonic", prevalence=0.001).link
    moved = scores * (1 + 1e-6) + 1e-6 * spread
    assert np.abs(link(moved) - link(scores)).max() < PARITY_BOUND


@pytest.mark.parametrize("method", METHODS)
def test_no_calibration_turns_a_ranking_round_or_ties_what_was_apart(method):
    scores, y, fold_of = answers(600, curve=lambda s: -np.abs(s))
    order = np.argsort(scores[:, 1])
    final = fit_link(scores, y, fold_of, log_odds=True, calibration=method).final[order, 1]
    assert (np.diff(final) > 0).all()
    assert 0 < final[0] < final[-1] < 1


def test_isotonic_recovers_a_curve_that_is_no_sigmoid():
    def bent(s):
        return np.where(s < 0, 0.2 * s, 3.0 * s)

    scores, y, fold_of = answers(20_000, curve=bent)
    found = fit_link(scores, y, fold_of, log_odds=True)
    assert found.report["method"] == "isotonic"
    inner = np.abs(scores[:, 1]) < 4
    assert np.abs(found.final[inner, 1] - sigmoid(bent(scores[inner, 1]))).max() < 0.08
    assert found.report["after"]["log_loss"] < found.report["methods"]["platt"]["log_loss"]


@pytest.mark.parametrize(
    ("curve", "method"),
    [(lambda s: s, "none"), (lambda s: 0.4 * s, "temperature"), (lambda s: 0.4 * s - 1.0, "platt")],
)
def test_auto_takes_the_simplest_that_is_as_good(curve, method):
    scores, y, fold_of = answers(curve=curve)
    found = fit_link(scores, y, fold_of, log_odds=True)
    assert (found.report["asked"], found.report["method"]) == ("auto", method)
    assert found.report["after"]["log_loss"] <= found.report["before"]["log_loss"]
    assert set(found.report["methods"]) == set(METHODS)
    assert found.report["after"]["ece"] < 0.03
    assert "none" not in fit_link(scores, y, fold_of, log_odds=False).report["methods"]


def test_a_fold_is_calibrated_by_the_others_alone():
    scores, y, fold_of = answers(400)
    turned = np.where(fold_of == 2, 1 - y, y)
    held = fold_of == 2
    for method in METHODS:
        first = fit_link(scores, y, fold_of, log_odds=True, calibration=method).out_of_fold
        second = fit_link(scores, turned, fold_of, log_odds=True, calibration=method).out_of_fold
        assert (first[held] == second[held]).all()
        assert method == "none" or (first[~held] != second[~held]).any()


def test_a_stated_prevalence_moves_the_log_odds_and_nothing_else():
    scores, y, fold_of = answers(curve=lambda s: s - 1)
    plain, moved = (fit_link(scores, y, fold_of, log_odds=True, prevalence=share) for share in (None, 0.02))
    odds, shifted = (np.log(one.final[:, 1] / one.final[:, 0]) for one in (plain, moved))
    share = y.mean()
    assert shifted - odds == pytest.approx(np.log(0.02 / 0.98) - np.log(share / (1 - share)))
    assert moved.report["prevalence"] == {"stated": 0.02, "dataset": pytest.approx(share)}
    assert moved.report["after"] == plain.report["after"]


def test_a_prevalence_is_right_where_the_mix_is_as_stated():
    scores, y, fold_of = answers(40_000)
    link = fit_link(scores, y, fold_of, log_odds=True, prevalence=0.05).link
    fresh, y, _ = answers(400_000, seed=1)
    kept = (y == 0) | (np.random.default_rng(2).random(len(y)) < (y == 0).sum() / (y == 1).sum() * 0.05 / 0.95)
    said = link(fresh[kept])[:, 1]
    assert expected_calibration_error(y[kept] == 1, said) < 0.004
    assert expected_calibration_error(y[kept] == 1, Softmax()(fresh[kept])[:, 1]) > 0.1


def test_the_positive_class_may_be_any():
    scores, y, fold_of = answers(classes=3)
    moved = fit_link(scores, y, fold_of, log_odds=True, prevalence=0.01, positive_index=0)
    plain = fit_link(scores, y, fold_of, log_odds=True, positive_index=0)
    assert (moved.final[:, 0] < plain.final[:, 0]).all()
    ratio = moved.final[:, 1] / moved.final[:, 2]
    assert ratio == pytest.approx(plain.final[:, 1] / plain.final[:, 2])


@pytest.mark.parametrize("method", METHODS)
def test_classes_that_part_perfectly_keep_probabilities_from_0_and_1(method):
    s = np.r_[np.linspace(-3, -2, 50), np.linspace(2, 3, 50)]
    y, fold_of = np.repeat([0, 1], 50), np.arange(100) % 5
    found = fit_link(np.column_stack([-s, s]), y, fold_of, log_odds=True, calibration=method)
    assert np.isfinite(found.report["after"]["log_loss"])
    assert found.final[:50, 1].max() < 0.06
    assert found.final[50:, 1].min() > 0.94


def test_scores_without_spread_give_the_share():
    scores, y = np.zeros((100, 2)), np.repeat([0, 0, 0, 1], 25)
    for fitted in (Platt.fit(scores, y), Isotonic.fit(scores, y)):
        assert fitted(scores)[:, 1] == pytest.approx(0.25, abs=0.02)
        assert in_graph(fitted, scores)[:, 1] == pytest.approx(0.25, abs=0.02)


def test_an_unknown_calibration_is_refused():
    with pytest.raises(InvalidInput, match="say auto, none"):
        fit_link(*answers(40), log_odds=True, calibration="beta")


def test_reliability_bins_hold_equal_numbers_and_their_interval():
    scores, y, _ = answers(1000)
    p = sigmoid(scores[:, 1])
    found = reliability(y == 1, p)
    assert [one.rows for one in found] == [100] * 10
    seen, said = calibration_curve(y, p, n_bins=10, strategy="quantile")
    assert [one.seen for one in found] == pytest.approx(seen, abs=0.02)
    assert [one.said for one in found] == pytest.approx(said, abs=0.02)
    assert all(one.low <= one.seen <= one.high for one in found)
    error = sum(abs(one.seen - one.said) for one in found) / 10
    assert expected_calibration_error(y == 1, p) == pytest.approx(error)


def test_equal_probabilities_share_a_bin():
    positive = np.arange(100) % 4 == 0
    assert [one.rows for one in reliability(positive, np.full(100, 0.25))] == [100]
    assert expected_calibration_error(positive, np.full(100, 0.25)) == 0
    assert expected_calibration_error(positive, np.full(100, 0.75)) == pytest.approx(0.5)
