"""A head that leaves doubtful scans to a person says `review`."""

from dataclasses import replace

import numpy as np
import pytest

from app.errors import HeadRefused
from app.heads.artifact import GoldenRows, HeadMetadata
from app.heads.parity import measure_parity
from app.heads.policy_words import ThresholdPolicy
from app.heads.scoring import Head, decide, edge_distance
from app.heads.trainers import train


@pytest.fixture(scope="module")
def cautious(make_table, make_recipe):
    policy = ThresholdPolicy.parse("recall>=0.9@0.95")
    return train(make_table(signal=0.7), make_recipe(policy=policy, abstain="false-alarms<=0.1@0.9", prevalence=0.2))


def test_the_artifact_decides_as_its_contract_says(cautious, make_table):
    table, head = make_table(signal=0.7), Head.load(cautious.artifact)
    metadata, contract = head.metadata, cautious.report["contract"]
    assert 0 < metadata.review_from < metadata.threshold < 1
    assert metadata.edges == (metadata.review_from, metadata.threshold)
    assert "recall>=0.9@0.95" in metadata.policy
    decided = np.array(decide(metadata, cautious.evidence.probabilities))
    assert set(decided) == {"empty", "review", "loaded"}
    assert (decided == "review").sum() == contract["review"]["rows"]
    assert (decided[table.is_positive] == "empty").sum() == contract["measured"]["recall"]["misses"]
    assert (decided[~table.is_positive] == "loaded").sum() == contract["measured"]["false_alarms"]["misses"]
    assert "review" in head.decide(head.probabilities(table.avg, table.max))
    assert head.self_check() < 1e-4


def test_the_ends_of_the_band_belong_to_the_upper_side(cautious):
    metadata = replace(cautious.metadata, review_from=0.25, threshold=0.75)
    positive = np.array([0.0, 0.2499, 0.25, 0.5, 0.7499, 0.75, 1.0])
    probabilities = np.column_stack([1 - positive, positive])
    assert decide(metadata, probabilities) == ["empty"] * 2 + ["review"] * 3 + ["loaded"] * 2
    assert edge_distance(metadata, probabilities) == pytest.approx([0.25, 0.0001, 0, 0.25, 0.0001, 0, 0.25])


def test_three_classes_are_reviewed_by_the_positive_one_alone(cautious):
    metadata = replace(
        cautious.metadata, classes=("a", "b", "c"), positive="b", review_from=0.2, threshold=0.4,
    )  # fmt: skip
    probabilities = np.array([[0.7, 0.1, 0.2], [0.1, 0.1, 0.8], [0.7, 0.25, 0.05], [0.5, 0.45, 0.05]])
    assert decide(metadata, probabilities) == ["a", "c", "review", "b"]


@pytest.mark.parametrize(
    "change",
    [{"review_from": 0.9, "threshold": 0.5}, {"review_from": 0.5, "threshold": 0.5}, {"review_from": -0.1},
     {"classes": ("review", "loaded")}],
)  # fmt: skip
def test_a_band_that_is_none_is_refused(cautious, change):
    with pytest.raises(HeadRefused, match="not usable"):
        replace(cautious.metadata, **change)


def test_metadata_of_before_bands_reads_as_without_one(cautious):
    text = replace(cautious.metadata, review_from=None).to_json().replace('"review_from": null, ', "")
    assert "review_from" not in text
    assert HeadMetadata.from_json(text).review_from is None
    assert HeadMetadata.from_json(cautious.metadata.to_json()) == cautious.metadata


def test_a_flip_at_the_lower_end_is_seen(cautious, make_table):
    table, head = make_table(signal=0.7), Head.load(cautious.artifact)
    scored = head.probabilities(table.avg, table.max).astype(np.float64)
    moved = scored[:, 1] - head.metadata.review_from
    near = np.flatnonzero(moved > 0)[np.argmin(moved[moved > 0])]

    def altered(index):
        own = scored[index].copy()
        own[index == near] = [1 - (head.metadata.review_from - 0.01), head.metadata.review_from - 0.01]
        return own

    with pytest.raises(HeadRefused, match="changes 1 of"):
        measure_parity(head, table.avg, table.max, altered)


def test_golden_rows_that_leave_the_band_fail_the_self_check(cautious):
    head = Head.load(cautious.artifact)
    golden = head._golden
    turned = tuple("empty" if word == "review" else word for word in golden.decisions)
    assert turned != golden.decisions
    broken = Head(head._session, head.metadata, GoldenRows(golden.avg, golden.max, golden.probabilities, turned))
    with pytest.raises(HeadRefused, match="decisions changed"):
        broken.self_check()
