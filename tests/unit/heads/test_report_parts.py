"""Slices, worst errors, neighbours and the learning curve of a report."""

import numpy as np
import pytest

from app.errors import Cancelled
from app.heads.algorithms import Algorithm
from app.heads.evidence import Evidence
from app.heads.report.mistakes import nearest, worst
from app.heads.report.slices import OTHERS, UNKNOWN, Rows, slices
from app.heads.trainers import train
from app.heads.trainers.base import Run
from app.heads.trainers.learning_curve import learning_curve, nested
from app.heads.trainers.search import search

RUN = Run(0, lambda: None)


def answered(n=400, seed=0):
    rng = np.random.default_rng(seed)
    positive = np.arange(n) % 2 == 1
    scores = 1 / (1 + np.exp(-rng.normal(3.0 * positive - 1.5)))
    return Rows(positive, scores, (scores >= 0.5).astype(np.int64))


def test_a_slice_has_the_figures_of_its_rows_alone():
    rows = answered()
    source = np.where(np.arange(400) < 100, "gate 1", "gate 2")
    part = next(one for one in slices({"source": source}, rows)["by"]["source"] if one["value"] == "gate 1")
    own = rows.part(np.arange(400) < 100)
    assert (part["rows"], part["positive_rows"]) == (100, 50)
    assert part["recall"] == own.chosen[own.positive].mean()
    assert part["false_alarm_rate"] == own.chosen[~own.positive].mean()


def test_a_slice_that_is_worse_is_marked_and_alike_ones_are_not():
    rows = answered()
    source = np.array([f"gate {i // 100}" for i in range(400)])
    assert not any(part["differs"] for part in slices({"source": source}, rows)["by"]["source"])
    blind = rows.chosen.copy()
    blind[300:] = 0
    marked = {
        part["value"]: part["differs"]
        for part in slices({"source": source}, Rows(rows.positive, rows.scores, blind))["by"]["source"]
    }
    assert "recall" in marked["gate 3"]


def test_rare_values_are_put_together_and_absent_ones_are_named():
    by = {"subject": [None, ""] + [f"s{i}" for i in range(398)]}
    found = {part["value"]: part["rows"] for part in slices(by, answered())["by"]["subject"]}
    assert len(found) == 20
    assert found[UNKNOWN] == 2
    assert found[OTHERS] == 400 - 2 - 18


def test_a_slice_of_one_side_has_no_auc():
    rows = answered()
    found = slices({"side": np.where(rows.positive, "loaded ones", "empty ones")}, rows)["by"]["side"]
    assert [part["auc"] for part in found] == [None, None]
    assert {part["recall"] is None for part in found} == {True, False}


def evidence(y, p):
    return Evidence(
        classes=("empty", "loaded"),
        image_ids=tuple(f"image-{row}" for row in range(len(y))),
        region_ids=np.arange(len(y)) + 10,
        y=np.array(y),
        fold_of=np.arange(len(y)) % 2,
        probabilities=np.column_stack([1 - np.array(p), p]).astype(np.float32),
    )


def test_worst_errors_are_the_surest_of_each_class():
    found = worst(
        evidence([0, 0, 0, 1, 1, 1], [0.8, 0.99, 0.2, 0.4, 0.01, 0.9]), np.array([1, 1, 0, 0, 0, 1]), of_each_class=1
    )
    assert [(one["image_id"], one["given"], one["decided"]) for one in found] == [
        ("image-1", "empty", "loaded"),
        ("image-4", "loaded", "empty"),
    ]
    assert found[0]["probabilities"] == {"empty": pytest.approx(0.01), "loaded": pytest.approx(0.99)}


def test_rows_left_to_review_are_no_errors():
    assert worst(evidence([0, 1], [0.6, 0.4]), np.array([-1, -1])) == []


def test_neighbours_are_of_other_subjects():
    x = np.array([[1, 0], [1, 0.01], [1, 0.2], [0, 1]], dtype=np.float32)
    found, cosine = nearest(x, np.array([0, 0, 1, 2]), np.array([0]), limit=3)
    assert found[0, :2].tolist() == [2, 3]
    assert found[0, 2] == -1
    assert cosine[0, 0] == pytest.approx(1 / np.sqrt(1.04))


def test_nested_parts_hold_each_other_and_every_class(make_table):
    table = make_table(subjects=200)
    train = np.arange(len(table.y))
    before: set[str] = set()
    for share in (0.1, 0.2, 0.4, 0.7, 1.0):
        part = nested(table, train, share, seed=3)
        subjects = set(table.groups[part].tolist())
        assert before <= subjects
        assert len(subjects) == pytest.approx(200 * share, abs=2)
        assert len(part) == 3 * len(subjects)  # a subject comes with all its rows
        assert np.bincount(table.y[part]).min() >= 0.4 * len(part)
        before = subjects


@pytest.fixture(scope="module")
def searched(make_table, make_recipe):
    table, recipe = make_table(subjects=300, signal=0.4), make_recipe()
    return table, recipe, search(table, recipe, RUN, lambda *_: None)


def test_learning_curve_rises_to_what_the_search_has_measured(searched):
    table, recipe, found = searched
    curve = learning_curve(table, recipe, found, RUN)
    assert [point["share"] for point in curve["points"]] == [0.1, 0.2, 0.4, 0.7, 1.0]
    assert curve["points"][-1]["fold_auc"] == list(found.winners[0].tried.fold_auc)
    assert curve["points"][0]["auc"] < curve["points"][-1]["auc"] - 0.01
    assert all(len(point["fold_auc"]) == 3 for point in curve["points"])


def test_learning_curve_without_time_says_what_it_left_out(searched):
    curve = learning_curve(*searched, RUN, limit_seconds=-1)
    assert [point["share"] for point in curve["points"]] == [1.0]
    assert len(curve["notes"]) == 4
    assert "within" in curve["notes"][0]


def test_learning_curve_leaves_out_sizes_too_small_to_learn_from(make_table, make_recipe):
    table, recipe = make_table(subjects=40), make_recipe()
    curve = learning_curve(table, recipe, search(table, recipe, RUN, lambda *_: None), RUN)
    assert "10 % left out: fewer than 10 subjects of a class" in curve["notes"]


def test_learning_curve_hears_of_a_cancellation(searched):
    def cancelled():
        raise Cancelled("stop")

    with pytest.raises(Cancelled):
        learning_curve(*searched, Run(0, cancelled))


def test_report_has_every_part(table, make_recipe):
    report = train(table, make_recipe()).report
    assert len(report["curves"]["roc"]["recall"]) <= 200
    assert any(line["threshold"] == report["threshold"] for line in report["sweep"])
    assert report["reliability"]["brier"] == report["out_of_fold"]["brier"]
    assert sum(map(sum, report["histogram"]["counts"].values())) == report["rows"]
    assert report["contract"]["sentence"]
    assert report["algorithm"] == Algorithm.LOGISTIC_REGRESSION
    assert report["grid"][report["chosen"][0]]["params"] == report["params"]


def test_errors_name_alike_rows_of_other_subjects(make_table, make_recipe):
    table = make_table(signal=0.3)
    owner = dict(zip(table.image_ids, table.groups, strict=True))
    for one in train(table, make_recipe()).report["worst"]:
        assert len(one["alike"]) == 3
        assert owner[one["image_id"]] not in [owner[other["image_id"]] for other in one["alike"]]
