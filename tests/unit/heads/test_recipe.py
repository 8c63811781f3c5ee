"""A recipe is checked before a job is queued."""

import pytest

from app.errors import InvalidInput
from app.heads.algorithms import PARAMS, Algorithm, Range, Space
from app.heads.pooling import Pooling
from app.heads.recipe import MAX_CANDIDATES, Combination, HeadRecipe, Method, Search

TPE = {"method": "tpe", "trials": 5}


@pytest.mark.parametrize("algorithm", Algorithm)
def test_recipe_round_trips_as_json(algorithm):
    recipe = HeadRecipe.single(algorithm, class_weight={"loaded": 2.0}, seed=3)
    assert HeadRecipe.from_json(recipe.to_json()) == recipe


def test_recipe_of_many_spaces_round_trips_as_json():
    recipe = HeadRecipe(
        spaces=(
            Space(Algorithm.RBF_SVM, (Pooling.AVG, Pooling.MAX), {"C": {"low": 0.1, "high": 10, "log": True}}),
            Space(Algorithm.K_NEAREST, (Pooling.BOTH,), {"metric": "cosine", "k": [3, 5]}),
        ),
        search=Search(Method.TPE, trials=20, seconds=60.0),
        ensemble=Combination.STACKING,
        sampling="balanced",
        sample_weight={"source": {"simulator": 0.2}},
        augmentation="soft",
        calibration="isotonic",
        prevalence=0.02,
    )
    assert HeadRecipe.from_json(recipe.to_json()) == recipe


def test_one_algorithm_is_short_for_one_space():
    short = HeadRecipe.from_json({"algorithm": "rbf-svm", "pooling": ["avg", "max"], "params": {"C": [1, 5]}})
    assert short.spaces == (Space(Algorithm.RBF_SVM, (Pooling.AVG, Pooling.MAX), {"C": [1, 5]}),)
    assert HeadRecipe.from_json({}).spaces == (Space(),)


def test_lists_are_a_grid_in_the_order_given():
    recipe = HeadRecipe.single(Algorithm.RBF_SVM, params={"C": [1, 5], "gamma": [0.1, 2.0]})
    chosen = [(one.params["C"], one.params["gamma"]) for one in recipe.candidates()]
    assert chosen == [(1, 0.1), (1, 2.0), (5, 0.1), (5, 2.0)]


def test_candidates_that_two_spaces_share_are_tried_once():
    spaces = (Space(params={"C": [0.1, 1.0]}), Space(params={"C": [1.0, 2.0]}))
    assert [one.params["C"] for one in HeadRecipe(spaces=spaces).candidates()] == [0.1, 1.0, 2.0]


def test_a_grid_stops_at_the_trials_asked_for():
    assert len(HeadRecipe(search=Search(trials=3)).candidates()) == 3


@pytest.mark.parametrize("algorithm", Algorithm)
def test_every_default_is_within_its_own_range(algorithm):
    for name, param in PARAMS[algorithm].items():
        assert param.read(name, list(param.default)) == param.default
        if param.search is not None:
            assert param.read(name, param.search) == param.search


def test_a_space_holds_what_comes_of_it_and_nothing_else():
    narrow = Space(params={"C": Range(0.1, 1.0)})
    wide = Space(pooling=(Pooling.AVG, Pooling.BOTH), params={"C": [0.5, 5.0]})
    for candidate in wide.grid():
        assert wide.holds(candidate)
        assert narrow.holds(candidate) == (candidate.pooling is Pooling.BOTH and candidate.params["C"] == 0.5)


@pytest.mark.parametrize(
    "raw",
    [
        {"algorithm": "random"},
        {"pooling": "min"},
        {"pooling": []},
        {"pooling": ["avg", "avg"]},
        {"params": {"c": 1}},
        {"params": {"C": 0}},
        {"params": {"C": "1"}},
        {"params": {"C": float("nan")}},
        {"params": {"C": True}},
        {"params": {"C": []}},
        {"params": {"C": {"low": 0.1}}},
        {"params": {"C": {"low": 1, "high": 0.1}}, "search": TPE},
        {"params": {"l1_ratio": {"low": 0, "high": 1, "log": True}}, "search": TPE},
        {"params": {"C": {"low": 0.1, "high": 1}}},  # a range, and a grid
        {"params": {"penalty": "l3"}},
        {"params": {"penalty": {"low": 0, "high": 1}}, "search": TPE},
        {"params": {"max_iter": 10.5}},
        {"params": {"C": [1e-3] * (MAX_CANDIDATES + 1)}},
        {"params": 3},
        {"spaces": []},
        {"spaces": [{}] * 33},
        {"spaces": [{"colour": "red"}]},
        {"spaces": [{}], "algorithm": "rbf-svm"},
        {"search": {"method": "luck"}},
        {"search": {"method": "random"}},
        {"search": {"trials": 0}},
        {"search": {"seconds": 0}},
        {"search": 3},
        {"ensemble": "vote"},
        {"ensemble": "average"},
        {"sampling": "fair"},
        {"augmentation": "wild"},
        {"calibration": "magic"},
        {"prevalence": 0.0},
        {"prevalence": 1},
        {"folds": 1},
        {"folds": 21},
        {"folds": "many"},
        {"seed": -1},
        {"class_weight": "heavy"},
        {"class_weight": {"loaded": 0}},
        {"class_weight": {"loaded": "much"}},
        {"sample_weight": {"source": 2}},
        {"sample_weight": {"source": {"port": -1}}},
        {"policy": "guess"},
        {"colour": "red"},
    ],
)
def test_what_cannot_be_trained_is_refused(raw):
    with pytest.raises(InvalidInput):
        HeadRecipe.from_json(raw)
