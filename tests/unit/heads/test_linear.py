"""Linear models agree with scikit-learn's, however many descend together."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

from app.errors import Cancelled
from app.heads.trainers.base import Rows, Run
from app.heads.trainers.linear import LinearModels
from app.heads.trainers.linear_svm import LinearSvmTrainer
from app.heads.trainers.logistic import LogisticTrainer
from app.heads.trainers.losses import log_loss

RUN = Run(0, lambda: None)
RATIOS = {"l2": 0.0, "l1": 1.0, "elastic-net": 0.3}


def made(n=400, d=30, classes=2, seed=0, weighted=False):
    """Correlated, scaled rows of noisy classes."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 6)) @ rng.normal(size=(6, d)) + rng.normal(size=(n, d))
    y = np.argmax(x @ rng.normal(size=(d, classes)) * 0.3 + rng.gumbel(size=(n, classes)), axis=1)
    x = ((x - x.mean(axis=0)) / x.std(axis=0)).astype(np.float32)
    weight = rng.uniform(0.2, 3.0, size=n) if weighted else np.ones(n)
    return Rows(x, y, weight, np.arange(n), classes)


def params(c, penalty="l2", **changes):
    return {"C": c, "penalty": penalty, "l1_ratio": RATIOS[penalty], "max_iter": 5000} | changes


def theirs(rows, c, penalty="l2"):
    """scikit-learn's model, converged far below its defaults."""
    solver = "lbfgs" if penalty == "l2" else "saga"
    model = LogisticRegression(C=c, l1_ratio=RATIOS[penalty], solver=solver, tol=1e-8, max_iter=100_000)
    # saga walks the rows in an order of its own: by a seed.
    return model.set_params(random_state=0).fit(rows.x.astype(np.float64), rows.y, rows.weight)


def log_odds(scores):
    """Softmax does not see what all classes have in common."""
    return scores - scores.mean(axis=1, keepdims=True)


def expected(model, x):
    decided = model.decision_function(x.astype(np.float64))
    return log_odds(decided if decided.ndim == 2 else np.column_stack([np.zeros(len(x)), decided]))


@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("penalty", RATIOS)
def test_logistic_scores_are_those_of_scikit_learn(penalty, classes, weighted):
    rows = made(classes=classes, weighted=weighted)
    grid = [1e-3, 1e-2, 0.1, 1.0, 30.0] if penalty == "l2" else [1e-2, 0.1, 1.0]
    found = LogisticTrainer().search(rows, rows.x, [params(c, penalty) for c in grid], RUN)
    for c, scores in zip(grid, found, strict=True):
        fitted = LogisticTrainer().fit(rows, params(c, penalty), RUN)
        wanted = expected(theirs(rows, c, penalty), rows.x)
        assert log_odds(fitted.scores(rows.x)) == pytest.approx(wanted, abs=2e-3)
        assert log_odds(scores) == pytest.approx(wanted, abs=3e-2)


@pytest.mark.parametrize("classes", [2, 3])
def test_a_lasso_that_leaves_nothing_says_how_common_each_class_is(classes):
    rows = made(classes=classes, weighted=True)
    fitted = LogisticTrainer().fit(rows, params(1e-4, "l1"), RUN)
    assert not fitted.coefficients.any()
    common = np.log(np.bincount(rows.y, rows.weight))
    assert fitted.offsets - fitted.offsets.mean() == pytest.approx(common - common.mean(), abs=1e-4)


@pytest.mark.parametrize("penalty", ["l1", "elastic-net"])
def test_no_class_is_charged_for_what_all_classes_share(penalty):
    rows = made(classes=3)
    fitted = LogisticTrainer().fit(rows, params(30.0, penalty), RUN)

    def charge(coefficients):
        ratio = RATIOS[penalty]
        return ratio * np.abs(coefficients).sum() + (1 - ratio) / 2 * np.square(coefficients).sum()

    for shift in np.eye(30)[:, None] * np.array([-1e-2, 1e-2])[:, None, None, None]:
        assert all(charge(fitted.coefficients + one) > charge(fitted.coefficients) - 1e-5 for one in shift)


def test_lasso_leaves_out_what_scikit_learn_leaves_out():
    rows = made()
    fitted = LogisticTrainer().fit(rows, params(0.03, "l1"), RUN)
    wanted = theirs(rows, 0.03, "l1").coef_[0]
    assert 0 < np.count_nonzero(wanted) < len(wanted)
    assert np.array_equal(fitted.coefficients[1] != 0, np.abs(wanted) > 1e-6)
    assert fitted.coefficients[1] == pytest.approx(wanted, abs=1e-4)


