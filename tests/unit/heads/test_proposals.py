"""Grid, random draws and TPE: what is tried, in which order, within which bounds."""

import pytest

from app.heads.algorithms import PARAMS, Algorithm, Candidate, Range, Space
from app.heads.pooling import Pooling
from app.heads.recipe import Combination, HeadRecipe, Method, Search
from app.heads.trainers.proposals import proposals_for

EVERYTHING = tuple(Space(algorithm, tuple(Pooling)) for algorithm in Algorithm)


def recipe(method: Method, trials: int, spaces=EVERYTHING, **changes) -> HeadRecipe:
    return HeadRecipe(spaces=spaces, search=Search(method, trials=trials), **changes)


def asked(recipe: HeadRecipe, score=lambda candidate: 0.5) -> list[Candidate]:
    """Every candidate proposed, each told what `score` says of it."""
    proposals, found = proposals_for(recipe), []
    while batch := proposals.ask(7):
        for candidate in batch:
            proposals.tell(candidate, score(candidate))
        found += batch
    return found


@pytest.mark.parametrize("method", [Method.RANDOM, Method.TPE])
def test_every_proposal_is_within_its_space(method):
    found = asked(recipe(method, 64))
    assert {one.algorithm for one in found} == set(Algorithm)
    for one in found:
        for name, param in PARAMS[one.algorithm].items():
            value = one.params[name]
            assert param.read(name, value) == (value,)
            if param.search is not None:
                assert param.search.low <= value <= param.search.high


@pytest.mark.parametrize("method", [Method.RANDOM, Method.TPE])
def test_the_same_seed_proposes_the_same(method):
    once, again, other = (asked(recipe(method, 24, seed=seed)) for seed in (1, 1, 2))
    assert once == again != other


@pytest.mark.parametrize("method", [Method.RANDOM, Method.TPE])
def test_a_proposal_has_the_same_key_after_a_detour_through_json(method):
    for one in asked(recipe(method, 16)):
        assert Candidate.from_json(one.to_json()).key == one.key


def test_random_draws_differ_and_end_where_the_space_does():
    few = Space(params={"C": [0.1, 1.0], "max_iter": 10, "penalty": "l2", "l1_ratio": 0.5})
    assert {one.params["C"] for one in asked(recipe(Method.RANDOM, 50, (few,)))} == {0.1, 1.0}


def test_an_ensemble_draws_from_each_space_alike():
    spaces = (Space(Algorithm.RBF_SVM), Space(Algorithm.LOGISTIC_REGRESSION))
    for method in (Method.RANDOM, Method.TPE):
        found = asked(recipe(method, 12, spaces, ensemble=Combination.AVERAGE))
        assert sum(one.algorithm is Algorithm.RBF_SVM for one in found) == 6


def test_tpe_learns_where_random_draws_cannot():
    """Of 60 draws of C over six decades, TPE spends far more near the optimum than chance would."""
    space = (Space(params={"C": Range(1e-5, 10.0, log=True), "l1_ratio": 0.5}),)

    def score(candidate: Candidate) -> float:
        return 1.0 if 1e-3 < candidate.params["C"] < 1e-2 else 0.5

    shares = [
        sum(score(one) == 1.0 for one in asked(recipe(method, 60, space), score)) / 60
        for method in (Method.RANDOM, Method.TPE)
    ]
    assert shares[1] > 2 * shares[0]
