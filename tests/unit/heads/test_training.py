"""Every algorithm trains, converts and reports; the same seed gives the same head."""

import json
from datetime import UTC, datetime

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from app.errors import Cancelled, InvalidInput
from app.heads.metrics import roc_auc
from app.heads.pooling import Pooling
from app.heads.recipe import Algorithm, HeadRecipe
from app.heads.scoring import Head
from app.heads.thresholds import ThresholdPolicy
from app.heads.trainers import svm, train
from app.heads.trainers.scaling import Scaling

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


@pytest.mark.parametrize("algorithm", Algorithm)
def test_every_algorithm_learns_and_its_artifact_ranks_fresh_subjects(algorithm, heads, make_table):
    head = Head.load(heads[algorithm].artifact)
    fresh = make_table(seed=1)
    probabilities = head.probabilities(fresh.avg, fresh.max)
    assert probabilities.dtype == np.float32
    assert probabilities.sum(axis=1) == pytest.approx(1.0, abs=1e-5)
    assert roc_auc(fresh.is_positive, probabilities[:, 1]) > 0.7


@pytest.mark.parametrize("algorithm", Algorithm)
def test_parity_is_measured_and_reported(algorithm, heads, table):
    parity = heads[algorithm].report["parity"]
    assert parity["rows"] == len(table.y)
    assert 0 <= parity["max_difference"] <= 1e-5
    assert parity["decisions_changed"] == 0
    assert Head.load(heads[algorithm].artifact).self_check() <= 1e-5


def test_logistic_head_equals_scikit_learn_from_scratch(make_table, make_recipe):
    table = make_table()
    head = Head.load(train(table, make_recipe(params={"C": 0.01}, calibration="none")).artifact)
    x = np.concatenate([table.avg, table.max], axis=1).astype(np.float64)
    x = np.clip((x - x.mean(axis=0)) / x.std(axis=0), -8, 8)
    # The head keeps the penalty of the folds' models, which had two rows in three.
    expected = LogisticRegression(C=0.01 * 2 / 3).fit(x, table.y).predict_proba(x)
    assert head.probabilities(table.avg, table.max) == pytest.approx(expected, abs=2e-4)


@pytest.mark.parametrize("algorithm", Algorithm)
def test_three_classes(algorithm, make_table, make_recipe):
    table = make_table(classes=("normal", "opacity", "covid"), positive="opacity", signal=2.0)
    trained = train(table, make_recipe(algorithm, folds=2))
    head = Head.load(trained.artifact)
    probabilities = head.probabilities(table.avg, table.max)
    assert probabilities.shape == (len(table.y), 3)
    assert probabilities.sum(axis=1) == pytest.approx(1.0, abs=1e-5)
    assert trained.report["out_of_fold"]["auc"] > 0.8
    decided = np.array(head.decide(probabilities))
    assert np.mean(decided == np.array(table.classes)[table.y]) > 0.7


@pytest.mark.parametrize("algorithm", Algorithm)
def test_same_seed_gives_the_same_artifact(algorithm, table, make_recipe):
    recipe = make_recipe(algorithm, folds=2, seed=7)
    once, again = (train(table, recipe, clock=lambda: NOON) for _ in range(2))
    assert once.artifact == again.artifact
    assert np.array_equal(once.out_of_fold, again.out_of_fold)


def test_another_seed_gives_other_folds(table, make_recipe):
    folds = [train(table, make_recipe(seed=seed)).fold_of for seed in (0, 1)]
    assert not np.array_equal(*folds)


def test_grid_is_searched_and_the_simplest_of_the_best_is_chosen(logistic):
    grid = logistic.report["grid"]
    assert [one["params"]["C"] for one in grid] == [1e-3, 1e-1]
    best = max(grid, key=lambda one: one["auc"])
    error = np.std(best["fold_auc"], ddof=1) / np.sqrt(len(best["fold_auc"]))
    simplest = next(one for one in grid if one["auc"] >= best["auc"] - error)
    assert logistic.report["params"] == simplest["params"] == dict(logistic.metadata.params)


