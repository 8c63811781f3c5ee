"""Every algorithm converts exactly, searches as it fits, heeds weights and repeats itself."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier

from app.errors import Cancelled, HeadRefused, NotTrainable
from app.heads.algorithms import PARAMS as ALL_PARAMS
from app.heads.algorithms import Algorithm
from app.heads.metrics import roc_auc
from app.heads.pooling import Pooling
from app.heads.trainers import nearest
from app.heads.trainers.base import Rows, Run
from app.heads.trainers.forest import ForestTrainer
from app.heads.trainers.mlp import MlpFit
from app.heads.trainers.nearest import Reference
from app.heads.trainers.network import Plateau
from app.heads.trainers.pipeline import convert
from app.heads.trainers.registry import trainer_for
from tests.unit.heads.activations import MINE, PARAMS, RUN, activations, candidates, fitted, metadata_of, rows_of


@pytest.mark.parametrize("algorithm", Algorithm)
def test_every_algorithm_has_a_trainer(algorithm):
    assert trainer_for(algorithm).log_odds in (True, False)
    assert ALL_PARAMS[algorithm]


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("algorithm", MINE)
def test_artifact_answers_as_its_trainer_on_activations(algorithm, classes):
    table = activations(classes=classes)
    for params in candidates(algorithm)[:4]:
        pipeline = fitted(table, algorithm, params, Pooling.BOTH)
        own = pipeline.probabilities(table.avg, table.max)
        _, parity = convert(pipeline, table, metadata_of(table, pipeline), own.astype(np.float32))
        assert parity.max_difference <= 1e-5
        assert parity.decisions_changed == 0


@pytest.mark.parametrize(
    ("algorithm", "classes"),
    [(one, classes) for one in MINE for classes in (2, 3) if (one, classes) != (Algorithm.KERAS_NETWORK, 2)],
)
def test_search_scores_as_a_fit_of_each_candidate(algorithm, classes):
    table, fresh = activations(classes=classes), activations(classes=classes, seed=2, count=150)
    scaling, rows = rows_of(table, weight=np.random.default_rng(0).uniform(0.5, 2.0, 600))
    held = scaling(fresh.features(Pooling.BOTH))
    trainer, asked = trainer_for(algorithm), candidates(algorithm)
    found = list(trainer.search(rows, held, asked, RUN))
    assert len(found) == len(asked)
    for params, scores in zip(asked, found, strict=True):
        assert scores.shape == (150, classes)
        assert scores == pytest.approx(trainer.fit(rows, params, RUN).scores(held), abs=1e-5)


@pytest.mark.parametrize("algorithm", MINE)
def test_learned_order_holds_for_other_subjects(algorithm):
    fresh = activations(seed=2)
    pipeline = fitted(activations(), algorithm, candidates(algorithm)[0], Pooling.BOTH)
    assert roc_auc(fresh.is_positive, pipeline.probabilities(fresh.avg, fresh.max)[:, 1]) > 0.8


@pytest.mark.parametrize("algorithm", MINE)
def test_weight_of_a_class_moves_its_probability(algorithm):
    table, fresh = activations(), activations(seed=2)
    means = []
    for heavy in (1.0, 6.0):
        scaling, rows = rows_of(table, weight=np.where(table.y == 1, heavy, 1.0))
        fit = trainer_for(algorithm).fit(rows, candidates(algorithm)[0], RUN)
        scores = fit.scores(scaling(fresh.features(Pooling.BOTH)))
        means.append(float((scores[:, 1] - scores[:, 0]).mean()))
    assert means[1] > means[0] + 0.2


@pytest.mark.parametrize("algorithm", [one for one in MINE if one is not Algorithm.K_NEAREST])
def test_seed_repeats_a_fit_and_another_seed_does_not(algorithm):
    _, rows = rows_of(activations(count=300))
    params = candidates(algorithm)[0]
    once, again, other = (
        trainer_for(algorithm).fit(rows, params, Run(s, lambda: None)).scores(rows.x) for s in (1, 1, 2)
    )
    assert np.array_equal(once, again)
    assert not np.array_equal(once, other)


@pytest.mark.parametrize("algorithm", MINE)
def test_cancelled_training_stops_inside_a_fit(algorithm):
    def cancelled() -> None:
        raise Cancelled("stop")

    _, rows = rows_of(activations(count=300))
    with pytest.raises(Cancelled):
        trainer_for(algorithm).fit(rows, candidates(algorithm)[0], Run(0, cancelled))


def test_forest_is_fitted_once_for_all_its_sizes(monkeypatch):
    fits: list[int] = []
    fit = ForestTrainer.fit
    monkeypatch.setattr(ForestTrainer, "fit", lambda *args: fits.append(args[2]["trees"]) or fit(*args))
    _, rows = rows_of(activations(count=300))
    asked = candidates(Algorithm.RANDOM_FOREST)
    list(ForestTrainer().search(rows, rows.x, asked, RUN))
    assert fits == [45, 45]  # one a share of features


def test_neighbours_are_those_of_scikit_learn():
    table, fresh = activations(), activations(seed=2)
    for metric in ("cosine", "euclidean"):
        scaling, rows = rows_of(table)
        held = scaling(fresh.features(Pooling.BOTH))
        params = {"k": 9, "weights": "uniform", "metric": metric}
        scores = trainer_for(Algorithm.K_NEAREST).fit(rows, params, RUN).scores(held)
        expected = KNeighborsClassifier(9, metric=metric).fit(np.clip(rows.x, -4, 4), rows.y)
        agreed = (scores[:, 1] > 0) == expected.predict(np.clip(held, -4, 4))
        assert agreed.mean() > 0.98  # where bins of 1/16 deviation make no difference


def test_rows_equally_near_are_taken_in_order():
    x = np.repeat(np.eye(4, dtype=np.float32), 6, axis=0)
    rows = Rows(x, np.arange(24) % 2, np.ones(24), np.arange(24), 2)
    for metric in ("cosine", "euclidean"):
        _, index = Reference.of(rows, metric).nearest(x[:1], 3)
        assert index.tolist() == [[0, 1, 2]]


def test_neighbours_too_many_for_an_artifact_are_refused_before_the_search(monkeypatch):
    monkeypatch.setattr(nearest, "MOST_BYTES", 1000)
    _, rows = rows_of(activations(count=300))
    with pytest.raises(
        HeadRefused, match=r"keeps all 300 training rows, and 128 features allow 7; train on fewer rows"
    ):
        list(trainer_for(Algorithm.K_NEAREST).search(rows, rows.x, candidates(Algorithm.K_NEAREST), RUN))


def test_more_neighbours_than_rows_are_all_rows_but_one():
    table = activations(count=30)
    pipeline = fitted(table, Algorithm.K_NEAREST, {"k": 500, "weights": "distance", "metric": "cosine"}, Pooling.AVG)
    own = pipeline.probabilities(table.avg, table.max)
    assert convert(pipeline, table, metadata_of(table, pipeline), own.astype(np.float32))[1].decisions_changed == 0


def test_perceptron_computes_what_scikit_learn_does():
    _, rows = rows_of(activations(classes=3))
    model = MLPClassifier((8, 8), max_iter=3, random_state=0)
    for _ in range(3):
        model.partial_fit(rows.x, rows.y, classes=[0, 1, 2])
    scores = MlpFit.of(model, 3).scores(rows.x)
    raised = np.exp(scores - scores.max(axis=1, keepdims=True))
    assert raised / raised.sum(axis=1, keepdims=True) == pytest.approx(model.predict_proba(rows.x), abs=1e-5)


def test_perceptron_keeps_its_best_epoch():
    _, rows = rows_of(activations(count=300))
    params = candidates(Algorithm.MLP, {"max_iter": 60, "learning_rate": 0.05, "alpha": 0.0, "units": 32})[0]
    assert trainer_for(Algorithm.MLP).fit(rows, params, RUN).epochs < 50


def test_perceptron_that_diverges_says_what_to_do():
    _, rows = rows_of(activations(count=60))
    params = dict(candidates(Algorithm.MLP)[0])
    huge = Rows(np.sign(rows.x) * np.float32(3e38), rows.y, rows.weight, rows.groups, 2)
    with np.errstate(all="ignore"), pytest.raises(NotTrainable, match="smaller learning rate"):
        trainer_for(Algorithm.MLP).fit(huge, params, RUN)


def test_learning_rate_on_a_cosine_trains_another_network():
    _, rows = rows_of(activations(count=300))
    one = PARAMS[Algorithm.KERAS_NETWORK] | {"batch_norm": "yes", "layers": 1}
    plain, cosine = (
        trainer_for(Algorithm.KERAS_NETWORK).fit(
            rows, candidates(Algorithm.KERAS_NETWORK, one | {"schedule": schedule})[0], RUN
        )
        for schedule in ("constant", "cosine")
    )
    assert not np.array_equal(plain.scores(rows.x), cosine.scores(rows.x))


def test_rate_falls_where_the_loss_stays():
    class Optimizer:
        learning_rate = 1.0

    class Model:
        optimizer = Optimizer()

    plateau = Plateau(1.0, patience=2)
    plateau.set_model(Model())
    rates = []
    for loss in (3.0, 2.0, 2.0, 2.5, 2.0, 1.0):
        plateau.on_epoch_end(0, {"val_loss": loss})
        rates.append(Model.optimizer.learning_rate)
    assert rates == pytest.approx([1.0, 1.0, 1.0, 0.3, 0.3, 0.3])


@pytest.mark.parametrize("algorithm", [Algorithm.MLP, Algorithm.KERAS_NETWORK])
def test_too_few_subjects_to_stop_early_are_named(algorithm):
    table = activations(count=60, groups=np.zeros(60))
    _, rows = rows_of(table)
    with pytest.raises(NotTrainable, match="early stopping"):
        trainer_for(algorithm).fit(rows, candidates(algorithm)[0], RUN)


@pytest.mark.parametrize("algorithm", Algorithm)
def test_every_algorithm_and_parameter_is_documented(algorithm):
    page = (Path(__file__).parents[3] / "docs/algorithms.md").read_text()
    _, parameters = page.split("## Parameters")
    rows = [line for line in parameters.splitlines() if line.startswith("|")]
    for name in ALL_PARAMS[algorithm]:
        assert any(f"`{name}`" in row and algorithm.value in row for row in rows), name
    assert f"| `{algorithm.value}` |" in page
