"""Policies in words of the field, and the review bands that they ask for."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import InvalidInput, NotTrainable
from app.heads.policies import judge
from app.heads.policy_words import Abstention, ThresholdPolicy

NAMES = {"classes": ("empty", "loaded"), "positive_class": "loaded"}
shares = st.floats(0.001, 0.999)


def told(policy, abstain=None, *, rows=2000, spread=1.0, seed=0, **more):
    rng = np.random.default_rng(seed)
    positive = rng.permutation(np.arange(rows) % 2 == 0)
    scores = 1 / (1 + np.exp(-rng.normal(2.0 * (positive - 0.5), spread)))
    return positive, scores, judge(ThresholdPolicy.parse(policy), abstain, positive, scores, **NAMES, **more)


@given(
    st.sampled_from(["recall", "recall(loaded)", "recall(two words)", "false-alarms"]),
    shares,
    st.none() | st.floats(0.5, 0.9999),
)
def test_promises_are_printed_as_they_were_read(metric, value, confidence):
    sign = "<=" if metric == "false-alarms" else ">="
    text = f"{metric}{sign}{value:.17f}" + ("" if confidence is None else f"@{confidence:.17f}")
    policy = ThresholdPolicy.parse(text)
    assert ThresholdPolicy.parse(str(policy)) == policy
    assert (policy.value, policy.confidence) == (float(f"{value:.17f}"), confidence and float(f"{confidence:.17f}"))


@given(st.floats(1e-6, 1e9), st.floats(1e-6, 1e9), st.none() | st.floats(1e-6, 1e9))
def test_costs_are_printed_as_they_were_read(miss, alarm, review):
    more = "" if review is None else f", review={review:.12f}"
    policy = ThresholdPolicy.parse(f"cost: miss={miss:.12f}, false-alarm={alarm:.12f}{more}")
    assert ThresholdPolicy.parse(str(policy)) == policy


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("recall >= 99% @ 95%", "recall>=0.99@0.95"),
        ("recall(loaded)>=.99@0.95", "recall(loaded)>=0.99@0.95"),
        ("false-alarms<=1%", "false-alarms<=0.01"),
        ("cost: false-alarm=1, review = 5, miss=100", "cost: miss=100, false-alarm=1, review=5"),
    ],
)
def test_other_spellings_mean_the_same(text, plain):
    assert str(ThresholdPolicy.parse(text)) == plain


@pytest.mark.parametrize(
    "text",
    [
        "recall>=1@0.95",
        "recall>=0.9@1",
        "recall>=0.9@0.2",
        "recall()>=0.9",
        "false-alarms>=0.1",
        "false-alarms<=1.5",
        "cost: miss=1",
        "cost: miss=0, false-alarm=1",
        "cost: miss=1, miss=2, false-alarm=1",
        "fixed=0.5@0.95",
        "recall>=0.9@",
        "review<=0.1",
    ],
)
def test_what_cannot_be_promised_is_refused(text):
    with pytest.raises(InvalidInput):
        ThresholdPolicy.parse(text)


@pytest.mark.parametrize("text", ["review<=0", "review<=1", "fixed=0.5", "review", "recall>=2", ""])
def test_other_abstentions_are_refused(text):
    with pytest.raises(InvalidInput):
        Abstention.parse(text)


def test_the_contract_is_a_sentence_and_numbers():
    positive, scores, said = told("recall>=0.99@0.95", rows=824)
    assert said.contract["sentence"] == "recall of loaded >= 0.99 with 95 % confidence, n = 412"
    (promise,) = said.contract["promises"]
    assert {key: promise[key] for key in ("metric", "class", "target", "confidence", "n", "misses", "method")} == {
        "metric": "recall", "class": "loaded", "target": 0.99, "confidence": 0.95, "n": 412, "misses": 0,
        "method": "Clopper-Pearson",
    }  # fmt: skip
    assert promise["bound"] == pytest.approx(0.05 ** (1 / 412))
    assert scores[positive].min() >= said.threshold > np.sort(scores[scores < scores[positive].min()])[-1]


def test_too_few_rows_say_how_many_are_needed_and_what_they_can_carry():
    with pytest.raises(NotTrainable, match=r"needs 299 scans of loaded.*there are 100.*ask for recall>=0\.97@0\.95"):
        told("recall>=0.99@0.95", rows=200)
    with pytest.raises(NotTrainable, match=r"100 of few subjects, which count as 9\.7"):
        told("recall>=0.9@0.95", rows=200, groups=np.arange(200) % 10)
    told("recall>=0.97@0.95", rows=200)
    told("recall>=0.99", rows=200)
    with pytest.raises(NotTrainable, match=r"299 scans of empty.*false-alarms<=0\.03@0\.95"):
        told("false-alarms<=0.01@0.95", rows=200)


def test_recall_of_the_negative_class_bounds_false_alarms():
    of_class, of_rate = told("recall(empty)>=0.9@0.95")[2], told("false-alarms<=0.1@0.95")[2]
    assert of_class.threshold == of_rate.threshold
    positive, scores, _ = told("recall(empty)>=0.9@0.95")
    assert (scores[~positive] >= of_rate.threshold).mean() <= 0.1


@pytest.mark.parametrize("policy", ["recall(full)>=0.9", "recall(negative)>=0.9"])
def test_a_class_that_the_task_lacks_is_refused(policy):
    with pytest.raises(InvalidInput, match="is no class; there are empty, loaded"):
        told(policy)


def test_two_promises_that_cross_leave_a_band_between_them():
    positive, scores, said = told("recall>=0.99@0.95", "false-alarms<=0.01@0.95")
    assert said.review_from is not None
    assert (scores[positive] >= said.review_from).mean() >= 0.99
    assert (scores[~positive] >= said.threshold).mean() <= 0.01
    band = (scores >= said.review_from) & (scores < said.threshold)
    assert said.contract["review"]["rows"] == band.sum()
    assert said.contract["review"]["low"] < band.mean() < said.contract["review"]["high"]
    assert "of scans go to review" in said.contract["sentence"]
    turned = told("false-alarms<=0.01@0.95", "recall>=0.99@0.95")[2]
    assert (turned.threshold, turned.review_from) == (said.threshold, said.review_from)


def test_two_promises_that_one_threshold_keeps_need_no_band():
    positive, scores, said = told("recall>=0.99@0.95", "false-alarms<=0.01@0.95", spread=0.2)
    assert said.review_from is None
    assert (scores[positive] >= said.threshold).mean() >= 0.99
    assert (scores[~positive] >= said.threshold).mean() <= 0.01
    assert said.contract["sentence"].endswith("no scan needs a review")


@pytest.mark.parametrize("policy", ["best-balanced-accuracy", "recall>=0.95@0.95", "fixed=0.4", "false-alarms<=0.1"])
def test_a_review_share_is_not_exceeded_and_saves_the_most_errors(policy):
    positive, scores, alone = told(policy, rows=300)
    _, _, said = told(policy, "review<=0.1", rows=300)
    assert said.review_from is not None
    assert said.review_from <= alone.threshold <= said.threshold
    band = (scores >= said.review_from) & (scores < said.threshold)
    assert band.mean() <= 0.1
    wrong = (scores >= alone.threshold) != positive
    ends = np.r_[np.sort(scores), alone.threshold, 1.0]
    best = max(
        wrong[(scores >= low) & (scores < high)].sum()
        for low in ends[ends <= alone.threshold]
        for high in ends[ends >= alone.threshold]
        if ((scores >= low) & (scores < high)).mean() <= 0.1
    )
    assert wrong[band].sum() == best


def test_a_band_is_no_wider_than_the_errors_that_it_saves():
    assert told("best-balanced-accuracy", "review<=0.2", spread=0.1)[2].review_from is None


def test_costs_choose_the_cheapest_threshold_at_the_stated_prevalence():
    positive, scores, said = told("cost: miss=20, false-alarm=1", prevalence=0.02)

    def cost(threshold):
        missed, false = (scores[positive] < threshold).mean(), (scores[~positive] >= threshold).mean()
        return 0.02 * 20 * missed + 0.98 * false

    assert said.contract["expected_cost"] == pytest.approx(cost(said.threshold))
    assert cost(said.threshold) <= min(cost(one) for one in [*scores, 1.0]) + 1e-12
    assert told("cost: miss=20, false-alarm=1", prevalence=0.3)[2].threshold < said.threshold


def test_the_cost_of_a_review_places_chow_s_band():
    positive, scores, said = told("cost: miss=10, false-alarm=4, review=1", rows=120)
    assert said.review_from is not None

    def cost(low, high):
        missed, false = positive & (scores < low), ~positive & (scores >= high)
        return (10 * missed + 4 * false + 1 * ((scores >= low) & (scores < high))).mean()

    ends = np.r_[np.sort(scores), 1.0]
    least = min(cost(low, high) for i, low in enumerate(ends) for high in ends[i:])
    assert cost(said.review_from, said.threshold) == pytest.approx(least)
    assert said.contract["expected_cost"] == pytest.approx(least)
    assert told("cost: miss=10, false-alarm=4, review=9")[2].review_from is None


@pytest.mark.parametrize(
    ("policy", "abstain"),
    [
        ("recall>=0.9", "recall>=0.99"),
        ("false-alarms<=0.1", "recall(empty)>=0.99"),
        ("cost: miss=10, false-alarm=4, review=1", "review<=0.1"),
    ],
)
def test_policies_and_abstentions_that_bound_the_same_side_are_refused(policy, abstain):
    with pytest.raises(InvalidInput):
        told(policy, abstain)


def test_the_review_share_is_given_at_the_stated_prevalence_too():
    positive, scores, said = told("recall>=0.99@0.95", "false-alarms<=0.01@0.95", prevalence=0.02)
    band = (scores >= said.review_from) & (scores < said.threshold)
    share = said.contract["review"]["at_prevalence"]
    assert share["value"] == pytest.approx(0.02 * band[positive].mean() + 0.98 * band[~positive].mean())
    assert share["low"] < share["value"] < share["high"]
    assert "at a prevalence of 0.02" in said.contract["sentence"]


@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 6)), min_size=8, max_size=60).filter(
        lambda rows: 0 < sum(positive for positive, _ in rows) < len(rows)
    ),
    st.sampled_from(["recall>=0.6@0.5", "false-alarms<=0.6@0.5", "recall>=0.8"]),
)
def test_ties_never_cost_a_promise(rows, policy):
    positive, scores = (np.array(column) for column in zip(*rows, strict=True))
    scores = scores / 7
    try:
        said = judge(ThresholdPolicy.parse(policy), None, positive, scores)
    except NotTrainable:
        return
    (promise,) = said.contract["promises"]
    wrong = scores[positive] < said.threshold if policy.startswith("recall") else scores[~positive] >= said.threshold
    assert wrong.sum() == promise["seen"] <= promise["misses"]


def test_negatives_as_certain_as_the_positives_are_named():
    positive = np.repeat([True, False], 200)
    with pytest.raises(NotTrainable, match="200 negative scans have a probability of 1"):
        judge(ThresholdPolicy.parse("false-alarms<=0.1"), None, positive, np.ones(400))
