"""Metrics equal scikit-learn's, ties and empty classes included."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from app.errors import InvalidInput
from app.heads import metrics

labels = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=80)
# Few distinct scores: ties are the rule here.
scored = st.lists(st.tuples(st.booleans(), st.sampled_from([0.0, 0.1, 0.25, 0.5, 1.0])), min_size=2, max_size=80)


@given(labels)
def test_counts_and_balanced_accuracy_equal_scikit_learn(rows):
    actual, predicted = (np.array(column) for column in zip(*rows, strict=True))
    confusion = metrics.confusion_matrix(actual, predicted, 3)
    assert np.array_equal(confusion, reference.confusion_matrix(actual, predicted, labels=[0, 1, 2]))
    with warnings.catch_warnings():
        # scikit-learn warns of predicted classes without rows and of constant labels; both leave them out.
        warnings.simplefilter("ignore", UserWarning)
        balanced = reference.balanced_accuracy_score(actual, predicted)
    assert metrics.balanced_accuracy(confusion) == pytest.approx(balanced)


@given(scored)
def test_auc_and_brier_equal_scikit_learn(rows):
    positive, scores = (np.array(column) for column in zip(*rows, strict=True))
    if positive.all() or not positive.any():
        with pytest.raises(InvalidInput, match="both sides"):
            metrics.roc_auc(positive, scores)
        return
    assert metrics.roc_auc(positive, scores) == pytest.approx(reference.roc_auc_score(positive, scores))
    assert metrics.brier(positive, scores) == pytest.approx(reference.brier_score_loss(positive, scores))


@given(scored, st.integers(0, 100))
@settings(max_examples=50)
def test_weighted_auc_equals_scikit_learn_under_weights(rows, seed):
    positive, scores = (np.array(column) for column in zip(*rows, strict=True))
    weights = np.random.default_rng(seed).integers(1, 4, size=(3, len(rows))).astype(float)
    if positive.all() or not positive.any():
        assert np.isnan(metrics.weighted_auc(positive, scores, weights)).all()
        return
    expected = [reference.roc_auc_score(positive, scores, sample_weight=weight) for weight in weights]
    assert metrics.weighted_auc(positive, scores, weights) == pytest.approx(expected)


def draw(rng, subjects, films, shift):
    """Scores of subjects who differ more than their films do."""
    positive = np.arange(subjects) % 2 == 1
    own = rng.normal(size=subjects) + shift * positive
    scores = np.repeat(own, films) + 0.3 * rng.normal(size=subjects * films)
    return np.repeat(positive, films), scores, np.repeat(np.arange(subjects), films)


def test_interval_covers_the_true_auc_when_subjects_are_resampled():
    rng = np.random.default_rng(0)
    # P(a positive outranks a negative) for N(1, 1.09) against N(0, 1.09), by the normal distribution: 0.7509
    truth, covered, naive = 0.7509, 0, 0
    for repetition in range(300):
        positive, scores, groups = draw(rng, 80, 4, 1.0)
        low, high = metrics.auc_interval(positive, scores, groups=groups, seed=repetition)
        covered += low <= truth <= high
        low, high = metrics.auc_interval(positive, scores, replicates=100, seed=repetition)
        naive += low <= truth <= high
    # Measured over 1,500 draws: 94.5 %. 273 of 300 is 2.6 standard deviations of that below it.
    assert covered >= 273
    assert naive < 225, "taking films for subjects must show as false certainty, or this test proves nothing"


def test_interval_is_seeded_and_ordered():
    positive, scores, groups = draw(np.random.default_rng(1), 40, 2, 1.0)
    once, again = (metrics.auc_interval(positive, scores, groups=groups, seed=5) for _ in range(2))
    assert once == again
    assert once[0] < metrics.roc_auc(positive, scores) < once[1]


def test_interval_of_one_side_is_refused():
    with pytest.raises(InvalidInput):
        metrics.auc_interval(np.zeros(4, dtype=bool), np.arange(4.0))
