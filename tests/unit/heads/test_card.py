"""The model card is valid Hugging Face front matter and says what the report says."""

import json
from importlib.resources import files

import yaml

from app.heads.card import model_card
from app.heads.trainers import train


def test_card_is_written_from_the_stored_report(logistic):
    card = model_card(json.loads(json.dumps(logistic.report)))
    front, body = card.removeprefix("---\n").split("\n---\n", 1)
    fields = yaml.safe_load(front)
    assert fields["pipeline_tag"] == "image-classification"
    result = fields["model-index"][0]["results"][0]
    assert result["metrics"][0]["value"] == round(logistic.report["out_of_fold"]["auc"], 4)
    assert result["dataset"]["type"] == logistic.metadata.training_digest
    for said in ("**loaded**", "densenet121-test", "80 subjects", "| empty |", "| loaded |"):
        assert said in body


def test_card_without_subjects_says_so(make_table, make_recipe):
    card = model_card(train(make_table(groups=None), make_recipe()).report)
    assert "no subjects were given" in card
    assert "rows resampled" in card


def test_names_cannot_break_out_of_the_front_matter(logistic):
    report = logistic.report | {"task": 'x"\n---\nlicense: mit # <script>'}
    front = model_card(report).removeprefix("---\n").split("\n---\n", 1)[0]
    assert yaml.safe_load(front)["license"] == "other"


def test_card_tells_contract_calibration_limits_and_intervals(table, make_recipe):
    report = train(table, make_recipe()).report
    card = model_card(report | {"dataset": {"name": "gates@3", "digest": "d" * 64}})
    for said in ("## Intended use", report["contract"]["sentence"], "## Calibration", "## Limits", "Dataset gates@3."):
        assert said in card
    bounds = report["out_of_fold"]["per_class"]["loaded"]["intervals"]["recall"]
    assert f"({bounds['low']:.3f}-{bounds['high']:.3f})" in card
    assert "No test row was scored yet" in card


def test_card_tells_what_test_rows_said_and_how_often_they_were_asked(table, make_recipe):
    report = train(table, make_recipe()).report
    test = {
        "dataset": "gates@3", "digest": "d" * 64, "consultations": 4, "at": "2026-11-21", "author": "x",
        "figures": report["out_of_fold"],
    }  # fmt: skip
    card = model_card(report | {"tests": [test]})
    assert "## Test rows of gates@3" in card
    assert "4 heads have been scored on them" in card
    front = yaml.safe_load(card.removeprefix("---\n").split("\n---\n", 1)[0])
    assert [one["dataset"]["split"] for one in front["model-index"][0]["results"]] == ["train, out of fold", "test"]


def test_card_of_an_earlier_version_is_still_written():
    """It stored no intervals of what it measured in each class."""
    report = json.loads(files("app.heads.starters").joinpath("pneumonia.json").read_text())
    said = report["out_of_fold"]["per_class"]["pneumonia"]
    for one in report["out_of_fold"]["per_class"].values():
        del one["intervals"]
    names = ("precision", "recall", "f1", "false_positive_rate", "false_negative_rate", "support")
    figures = " | ".join(str(said[name]) if name == "support" else f"{said[name]:.3f}" for name in names)
    assert f"| pneumonia | {figures} |" in model_card(report)