@pytest.mark.parametrize("penalty", RATIOS)
def test_more_features_than_rows(penalty):
    rows = made(n=60, d=200)
    for c in (0.1, 0.5):
        fitted = LogisticTrainer().fit(rows, params(c, penalty), RUN)
        wanted = expected(theirs(rows, c, penalty), rows.x)
        assert log_odds(fitted.scores(rows.x)) == pytest.approx(wanted, abs=2e-3)


@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
@pytest.mark.parametrize("classes", [2, 3])
def test_linear_svm_scores_are_those_of_scikit_learn(classes, weighted):
    rows = made(classes=classes, weighted=weighted)
    for c in (1e-4, 1e-2, 1.0):
        # A far larger constant feature leaves its intercept as free as ours.
        model = LinearSVC(C=c, dual=False, intercept_scaling=300.0, tol=1e-9, max_iter=100_000)
        decided = model.fit(rows.x.astype(np.float64), rows.y, rows.weight).decision_function(rows.x)
        wanted = decided if decided.ndim == 2 else np.column_stack([-decided, decided])
        fitted = LinearSvmTrainer().fit(rows, {"C": c, "max_iter": 5000}, RUN)
        assert fitted.scores(rows.x) == pytest.approx(wanted, abs=2e-3)
        searched = next(LinearSvmTrainer().search(rows, rows.x, [{"C": c, "max_iter": 5000}], RUN))
        assert searched == pytest.approx(wanted, abs=3e-2)


def test_rows_that_separate_do_not_run_away():
    rows = made(n=40, d=60)
    for trainer, given in ((LogisticTrainer(), params(1e6)), (LinearSvmTrainer(), {"C": 1e6, "max_iter": 500})):
        scores = next(trainer.search(rows, rows.x, [given], RUN))
        assert np.isfinite(scores).all()
        assert np.array_equal(np.argmax(scores, axis=1), rows.y)


def test_a_grid_of_every_penalty_comes_back_in_order():
    rows = made()
    grid = [params(c, penalty) for c in (10.0, 1e-3) for penalty in ("l1", "l2", "elastic-net")] * 12
    together = list(LogisticTrainer().search(rows, rows.x, grid, RUN))
    assert len(together) == len(grid) > 64
    for given, scores in list(zip(grid, together, strict=True))[::11]:
        alone = next(LogisticTrainer().search(rows, rows.x, [given], RUN))
        assert scores == pytest.approx(alone, rel=1e-2, abs=2e-2)


def test_most_steps_are_honoured():
    rows = made()
    steps = []
    counted = Run(0, lambda: steps.append(1))
    for penalty in RATIOS:
        steps.clear()
        LogisticTrainer().fit(rows, params(1e3, penalty, max_iter=3), counted)
        assert len(steps) <= 3
        loose, tight = (
            LogisticTrainer().fit(rows, params(1e3, penalty, max_iter=most), RUN).scores(rows.x) for most in (3, 5000)
        )
        assert not np.allclose(loose, tight, atol=1e-2)


def test_a_candidate_that_is_stopped_early_leaves_the_others_alone():
    rows = made()
    short, long = list(LogisticTrainer().search(rows, rows.x, [params(10.0, max_iter=2), params(10.0)], RUN))
    assert long == pytest.approx(expected_scores(rows, 10.0), abs=3e-2)
    assert not np.allclose(short, long, atol=1e-2)


def expected_scores(rows, c):
    return np.column_stack([np.zeros(len(rows.x)), theirs(rows, c).decision_function(rows.x.astype(np.float64))])


@pytest.mark.parametrize("penalty", RATIOS)
def test_a_fit_hears_of_its_cancellation_within_a_step(penalty):
    asked = []

    def checkpoint():
        asked.append(1)
        if len(asked) == 2:
            raise Cancelled("stop")

    with pytest.raises(Cancelled):
        LogisticTrainer().fit(made(), params(1e3, penalty), Run(0, checkpoint))
    assert len(asked) == 2


def test_a_fold_that_comes_back_finds_its_spectrum(monkeypatch):
    calls = []
    eigh = np.linalg.eigh
    monkeypatch.setattr(np.linalg, "eigh", lambda a: calls.append(1) or eigh(a))
    models = LinearModels(log_loss)
    first, second = made(seed=1), made(seed=2)
    for rows in (first, second, first, second):
        models.fit(rows, [params(0.1)], RUN)
    assert len(calls) == 2


def test_channels_that_sleep_get_no_say():
    rows = made()
    rows.x[:, 3] = 0.0
    for penalty in RATIOS:
        fitted = LogisticTrainer().fit(rows, params(1e6, penalty), RUN)
        assert fitted.coefficients[1, 3] == pytest.approx(0, abs=1e-3)
