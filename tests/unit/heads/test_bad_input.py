"""Rows that cannot train or be scored are refused with the remedy, by a named error."""

import numpy as np
import pytest

from app.errors import InvalidInput, MixedFeatureSets, NotTrainable
from app.heads.recipe import Algorithm
from app.heads.scoring import Head
from app.heads.trainers import train
from app.heads.trainers.logistic import LogisticFit


def test_one_class_only_cannot_train(make_table):
    with pytest.raises(NotTrainable, match="No row has the class loaded"):
        make_table(y=np.zeros(240, dtype=np.int64))


@pytest.mark.parametrize("algorithm", Algorithm)
def test_two_rows_cannot_train(algorithm, make_table, make_recipe):
    table = make_table(subjects=2, films=1)
    with pytest.raises(NotTrainable, match="more subjects"):
        train(table, make_recipe(algorithm))


def test_many_films_of_one_subject_cannot_train(make_table, make_recipe):
    table = make_table(subjects=2, films=100)
    with pytest.raises(NotTrainable, match="rows of 1 subjects"):
        train(table, make_recipe())


def test_few_subjects_lower_the_folds_and_the_report_says_so(make_table, make_recipe):
    report = train(make_table(subjects=6, films=8, signal=3.0), make_recipe(folds=5)).report
    assert report["folds"] == 3
    assert any("3 folds instead of 5" in note for note in report["notes"])


def test_network_without_subjects_to_stop_on_cannot_train(make_table, make_recipe):
    with pytest.raises(NotTrainable, match="early stopping"):
        train(make_table(subjects=4, films=10), make_recipe(Algorithm.KERAS_NETWORK))


def test_fit_that_diverged_is_no_head(table, make_recipe, monkeypatch):
    monkeypatch.setattr(LogisticFit, "scores", lambda self, x: np.full((len(x), 2), np.nan))
    with pytest.raises(NotTrainable, match="smaller learning rate"):
        train(table, make_recipe())


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_cannot_train(bad, make_table):
    avg = make_table().avg.copy()
    avg[17, 3] = bad
    with pytest.raises(NotTrainable, match="row 17"):
        make_table(avg=avg)


@pytest.mark.parametrize(
    "changes",
    [
        {"y": np.full(240, 2)},
        {"y": np.full(240, -1)},
        {"y": np.zeros(240)},
        {"y": np.zeros(3, dtype=np.int64)},
        {"groups": np.arange(5)},
        {"positive": "unknown"},
        {"avg": np.zeros(240, dtype=np.float32)},
        {"avg": np.zeros((0, 12), dtype=np.float32)},
    ],
)
def test_columns_that_do_not_fit_cannot_train(changes, make_table):
    with pytest.raises(NotTrainable):
        make_table(**changes)


@pytest.fixture(scope="module")
def head(logistic):
    return Head.load(logistic.artifact)


def test_another_width_is_another_feature_set(head, table):
    with pytest.raises(MixedFeatureSets, match="'max' features have 9 dimensions where 10 are expected"):
        head.probabilities(table.avg, table.max[:, :9])


def test_another_feature_set_is_refused_by_its_digest(head):
    head.require_feature_set("f" * 64)
    with pytest.raises(MixedFeatureSets, match="densenet121-test"):
        head.require_feature_set("a" * 64)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_not_finite_are_not_scored(bad, head, table):
    max_ = table.max.copy()
    max_[5, 0] = bad
    with pytest.raises(InvalidInput, match="row 5"):
        head.probabilities(table.avg, max_)


@pytest.mark.parametrize("shape", [(12,), (1, 1, 12)])
def test_what_is_no_matrix_is_not_scored(shape, head, table):
    with pytest.raises(InvalidInput, match="matrix"):
        head.probabilities(np.zeros(shape, dtype=np.float32), table.max)


def test_text_is_not_scored(head, table):
    with pytest.raises(InvalidInput):
        head.probabilities(np.full((2, 12), "x"), table.max[:2])


def test_unequal_rows_are_not_scored(head, table):
    with pytest.raises(InvalidInput, match="rows beside"):
        head.probabilities(table.avg[:3], table.max[:2])


def test_huge_but_finite_values_give_finite_probabilities(head, table):
    wild = np.full((2, 12), 3e38, dtype=np.float32)
    assert np.isfinite(head.probabilities(wild, table.max[:2])).all()


def test_no_rows_give_no_rows(head, table):
    assert head.probabilities(table.avg[:0], table.max[:0]).shape == (0, 2)
    assert head.decide(np.zeros((0, 2), dtype=np.float32)) == []
