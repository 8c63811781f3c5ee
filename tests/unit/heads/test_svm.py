"""The kernel machine agrees with scikit-learn's, whichever way its kernel is computed."""

import numpy as np
import pytest
from sklearn.svm import SVC

from app.heads.trainers import svm
from app.heads.trainers.base import Rows, Run
from app.heads.trainers.svm import SvmTrainer

RUN = Run(0, lambda: None)
PARAMS = {"C": 3.0, "gamma": 0.7}


def made(classes):
    rng = np.random.default_rng(5)
    x = rng.normal(size=(150, 12)).astype(np.float32)
    y = np.argmax(np.abs(x[:, :classes]) + 0.3 * rng.normal(size=(150, classes)), axis=1)
    return Rows(x, y, rng.uniform(0.5, 2.0, size=150), np.arange(150), classes)


def expected(rows, x):
    columns = []
    for label in [1] if rows.classes == 2 else range(rows.classes):
        model = SVC(C=3.0, gamma=0.7 / 12).fit(rows.x, rows.y == label, rows.weight)
        columns.append(model.decision_function(x))
    return np.column_stack([-columns[0], columns[0]] if rows.classes == 2 else columns)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize(("bound", "value"), [("KERNEL_ROWS", 24_000), ("KERNEL_ROWS", 0), ("ALONE_ROWS", 0)])
def test_scores_are_those_of_scikit_learn(classes, bound, value, monkeypatch):
    monkeypatch.setattr(svm, bound, value)
    rows, trainer = made(classes), SvmTrainer()
    fresh = np.random.default_rng(6).normal(size=(1500, 12)).astype(np.float32)
    wanted = expected(rows, fresh)
    assert trainer.fit(rows, PARAMS, RUN).scores(fresh) == pytest.approx(wanted, abs=1e-3)
    for scores in trainer.search(rows, fresh, [PARAMS, PARAMS], RUN):
        assert scores == pytest.approx(wanted, abs=1e-3)


def test_large_folds_take_turns_and_a_fold_that_is_given_up_lets_the_next_one_in(monkeypatch):
    monkeypatch.setattr(svm, "ALONE_ROWS", 0)
    rows, trainer = made(2), SvmTrainer()
    first = trainer.search(rows, rows.x, [PARAMS, PARAMS], RUN)
    next(first)
    assert trainer._alone.locked()
    first.close()
    assert not trainer._alone.locked()