def test_class_weight_moves_recall(make_table, make_recipe):
    table = make_table(signal=0.5)
    fixed = ThresholdPolicy.parse("fixed=0.5")
    plain, weighted = (
        train(table, make_recipe(class_weight=weight, policy=fixed)).report["out_of_fold"]["per_class"]
        for weight in (None, {"loaded": 3.0})
    )
    assert weighted["loaded"]["recall"] > plain["loaded"]["recall"] + 0.1
    assert weighted["empty"]["recall"] < plain["empty"]["recall"]


def test_balanced_weights_count_rows_of_each_class(make_table, make_recipe):
    base = make_table(signal=0.5)
    keep = (base.y == 0) | (np.arange(len(base.y)) % 12 < 3)  # one loaded subject in four
    rare = make_table(
        signal=0.5,
        **{name: getattr(base, name)[keep] for name in ("avg", "max", "y", "groups")},
        image_ids=None,
    )
    fixed = ThresholdPolicy.parse("fixed=0.5")
    plain, balanced = (
        train(rare, make_recipe(class_weight=weight, policy=fixed)).report["out_of_fold"]
        for weight in (None, "balanced")
    )
    assert balanced["per_class"]["loaded"]["recall"] > plain["per_class"]["loaded"]["recall"]


def test_class_weight_of_an_unknown_class_is_refused(table, make_recipe):
    with pytest.raises(InvalidInput, match="lodaed"):
        train(table, make_recipe(class_weight={"lodaed": 2.0}))


def test_progress_runs_to_its_end(table, make_recipe):
    heard: list[tuple[int, int]] = []
    train(table, make_recipe(), on_progress=lambda done, total: heard.append((done, total)))
    assert heard == [(done, 7) for done in range(1, 8)]  # 2 candidates x 3 folds + the final fit


@pytest.mark.parametrize("algorithm", Algorithm)
def test_cancelled_between_fits(algorithm, table, make_recipe):
    asked: list[int] = []

    def should_stop() -> bool:
        asked.append(1)
        return len(asked) > 3

    with pytest.raises(Cancelled):
        train(table, make_recipe(algorithm), should_stop=should_stop)
    assert len(asked) < 10  # folds that had not begun ask once each, and do not begin


@pytest.mark.parametrize("classes", [("empty", "loaded"), ("normal", "loaded", "covid")])
def test_svm_beyond_the_kernel_bound_scores_alike(classes, make_table, make_recipe, monkeypatch):
    table = make_table(classes=classes)
    shared = train(table, make_recipe(Algorithm.RBF_SVM))
    monkeypatch.setattr(svm, "KERNEL_ROWS", 0)
    piecewise = train(table, make_recipe(Algorithm.RBF_SVM))
    assert shared.out_of_fold == pytest.approx(piecewise.out_of_fold, abs=1e-4)


def test_a_channel_that_slept_in_training_cannot_speak_later():
    x = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    x[:, 1] = 0.0
    scaling = Scaling.fit(x)
    assert scaling(np.array([[0.0, 1e6, 0.0]], dtype=np.float32))[0, 1] == 0.0


def test_a_spark_in_a_sleepy_channel_is_bounded():
    x = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    x[:, 1] *= 1e-5
    assert Scaling.fit(x)(np.array([[0.0, 100.0, 0.0]], dtype=np.float32))[0, 1] == 8.0


def test_report_is_json_and_complete(logistic, table):
    report = json.loads(json.dumps(logistic.report, allow_nan=False))
    assert report["rows"] == len(table.y)
    assert report["groups"] == 80
    assert report["class_counts"] == {"empty": 120, "loaded": 120}
    assert report["training_digest"] == logistic.metadata.training_digest
    figures = report["out_of_fold"]
    assert figures["auc_interval"]["low"] <= figures["auc"] <= figures["auc_interval"]["high"]
    assert np.sum(figures["confusion"]["counts"]) == len(table.y)
    assert len(report["fold_auc"]) == report["folds"] == 3
    assert "keras" not in report["libraries"]


def test_network_report_names_its_framework(heads):
    assert {"keras", "tensorflow"} <= set(heads[Algorithm.KERAS_NETWORK].report["libraries"])


def test_default_recipe_trains(table):
    assert train(table, HeadRecipe()).metadata.pooling is Pooling.BOTH
