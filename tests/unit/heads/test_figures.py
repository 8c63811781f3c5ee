"""Figures of a head equal scikit-learn's and SciPy's, and say nothing where there is nothing to say."""

import json
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn import metrics as reference

from app.heads.figures import REVIEW, decided_indexes, figures
from app.heads.rates import class_rates, rate

# Few distinct probabilities: ties are the rule here.
answered = st.lists(
    st.tuples(st.integers(0, 1), st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.5, 0.9, 1.0])), min_size=2, max_size=60
)
decisions = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=80)


def judged(y, p, **changes):
    fields = {"classes": ("empty", "loaded"), "positive": "loaded", "threshold": 0.5}
    return figures(np.array(y), np.column_stack([1 - np.array(p), p]), **(fields | changes))


@given(decisions)
def test_rates_of_each_class_equal_scikit_learn(rows):
    y, decided = (np.array(column) for column in zip(*rows, strict=True))
    found = class_rates(y, decided, "abc", groups=None, level=0.95)
    expected = reference.precision_recall_fscore_support(y, decided, labels=[0, 1, 2], zero_division=0)
    for index, one in enumerate(found.values()):
        given_ = [one["precision"], one["recall"], one["f1"], one["support"]]
        assert given_ == pytest.approx([column[index] for column in expected])


@given(answered)
def test_figures_equal_scikit_learn(rows):
    y, p = (np.array(column) for column in zip(*rows, strict=True))
    found = judged(y, p)
    decided = (p >= 0.5).astype(int)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # classes without rows
        assert found["balanced_accuracy"] == pytest.approx(reference.balanced_accuracy_score(y, decided))
    assert found["accuracy"] == pytest.approx(reference.accuracy_score(y, decided))
    assert found["brier"] == pytest.approx(np.mean((p - y) ** 2))
    if 0 < y.sum() < len(y):
        assert found["auc"] == pytest.approx(reference.roc_auc_score(y, p))
    else:
        assert found["auc"] is found["auc_interval"] is None
    json.dumps(found, allow_nan=False)


@pytest.mark.parametrize(("hits", "n"), [(0, 7), (7, 7), (3, 7), (411, 412), (1, 1)])
def test_intervals_are_scipys_exact_ones(hits, n):
    rows = np.ones(n, dtype=bool)
    share, interval = rate(np.arange(n) < hits, rows, None, level=0.95)
    expected = binomtest(hits, n).proportion_ci(0.95, method="exact")
    assert share == hits / n
    assert [interval["low"], interval["high"]] == pytest.approx([expected.low, expected.high], abs=1e-6)


def test_rows_of_one_subject_count_as_one():
    hits, rows = np.repeat([True, True, False, True], 5), np.ones(20, dtype=bool)
    _, whole = rate(hits, rows, np.repeat(np.arange(4), 5), level=0.95)
    _, four = rate(hits[::5], rows[:4], None, level=0.95)
    assert whole == four


def test_f1_interval_holds_the_f1_and_follows_the_overlap():
    y, decided = np.array([1] * 60 + [0] * 40), np.array([1] * 50 + [0] * 40 + [1] * 10)
    one = class_rates(y, decided, ("a", "b"), groups=None, level=0.95)["b"]
    overlap = binomtest(50, 70).proportion_ci(0.95, method="exact")
    bounds = [2 * j / (1 + j) for j in (overlap.low, overlap.high)]
    assert [*one["intervals"]["f1"].values()] == pytest.approx(bounds, abs=1e-6)
    assert bounds[0] < one["f1"] < bounds[1]


def test_false_rates_count_the_right_rows():
    found = judged([0, 0, 0, 0, 1, 1], [0.9, 0.1, 0.1, 0.1, 0.9, 0.2])["per_class"]
    assert found["loaded"]["false_positive_rate"] == found["empty"]["false_negative_rate"] == 0.25
    assert found["loaded"]["false_negative_rate"] == found["empty"]["false_positive_rate"] == 0.5


def test_rows_left_to_review_are_counted_and_not_judged():
    found = judged([0, 1, 1, 0], [0.45, 0.49, 0.9, 0.1], review_from=0.4)
    assert (found["review_share"], found["accuracy"]) == (0.5, 1.0)
    assert found["confusion"]["counts"] == [[1, 0], [0, 1]]
    assert found["confusion"]["review"] == [1, 1]


def test_a_band_over_all_rows_decides_nothing():
    found = judged([0, 1], [0.45, 0.49], review_from=0.4)
    assert found["accuracy"] is found["accuracy_interval"] is found["balanced_accuracy"] is None
    assert found["per_class"]["loaded"]["intervals"]["recall"] is None
    json.dumps(found, allow_nan=False)


def test_the_edges_of_the_band_belong_to_it_and_to_the_positive_class():
    p = np.array([0.39, 0.4, 0.5, 0.7])
    decided = decided_indexes(np.column_stack([1 - p, p]), positive_index=1, threshold=0.5, review_from=0.4)
    assert decided.tolist() == [0, REVIEW, 1, 1]


def test_below_the_threshold_the_best_of_the_others_is_decided():
    decided = decided_indexes(np.array([[0.1, 0.3, 0.6], [0.3, 0.1, 0.6]]), positive_index=2, threshold=0.7)
    assert decided.tolist() == [1, 0]
