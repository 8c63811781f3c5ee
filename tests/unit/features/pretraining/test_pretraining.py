"""The training itself, on a network with one layer a block: what it learns, where it goes on, what it refuses."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from app.errors import InvalidInput, NotTrainable
from app.features.pretraining.batches import Material, batch
from app.features.pretraining.recipe import Phase, PretrainingRecipe

RECIPE = PretrainingRecipe(
    phases=(Phase(64, 4),), films=2, views=2, pairs=2, scenes=6, warmup=1, precision="fp32", rate=1e-3, seed=1
)


@pytest.fixture(autouse=True)
def shallow(monkeypatch):
    """One layer in each block: a hundredth of the work, and every kind of layer there is."""
    from app.features.pretraining import loop, network

    monkeypatch.setattr(network, "BLOCK_LAYERS", (1, 1, 1, 1))
    monkeypatch.setattr(loop, "EVERY_STEPS", 1)


def learner(material: Material, recipe: PretrainingRecipe, *, taught: bool = True) -> Any:
    import keras

    from app.features.pretraining.learner import Learner
    from app.features.pretraining.loop import prepare
    from app.features.pretraining.network import densenet121
    from app.features.pretraining.training import _spread

    keras.utils.set_random_seed(recipe.seed)
    teacher, student = densenet121() if taught else None, densenet121()
    made = Learner(student, teacher, _spread(teacher or student, material, recipe), recipe)
    prepare(made, batch(material, recipe, 0))
    return made


def fitted(material: Material, recipe: PretrainingRecipe, folder: Any, **options: Any) -> tuple[Any, list[Any]]:
    from app.features.pretraining.loop import Session, fit

    made = learner(material, recipe, **options)
    return made, fit(made, material, Session(folder, "key"))


def state(made: Any) -> list[np.ndarray]:
    from app.features.pretraining.learner import learned

    return [np.array(variable.numpy()) for variable in learned(made)]


def test_every_lesson_is_learned(material, tmp_path):
    recipe = replace(RECIPE, phases=(Phase(64, 40),), warmup=3, views=4, pairs=4)
    _, log = fitted(material, recipe, tmp_path)
    first, last = ({name: np.mean([point[name] for point in part]) for name in log[0]} for part in (log[:5], log[-10:]))
    assert [point["step"] for point in log] == list(range(1, 41))
    for part in ("map", "avg", "max", "presence", "mass", "family", "cells"):
        assert last[part] < first[part], part
    assert last["loss"] < 0.6 * first["loss"]


def test_nuisance_gets_smaller_against_load(material, tmp_path):
    alone = {"films": 0, "distillation": 0.0, "truth": 0.0, "invariance": 1.0}
    recipe = replace(RECIPE, phases=(Phase(64, 40),), views=4, pairs=4, rate=3e-3, **alone)
    _, log = fitted(Material(None, material.scenes), recipe, tmp_path, taught=False)
    ratios = [point["ratio"] for point in log]
    assert np.mean(ratios[-8:]) < np.mean(ratios[:8]) - 0.5


def test_the_teacher_stays_as_it_is(material, tmp_path):
    made = learner(material, RECIPE)
    before = [np.array(variable.numpy()) for variable in made.teacher.variables]
    from app.features.pretraining.loop import Session, fit

    fit(made, material, Session(tmp_path, "key"))
    for value, variable in zip(before, made.teacher.variables, strict=True):
        np.testing.assert_array_equal(value, variable.numpy())


def test_an_interrupted_training_ends_like_one_that_was_not(material, tmp_path, monkeypatch):
    from app.features.pretraining import loop
    from app.features.pretraining.loop import Session, fit

    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)
    for folder in ("whole", "cut"):
        (tmp_path / folder).mkdir()
    whole, log = fitted(material, RECIPE, tmp_path / "whole")

    class Cut(Exception):
        pass

    def stop(point: dict[str, Any]) -> None:
        if point["step"] == 3:
            raise Cut

    with pytest.raises(Cut):
        fit(learner(material, RECIPE), material, Session(tmp_path / "cut", "key", stop))
    rest, rest_log = fitted(material, RECIPE, tmp_path / "cut")
    assert [point["step"] for point in rest_log] == [1, 2, 3, 4]
    for a, b in zip(state(whole), state(rest), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    assert rest_log[-1]["loss"] == pytest.approx(log[-1]["loss"], rel=1e-3)


def test_a_checkpoint_of_another_training_is_not_gone_on_with(material, tmp_path):
    from app.features.pretraining.loop import Session, fit

    fitted(material, RECIPE, tmp_path)
    log = fit(learner(material, RECIPE), material, Session(tmp_path, "another key"))
    assert [point["step"] for point in log] == [1, 2, 3, 4]


def test_a_loss_that_is_no_number_ends_the_training_with_the_remedy(material, tmp_path):
    broken = learner(material, RECIPE)
    broken.student.get_layer("conv1_conv").kernel.assign(np.full((7, 7, 3, 64), np.nan, np.float32))
    from app.features.pretraining.loop import Session, fit

    with pytest.raises(NotTrainable, match="lower rate"):
        fit(broken, material, Session(tmp_path, "key"))


def test_truth_can_be_learned_without_a_teacher(material, tmp_path):
    recipe = replace(RECIPE, films=0, distillation=0.0)
    made, log = fitted(Material(None, material.scenes), recipe, tmp_path, taught=False)
    assert made.teacher is None
    assert log[-1]["map"] == 0.0 < log[-1]["presence"]


def test_with_stored_statistics_those_of_the_start_stay(material, tmp_path):
    for stored in (True, False):
        folder = tmp_path / str(stored)
        folder.mkdir()
        made, _ = fitted(material, replace(RECIPE, batch_statistics=not stored), folder)
        moved = np.abs(made.student.get_layer("bn").moving_mean.numpy()).max()
        assert bool(moved == 0) is stored


def test_decay_pulls_at_kernels_alone(material):
    made = learner(material, RECIPE)
    assert made.optimizer._use_weight_decay(made.student.get_layer("conv1_conv").kernel)
    assert not made.optimizer._use_weight_decay(made.student.get_layer("conv1_bn").gamma)


def test_the_rate_rises_and_falls(material):
    from app.features.pretraining.loop import rate_at

    recipe = replace(RECIPE, phases=(Phase(64, 100),), warmup=10, rate=1e-3)
    rates = [rate_at(recipe, step) for step in range(100)]
    assert rates[0] == pytest.approx(1e-4)
    assert max(rates) == pytest.approx(rates[10]) == pytest.approx(1e-3)
    assert rates[-1] < 2e-5


def test_an_order_that_contradicts_itself_is_refused(tmp_path):
    from app.features.pretraining.training import Order

    with pytest.raises(InvalidInput, match="--films"):
        Order(RECIPE, tmp_path, teacher=tmp_path).check()
    with pytest.raises(InvalidInput, match="name its weights"):
        Order(replace(RECIPE, films=0), tmp_path).check()


def test_a_training_leaves_weights_log_and_report(material, film_folder, scene_folder, tmp_path):
    import json

    from app.features.pretraining.plot import plot, read_log
    from app.features.pretraining.training import Order, train
    from app.features.weights.arrays import weights_digest

    recipe = replace(RECIPE, films=0, distillation=0.0, seed=3)
    told: list[dict[str, Any]] = []
    report = train(Order(recipe, tmp_path, (film_folder,)), told.append)
    with np.load(tmp_path / "weights.npz") as stored:
        arrays = {name: stored[name] for name in stored.files}
    assert report["weights_digest"] == weights_digest(arrays)
    assert "conv5_block1_2_conv/kernel" in arrays
    assert report == json.loads((tmp_path / "report.json").read_text())
    assert report["seen"]["scenes"] == {"views": 6, "pairs": 3, "seed": 3, "random_scanners": True}
    assert [point["step"] for point in read_log(tmp_path)] == [1, 2, 3, 4]
    assert {point["stage"] for point in told} == {"scenes", "training"}
    plot(read_log(tmp_path), "test", tmp_path / "curve.png")
    assert (tmp_path / "curve.png").stat().st_size > 5_000
