"""The model card is valid Hugging Face front matter and says what the report says."""

import json

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
