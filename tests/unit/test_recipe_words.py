"""What `penumbra train` makes of its words."""

import json
from pathlib import Path
from typing import Any

import pytest

from app.cli import recipes as words
from app.errors import InvalidInput
from app.heads.recipe import HeadRecipe


def spaces(
    algorithms: list[str], *params: str, poolings: tuple[str, ...] = ("both",), ensemble: str | None = None
) -> Any:
    return words.spaces(algorithms, poolings, params, ensemble=ensemble)


def test_values_are_a_grid_and_two_dots_a_range() -> None:
    found = spaces(["rbf-svm"], "C=1,10", "gamma=0.1..1")[0]["params"]
    assert found == {"C": [1, 10], "gamma": {"low": 0.1, "high": 1, "log": False}}


def test_a_range_of_two_decades_is_drawn_by_magnitude() -> None:
    assert spaces(["rbf-svm"], "C=1e-3..10")[0]["params"]["C"] == {"low": 1e-3, "high": 10, "log": True}


def test_a_parameter_goes_to_the_algorithms_that_have_it() -> None:
    found = spaces(["rbf-svm", "k-nearest-neighbours", "linear-svm"], "C=1", "linear-svm.C=0.01", "k=3")
    assert [one["params"] for one in found] == [{"C": [1]}, {"k": [3]}, {"C": [0.01]}]


def test_poolings_are_searched_together_and_joined_apart() -> None:
    together = spaces(["rbf-svm"], poolings=("avg", "max"))
    apart = spaces(["rbf-svm"], poolings=("avg", "max"), ensemble="average")
    assert [one["pooling"] for one in together] == [["avg", "max"]]
    assert [one["pooling"] for one in apart] == [["avg"], ["max"]]
    assert len(HeadRecipe.from_json({"spaces": apart, "ensemble": "average"}).spaces) == 2


def test_words_are_words() -> None:
    assert spaces(["logistic-regression"], "penalty=l1,l2")[0]["params"] == {"penalty": ["l1", "l2"]}


@pytest.mark.parametrize(
    ("algorithms", "param", "says"),
    [
        (["astrology"], "C=1", "Unknown algorithm 'astrology'"),
        (["rbf-svm"], "C", "give NAME=VALUE"),
        (["rbf-svm"], "C=", "give NAME=VALUE"),
        (["rbf-svm"], "depth=3", "no parameter depth; there are C, gamma"),
        (["rbf-svm"], "mlp.units=3", "mlp is not among the algorithms rbf-svm"),
        (["rbf-svm"], "C=low..high", "a range is LOW..HIGH"),
    ],
)
def test_words_that_mean_nothing_are_refused(algorithms: list[str], param: str, says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        spaces(algorithms, param)


def test_weights_of_slices() -> None:
    found = words.sample_weight(["source:simulator=0.2", "source:port=2", "image size:<512 px=0.5"])
    assert found == {"source": {"simulator": 0.2, "port": 2.0}, "image size": {"<512 px": 0.5}}


@pytest.mark.parametrize("text", ["simulator=0.2", "source:simulator", "source:simulator=much"])
def test_weights_that_name_no_slice_are_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="SLICE:VALUE=WEIGHT"):
        words.sample_weight([text])


def test_a_report_is_read_as_its_recipe(tmp_path: Path) -> None:
    recipe = HeadRecipe(seed=3).to_json()
    for name, content in (("report", {"recipe": recipe, "rows": 10}), ("recipe", recipe)):
        file = tmp_path / f"{name}.json"
        file.write_text(json.dumps(content))
        assert HeadRecipe.from_json(words.from_file(file)).seed == 3


@pytest.mark.parametrize("content", ["nothing", "[]", "3"])
def test_a_file_without_a_recipe_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "recipe.json"
    file.write_text(content)
    with pytest.raises(InvalidInput, match="recipe"):
        words.from_file(file)
