"""A policy in words becomes a threshold, from scores that it was not fitted on."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_curve

from app.errors import InvalidInput, NotTrainable
from app.heads.policies import judge
from app.heads.policy_words import DEFAULT_POLICY, ThresholdPolicy

scored = st.lists(st.tuples(st.booleans(), st.integers(0, 40)), min_size=2, max_size=80).filter(
    lambda rows: 0 < sum(positive for positive, _ in rows) < len(rows)
)


def choose_threshold(policy, positive, scores):
    return judge(policy, None, positive, scores).threshold


def columns(rows):
    positive, scores = zip(*rows, strict=True)
    return np.array(positive), np.array(scores) / 40


@given(scored)
def test_best_balanced_accuracy_reaches_youdens_maximum(rows):
    positive, scores = columns(rows)
    decided = scores >= choose_threshold(DEFAULT_POLICY, positive, scores)
    alarms, recall, _ = roc_curve(positive, scores, drop_intermediate=False)
    assert decided[positive].mean() - decided[~positive].mean() == pytest.approx((recall - alarms).max())


@given(scored, st.sampled_from([0.5, 0.9, 0.95, 1.0]))
def test_recall_is_reached_by_the_highest_threshold_that_can(rows, wanted):
    positive, scores = columns(rows)
    threshold = choose_threshold(ThresholdPolicy.parse(f"recall>={wanted}"), positive, scores)
    assert (scores >= threshold)[positive].mean() >= wanted - 1e-12
    stricter = scores[scores >= threshold].min()
    assert (scores > stricter)[positive].mean() < wanted


def test_threshold_lies_between_scores():
    positive, scores = np.array([False, False, True, True]), np.array([0.1, 0.2, 0.6, 0.9])
    assert choose_threshold(DEFAULT_POLICY, positive, scores) == pytest.approx(0.4)
    assert choose_threshold(ThresholdPolicy.parse("recall >= 0.5"), positive, scores) == pytest.approx(0.75)


def test_tie_goes_to_the_greater_recall():
    positive, scores = np.array([True, False, True, False]), np.array([0.9, 0.6, 0.4, 0.1])
    assert choose_threshold(DEFAULT_POLICY, positive, scores) < 0.4


def test_fixed_threshold_is_kept():
    assert choose_threshold(ThresholdPolicy.parse("fixed=0.3"), np.array([True, False]), np.array([0.1, 0.9])) == 0.3


@pytest.mark.parametrize("text", ["best-balanced-accuracy", "recall>=0.98", "fixed=0.5"])
def test_policies_are_words_that_round_trip(text):
    assert str(ThresholdPolicy.parse(text)) == text


@pytest.mark.parametrize(
    "text", ["", "recall", "recall>=2", "recall>=0", "fixed=-1", "recall<=0.5", "fixed=nan", "best"]
)
def test_other_words_are_refused(text):
    with pytest.raises(InvalidInput):
        ThresholdPolicy.parse(text)


def test_one_side_gives_no_threshold():
    with pytest.raises(NotTrainable):
        choose_threshold(DEFAULT_POLICY, np.array([True, True]), np.array([0.1, 0.2]))
