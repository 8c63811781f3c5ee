"""Out of fold means out of subject: planted leaks and shuffled labels earn nothing."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import NotTrainable
from app.heads.policies import judge
from app.heads.policy_words import ThresholdPolicy
from app.heads.recipe import Algorithm
from app.heads.scoring import Head
from app.heads.trainers import train
from app.heads.trainers.folds import make_folds
from app.heads.trainers.links import Platt


@given(
    owners=st.lists(st.tuples(st.integers(0, 30), st.booleans()), min_size=4, max_size=120),
    count=st.integers(2, 6),
    seed=st.integers(0, 5),
)
@settings(max_examples=60, deadline=None)
def test_no_subject_is_ever_on_two_sides(owners, count, seed):
    groups = np.array([owner for owner, _ in owners])
    y = np.array([int(label) for _, label in owners])
    try:
        folds = make_folds(y, groups, folds=count, seed=seed, names=("empty", "loaded"))
    except NotTrainable:
        return
    scored = np.concatenate([fold.validation for fold in folds])
    assert sorted(scored) == list(range(len(y)))
    for fold in folds:
        assert not set(groups[fold.train]) & set(groups[fold.validation])
        assert set(y[fold.train]) == set(y[fold.validation]) == {0, 1}


def identity_table(make_table, **changes):
    """Features that say who was scanned and nothing about the class."""
    base = make_table(signal=0.0, subjects=120, films=3)
    own = np.random.default_rng(1).normal(size=(120, 40))[np.repeat(np.arange(120), 3)].astype(np.float32)
    return make_table(subjects=120, films=3, **({"avg": own, "max": own, "y": base.y} | changes))


def test_knowing_the_subject_earns_nothing(make_table, make_recipe):
    recipe = make_recipe(Algorithm.RBF_SVM)
    honest = train(identity_table(make_table), recipe).report
    leaking = train(identity_table(make_table, groups=None), recipe).report
    assert 0.35 < honest["out_of_fold"]["auc"] < 0.65
    assert leaking["out_of_fold"]["auc"] > 0.95, "the planted leak must be one that a naive split would fall for"
    assert any("subjects" in note for note in leaking["notes"])


@pytest.mark.parametrize("algorithm", Algorithm)
def test_shuffled_labels_give_chance(algorithm, make_table, make_recipe):
    base = make_table(subjects=150, films=2)
    shuffled = np.random.default_rng(3).permutation(150)[np.repeat(np.arange(150), 2)] % 2
    table = make_table(subjects=150, films=2, y=shuffled)
    figures = train(table, make_recipe(algorithm, folds=2)).report["out_of_fold"]
    assert not np.array_equal(base.y, shuffled)
    assert 0.38 < figures["auc"] < 0.62
    assert figures["auc_interval"]["low"] < 0.5 < figures["auc_interval"]["high"] or abs(figures["auc"] - 0.5) < 0.1


def test_threshold_comes_from_out_of_fold_scores(make_table, make_recipe):
    # More channels than rows: fitted scores part the classes perfectly, out-of-fold ones cannot.
    table = make_table(signal=0.0, subjects=40, films=1, dimensions=(80, 80))
    policy = ThresholdPolicy.parse("recall>=0.9")
    trained = train(table, make_recipe(params={"C": 1.0}, policy=policy))
    loaded = trained.out_of_fold[:, 1]
    assert trained.threshold == judge(policy, None, table.is_positive, loaded).threshold
    assert trained.report["out_of_fold"]["per_class"]["loaded"]["recall"] >= 0.9
    assert trained.report["out_of_fold"]["accuracy"] < 0.8
    head = Head.load(trained.artifact)
    fitted = head.probabilities(table.avg, table.max)[:, 1]
    assert judge(policy, None, table.is_positive, fitted).threshold != trained.threshold
    assert fitted[table.is_positive].min() > fitted[~table.is_positive].max()


def test_calibration_never_turns_a_ranking_round():
    scores = np.linspace(-1, 1, 40)
    inverted = (scores < 0).astype(np.int64)
    link = Platt.fit(np.column_stack([-scores, scores]), inverted)
    assert np.all(np.diff(link(np.column_stack([-scores, scores]))[:, 1]) > 0)


def test_platt_recovers_a_known_sigmoid():
    rng = np.random.default_rng(0)
    scores = rng.normal(size=20_000) * 2
    y = (rng.random(20_000) < 1 / (1 + np.exp(-(1.5 * scores - 0.5)))).astype(np.int64)
    columns = np.column_stack([-scores, scores])
    expected = 1 / (1 + np.exp(-(1.5 * scores - 0.5)))
    assert Platt.fit(columns, y)(columns)[:, 1] == pytest.approx(expected, abs=0.03)
