"""`penumbra backbone pretrain`: what it is asked for is what the process that trains is ordered to do."""

import json

import pytest
from typer.testing import CliRunner

from app.cli import pretraining
from app.cli.application import app
from app.features.pretraining.recipe import Phase, PretrainingRecipe

REPORT = {"images": 4, "seconds": 6, "weights_digest": "0" * 64}


@pytest.fixture
def ordered(monkeypatch):
    """What `run` was called with, where it would start the process."""
    seen = []

    def run(order, backend, on_stage):
        on_stage({"stage": "scenes", "step": 1, "of": 2})
        seen.append((order, backend))
        return REPORT

    monkeypatch.setattr(pretraining, "run", run)
    return seen


def pretrain(*words):
    return CliRunner().invoke(app, ["backbone", "pretrain", *map(str, words)])


def test_every_option_reaches_the_recipe(ordered, tmp_path):
    weights = tmp_path / "teacher.npz"
    weights.touch()
    ended = pretrain(
        tmp_path / "out", "--films", tmp_path / "a", "--films", tmp_path / "b", "--teacher", weights,
        "--from", "densenet121-xray", "--phase", "64x3", "--phase", "96x2", "--films-a-step", 5, "--views", 4,
        "--pairs", 3, "--scenes", 70, "--known-scanners", "--keep-scenes", tmp_path / "kept", "--distillation", 0.5,
        "--truth", 0.25, "--invariance", 0.75, "--nuisance", 0.125, "--rate", 1e-3, "--stored-statistics",
        "--precision", "fp32", "--backend", "tensorflow", "--seed", 9, "--json",
    )  # fmt: skip
    assert ended.exit_code == 0, ended.output
    assert json.loads(ended.stdout) == REPORT
    ((order, backend),) = ordered
    assert PretrainingRecipe.from_json(order["recipe"]) == PretrainingRecipe(
        phases=(Phase(64, 3), Phase(96, 2)), films=5, views=4, pairs=3, scenes=70, random_scanners=False,
        distillation=0.5, truth=0.25, invariance=0.75, nuisance=0.125, rate=1e-3, batch_statistics=False,
        precision="fp32", seed=9,
    )  # fmt: skip
    assert order["films"] == [tmp_path / "a", tmp_path / "b"]
    assert (order["out"], order["teacher"], order["scenes"]) == (tmp_path / "out", weights, tmp_path / "kept")
    assert order["start"].name.startswith("penumbra_densenet121_")
    assert backend == "tensorflow"


def test_what_is_not_asked_for_is_as_the_recipe_has_it(ordered, tmp_path):
    ended = pretrain(tmp_path / "out")
    assert ended.exit_code == 0, ended.output
    ((order, _),) = ordered
    assert PretrainingRecipe.from_json(order["recipe"]) == PretrainingRecipe()
    assert (order["films"], order["teacher"], order["start"], order["scenes"]) == ([], None, None, None)
    assert "4 scans seen in 0.1 minutes" in ended.output
    assert "features add NAME --backbone densenet121 --weights" in ended.output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--phase", "112"), "say SIDExSTEPS"),
        (("--views", "-1"), "views is -1; give 0 to 512"),
        (("--teacher", "absent.npz"), "There is no file absent.npz"),
        (("--backend", "mxnet"), "There is no backend 'mxnet'; say auto, torch, tensorflow, jax"),
        (("--plot", "log.doc"), "ends in none of .png, .svg, .pdf"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_begins(ordered, tmp_path, words, said):
    ended = pretrain(tmp_path / "out", *words)
    assert ended.exit_code != 0
    assert said in f"{ended.output}{ended.exception}"
    assert ordered == []
