"""Heads of several heads: joined out of fold, exact in the artifact, whatever their algorithms and poolings."""

import numpy as np
import pytest

from app.heads.algorithms import Algorithm
from app.heads.metrics import roc_auc
from app.heads.pooling import Pooling
from app.heads.recipe import Combination
from app.heads.scoring import Head
from app.heads.trainers.ensemble import Stacking, fit_joint, log_probabilities
from app.heads.trainers.pipeline import Ensemble, convert
from app.heads.trainers.sigmoid import Softmax
from tests.unit.heads.activations import activations, candidates, fitted, metadata_of

MEMBERS = (
    (Algorithm.LOGISTIC_REGRESSION, Pooling.BOTH),
    (Algorithm.RANDOM_FOREST, Pooling.AVG),
    (Algorithm.K_NEAREST, Pooling.MAX),
)


def joined(kind: Combination, classes: int, members=MEMBERS) -> tuple:
    table = activations(classes=classes)
    parts = tuple(fitted(table, algorithm, candidates(algorithm)[0], pooling) for algorithm, pooling in members)
    answers = np.stack([log_probabilities(one.probabilities(table.avg, table.max)) for one in parts])
    joint, _ = fit_joint(kind, answers, table.y, table.group_codes % 3)
    return table, Ensemble(parts, joint, Softmax())


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("kind", Combination)
def test_ensemble_of_different_algorithms_and_poolings_is_one_exact_graph(kind, classes):
    table, ensemble = joined(kind, classes)
    assert ensemble.pooling is Pooling.BOTH
    own = ensemble.probabilities(table.avg, table.max)
    artifact, parity = convert(ensemble, table, metadata_of(table, ensemble), own.astype(np.float32))
    assert parity.max_difference <= 1e-5
    assert parity.decisions_changed == 0
    assert Head.load(artifact).metadata.pooling is Pooling.BOTH


def test_ensemble_on_one_pooling_asks_for_no_other():
    table, ensemble = joined(Combination.AVERAGE, 2, [(one, Pooling.AVG) for one, _ in MEMBERS])
    assert ensemble.pooling is Pooling.AVG
    own = ensemble.probabilities(table.avg, table.max).astype(np.float32)
    assert convert(ensemble, table, metadata_of(table, ensemble), own)[1].decisions_changed == 0


def test_average_is_the_mean_probability():
    table, ensemble = joined(Combination.AVERAGE, 3)
    mean = np.mean([one.probabilities(table.avg, table.max) for one in ensemble.members], axis=0)
    assert ensemble.probabilities(table.avg, table.max) == pytest.approx(mean, abs=1e-5)


def answers_of(scores: list[np.ndarray]) -> np.ndarray:
    """Log-probabilities (m, n, 2) of log-odds (n,)."""
    return np.stack([-np.logaddexp(0, np.column_stack([s, -s])) for s in scores])


def test_stacking_trusts_the_member_that_knows():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 400)
    knows, guesses = 2.0 * (2 * y - 1) + rng.normal(size=400), 3.0 * rng.normal(size=400)
    _, scores = fit_joint(Combination.STACKING, answers_of([knows, guesses]), y, np.arange(400) % 4)
    _, mean = fit_joint(Combination.AVERAGE, answers_of([knows, guesses]), y, np.arange(400) % 4)
    assert roc_auc(y == 1, scores[:, 1] - scores[:, 0]) > roc_auc(y == 1, mean[:, 1] - mean[:, 0]) + 0.02


def test_stacking_scores_no_row_by_itself():
    rng = np.random.default_rng(0)
    noise = [rng.normal(size=120) for _ in range(40)]
    y, fold_of = rng.integers(0, 2, 120), np.arange(120) % 4
    joint, scores = fit_joint(Combination.STACKING, answers_of(noise), y, fold_of)
    seen = joint(answers_of(noise))
    assert roc_auc(y == 1, seen[:, 1] - seen[:, 0]) > 0.7  # what a regression on its own rows would claim
    assert abs(roc_auc(y == 1, scores[:, 1] - scores[:, 0]) - 0.5) < 0.15
    flipped = y.copy()
    flipped[fold_of == 2] = 1 - y[fold_of == 2]
    _, again = fit_joint(Combination.STACKING, answers_of(noise), flipped, fold_of)
    assert np.array_equal(scores[fold_of == 2], again[fold_of == 2])


def test_weights_of_rows_move_a_stacking():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 300)
    answers = answers_of([(2 * y - 1) + rng.normal(size=300)])
    plain, heavy = (
        fit_joint(Combination.STACKING, answers, y, np.arange(300) % 3, weight=np.where(y == 1, w, 1.0))[1]
        for w in (1.0, 5.0)
    )
    assert (heavy[:, 1] - heavy[:, 0]).mean() > (plain[:, 1] - plain[:, 0]).mean() + 0.5


def test_one_certain_member_does_not_silence_the_others():
    certain = np.log(np.maximum(np.array([[[0.0, 1.0]], [[0.9, 0.1]], [[0.9, 0.1]]]), 1e-300))
    joint = Stacking(np.tile(np.eye(2), (3, 1)), np.zeros(2))
    bounded = np.maximum(certain, log_probabilities(np.zeros(1)))
    assert np.isfinite(joint(bounded)).all()
    assert fit_joint(Combination.AVERAGE, certain, np.array([1]), np.array([0]))[1].argmax() == 0
