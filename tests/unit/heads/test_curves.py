"""Curves and sweep equal scikit-learn's; thinning keeps their ends and their shape."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as reference

from app.heads.report.curves import MOST_POINTS, curves, precision_recall, roc, sweep, thinned

scored = st.lists(
    st.tuples(st.booleans(), st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.7, 1.0])), min_size=2, max_size=60
).filter(lambda rows: 0 < sum(positive for positive, _ in rows) < len(rows))


def columns(rows):
    positive, scores = zip(*rows, strict=True)
    return np.array(positive), np.array(scores)


def world(n, seed=0):
    rng = np.random.default_rng(seed)
    positive = rng.random(n) < 0.3
    return positive, 1 / (1 + np.exp(-rng.normal(2.0 * positive - 1)))


@given(scored)
def test_roc_equals_scikit_learn(rows):
    positive, scores = columns(rows)
    found = roc(positive, scores)
    alarms, recall, _ = reference.roc_curve(positive, scores, drop_intermediate=False)
    assert found["false_positive_rate"] == pytest.approx(alarms, abs=1e-6)
    assert found["recall"] == pytest.approx(recall, abs=1e-6)
    assert found["area"] == pytest.approx(reference.auc(alarms, recall))


@given(scored)
def test_precision_recall_equals_scikit_learn(rows):
    positive, scores = columns(rows)
    found = precision_recall(positive, scores)
    precision, recall, _ = reference.precision_recall_curve(positive, scores)
    assert found["recall"] == pytest.approx(recall[-2::-1], abs=1e-6)
    assert found["precision"] == pytest.approx(precision[-2::-1], abs=1e-6)
    assert found["average_precision"] == pytest.approx(reference.average_precision_score(positive, scores))


def test_long_curves_are_thinned_and_keep_their_area():
    positive, scores = world(20_000)
    found = roc(positive, scores)
    assert len(found["recall"]) <= MOST_POINTS
    assert (found["recall"][0], found["recall"][-1]) == (0.0, 1.0)
    assert reference.auc(found["false_positive_rate"], found["recall"]) == pytest.approx(found["area"], abs=1e-4)


def test_thinned_points_are_spread_along_the_line():
    x = np.r_[np.linspace(0, 0.01, 9_000), np.linspace(0.01, 1, 1_000)]
    kept = thinned(x, np.zeros(len(x)))
    assert (kept[0], kept[-1]) == (0, len(x) - 1)
    assert np.diff(x[kept]).max() < 3 / MOST_POINTS


def test_rows_of_one_side_have_no_curves():
    assert curves(np.ones(5, dtype=bool), np.linspace(0, 1, 5)) is None


def test_every_line_of_the_sweep_is_what_its_threshold_would_do():
    positive, scores = world(400)
    found = sweep(positive, scores, threshold=0.42, review_from=0.3)
    assert 80 <= len(found) <= 110
    assert any(line["threshold"] == 0.42 for line in found)
    for line in found[:: len(found) // 10]:
        # Printed thresholds are rounded: compare where no score lies between them.
        if np.abs(scores - line["threshold"]).min() < 1e-5:
            continue
        flagged = scores >= line["threshold"]
        assert line["recall"] == pytest.approx(reference.recall_score(positive, flagged), abs=1e-6)
        assert line["false_alarm_rate"] == pytest.approx((flagged & ~positive).sum() / (~positive).sum(), abs=1e-6)
        assert line["positive_share"] == pytest.approx(flagged.mean(), abs=1e-6)
        review = (scores >= 0.3) & (scores < line["threshold"])
        assert line["review_share"] == pytest.approx(review.mean(), abs=1e-6)
        balanced = reference.balanced_accuracy_score(positive, flagged)
        assert line["balanced_accuracy"] == pytest.approx(balanced, abs=1e-6)


def test_where_nothing_is_flagged_there_is_no_precision():
    last = sweep(np.array([True, False]), np.array([0.2, 0.1]), threshold=0.15)[-1]
    assert (last["threshold"], last["precision"], last["recall"]) == (1.0, None, 0.0)
