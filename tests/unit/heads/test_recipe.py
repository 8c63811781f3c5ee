"""A recipe is checked before a job is queued."""

import pytest

from app.errors import InvalidInput
from app.heads.recipe import PARAMS, Algorithm, HeadRecipe


@pytest.mark.parametrize("algorithm", Algorithm)
def test_recipe_round_trips_as_json(algorithm):
    recipe = HeadRecipe(algorithm=algorithm, class_weight={"loaded": 2.0}, seed=3)
    assert HeadRecipe.from_json(recipe.to_json()) == recipe


def test_lists_are_a_grid_in_the_order_given():
    recipe = HeadRecipe(algorithm=Algorithm.RBF_SVM, params={"C": [1, 5], "gamma": [0.1, 2.0]})
    assert [(one["C"], one["gamma"]) for one in recipe.candidates()] == [(1, 0.1), (1, 2.0), (5, 0.1), (5, 2.0)]


@pytest.mark.parametrize("algorithm", Algorithm)
def test_every_default_is_within_its_own_range(algorithm):
    for name, param in PARAMS[algorithm].items():
        assert param.read(name, list(param.default)) == param.default


@pytest.mark.parametrize(
    "raw",
    [
        {"algorithm": "random"},
        {"pooling": "min"},
        {"params": {"c": 1}},
        {"params": {"C": 0}},
        {"params": {"C": "1"}},
        {"params": {"C": float("nan")}},
        {"params": {"C": True}},
        {"params": {"C": []}},
        {"params": {"max_iter": 10.5}},
        {"params": {"C": [1e-3] * 201}},
        {"params": 3},
        {"folds": 1},
        {"folds": 21},
        {"folds": "many"},
        {"seed": -1},
        {"class_weight": "heavy"},
        {"class_weight": {"loaded": 0}},
        {"class_weight": {"loaded": "much"}},
        {"policy": "guess"},
        {"colour": "red"},
    ],
)
def test_what_cannot_be_trained_is_refused(raw):
    with pytest.raises(InvalidInput):
        HeadRecipe.from_json(raw)
