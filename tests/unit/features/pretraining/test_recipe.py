"""A recipe is refused before anything is simulated or loaded, with the remedy; its digest names all of it."""

import json
from dataclasses import replace

import pytest

from app.errors import ConfigurationError, InvalidInput
from app.features.pretraining.apart import choose_backend
from app.features.pretraining.recipe import Phase, PretrainingRecipe

GOOD = PretrainingRecipe()


@pytest.mark.parametrize(
    ("changes", "remedy"),
    [
        ({"rate": 1.0}, "give 1e-06 to 0.1"),
        ({"films": -1}, "give 0 to 512"),
        ({"phases": ()}, "at least one phase"),
        ({"phases": (Phase(112, 0),)}, "at least one phase"),
        ({"phases": (Phase(100, 5),)}, "multiple of 32"),
        ({"phases": (Phase(1024, 5),)}, "from 64 to 512"),
        ({"precision": "fp8"}, "bf16 or fp32"),
        ({"films": 0, "views": 0, "pairs": 0}, "teaches nothing"),
        ({"distillation": 0.0}, "name a teacher"),
        ({"pairs": 0}, "weigh it 0"),
        ({"films": 0, "distillation": 0.0, "truth": 0.0, "invariance": 0.0}, "weigh at least one"),
    ],
)
def test_a_recipe_that_cannot_teach_is_refused_with_the_remedy(changes, remedy):
    with pytest.raises(InvalidInput, match=remedy):
        replace(GOOD, **changes)


def test_a_recipe_survives_json():
    changed = replace(GOOD, phases=(Phase(64, 3), Phase(96, 2)), seed=7)
    assert PretrainingRecipe.from_json(json.loads(json.dumps(changed.to_json()))) == changed


def test_an_unknown_name_in_a_recipe_is_refused():
    with pytest.raises(InvalidInput, match="cannot be read"):
        PretrainingRecipe.from_json({"epochs": 3})


def test_the_digest_changes_with_any_part():
    assert replace(GOOD, invariance=0.2).digest != GOOD.digest == PretrainingRecipe().digest


@pytest.mark.parametrize("text", ["112", "x900", "112x", "112x9.5", "small"])
def test_a_text_that_is_no_phase_is_refused(text):
    with pytest.raises(InvalidInput, match="SIDExSTEPS"):
        Phase.parse(text)


def test_steps_belong_to_the_phases_in_order():
    recipe = replace(GOOD, phases=(Phase(64, 3), Phase(96, 2)))
    assert [recipe.phase_of(step).side for step in range(recipe.steps)] == [64, 64, 64, 96, 96]


def test_an_unknown_backend_is_refused():
    with pytest.raises(InvalidInput, match="torch, tensorflow, jax"):
        choose_backend("theano")


def test_a_backend_that_is_not_installed_is_refused_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setattr("app.features.pretraining.apart.importlib.util.find_spec", lambda _: None)
    with pytest.raises(ConfigurationError, match="pip install jax"):
        choose_backend("jax")


def test_auto_takes_tensorflow_where_torch_is_not_installed(monkeypatch):
    found = "app.features.pretraining.apart.importlib.util.find_spec"
    monkeypatch.setattr(found, lambda name: name if name == "tensorflow" else None)
    assert choose_backend("auto") == "tensorflow"
    monkeypatch.setattr(found, lambda name: name)
    assert choose_backend("auto") == "torch"
