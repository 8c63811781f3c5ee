"""What a policy promises is kept by scans that nobody has seen."""

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from app.heads.intervals import effective_n, most_misses
from app.heads.metrics import auc_interval
from app.heads.policies import judge
from app.heads.policy_words import ThresholdPolicy
from app.heads.recipe import HeadRecipe
from app.heads.table import TrainingTable
from app.heads.trainers.base import Run
from app.heads.trainers.fold_rows import refit_rows
from app.heads.trainers.links import fit_link
from app.heads.trainers.search import search

PROMISE = ThresholdPolicy.parse("recall>=0.95@0.95")
RECIPE = HeadRecipe.single(params={"C": [1e-2]}, policy=PROMISE, calibration="platt")


def scans(rng, rows, *, films=1, dimensions=8):
    """Gaussian features; films of a subject share its class and half of their noise."""
    y = rng.permutation(np.arange(rows // films) % 2)
    own = rng.normal(size=(rows // films, 2 * dimensions)) if films > 1 else np.zeros((rows, 2 * dimensions))
    x = np.repeat(own, films, axis=0) + rng.normal(size=(rows, 2 * dimensions))
    y = np.repeat(y, films)
    x[:, :3] += 0.9 * y[:, None]
    x = x.astype(np.float32)
    return TrainingTable(
        task="t", classes=("empty", "loaded"), positive="loaded", feature_set="0" * 64, feature_set_name="gauss",
        avg=x[:, :dimensions], max=x[:, dimensions:], y=y,
        groups=np.repeat(np.arange(rows // films), films).astype(str) if films > 1 else None,
    )  # fmt: skip


def trained(table, recipe):
    """The path of a training up to its artifact: out-of-fold scores, link, threshold, refit on all rows."""
    run = Run(0, lambda: None)
    searched = search(table, recipe, run, lambda *_: None)
    winner = searched.winners[0]
    link = fit_link(winner.scores, table.y, searched.fold_of, log_odds=True, calibration=recipe.calibration)
    said = judge(
        recipe.policy, recipe.abstain, table.is_positive, link.final[:, 1],
        groups=table.group_codes, classes=table.classes, positive_class=table.positive,
    )  # fmt: skip
    scaling, rows = refit_rows(table, recipe, winner.candidate, len(searched.folds))
    fitted = winner.trainer.fit(rows, winner.candidate.params, run)
    return said, lambda x: link.link(fitted.scores(scaling(winner.candidate.pooling.combine(x.avg, x.max))))[:, 1]


@pytest.mark.parametrize("films", [1, 3])
def test_a_promised_recall_is_kept_by_fresh_scans(films):
    rng, kept, repetitions = np.random.default_rng(5), 0, 100 if films == 1 else 50
    fresh = scans(rng, 20_000 - 20_000 % films, films=films)
    with threadpool_limits(limits=1, user_api="blas"):
        for _ in range(repetitions):
            said, scores = trained(scans(rng, 400 if films == 1 else 600, films=films), RECIPE)
            kept += (scores(fresh) >= said.threshold)[fresh.is_positive].mean() >= 0.95
    assert kept >= 0.93 * repetitions


def test_a_recall_merely_seen_is_kept_by_half_of_the_heads():
    # What the confidence buys: without it, the same words are a coin's toss.
    rng, kept = np.random.default_rng(6), 0
    for _ in range(400):
        said = judge(ThresholdPolicy.parse("recall>=0.95"), None, *pure(rng))
        kept += missed(said.threshold) <= 0.05
    assert 0.3 * 400 < kept < 0.75 * 400


def pure(rng, positives=250, negatives=250):
    positive = np.repeat([True, False], [positives, negatives])
    return positive, sigmoid(rng.normal(size=len(positive)) + 2.0 * positive)


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def missed(threshold):
    """The exact share of positives below `threshold`."""
    from scipy.stats import norm

    return norm.cdf(np.log(threshold / (1 - threshold)) - 2.0)


def false_alarms(threshold):
    from scipy.stats import norm

    return norm.sf(np.log(threshold / (1 - threshold)))


def test_promises_on_pure_scores_are_kept_as_often_as_they_say():
    rng, kept, repetitions = np.random.default_rng(7), np.zeros(2), 2000
    for _ in range(repetitions):
        said = judge(PROMISE, "false-alarms<=0.05@0.95", *pure(rng))
        lower = said.threshold if said.review_from is None else said.review_from
        kept += [missed(lower) <= 0.05, false_alarms(said.threshold) <= 0.05]
    # The exact chance for 250 rows is 0.9686 (six misses are allowed); three standard errors are 0.0117.
    assert (kept >= 0.957 * repetitions).all()
    assert (kept <= 0.980 * repetitions).all()


def test_promises_hold_where_all_scans_of_a_subject_are_alike():
    rng, kept, careless, repetitions = np.random.default_rng(8), 0, 0, 1000
    subjects = np.repeat(np.arange(200), rng.integers(1, 6, 200))
    positive = subjects % 2 == 0
    for _ in range(repetitions):
        scores = sigmoid(rng.normal(size=200)[subjects] + 2.0 * positive)
        kept += missed(judge(PROMISE, None, positive, scores, groups=subjects).threshold) <= 0.05
        careless += missed(judge(PROMISE, None, positive, scores).threshold) <= 0.05
    assert kept >= 0.93 * repetitions
    assert careless < 0.9 * repetitions  # counted one by one, they would promise too much


@pytest.mark.parametrize("sizes", [[1] * 40, [3] * 20, [1] * 30 + [10] * 3])
def test_the_effective_number_never_exceeds_that_of_subjects(sizes):
    groups = np.repeat(np.arange(len(sizes)), sizes)
    assert effective_n(groups, len(groups)) == pytest.approx(sum(sizes) ** 2 / sum(s * s for s in sizes))
    assert effective_n(groups, len(groups)) <= len(sizes)


def test_299_scans_without_a_miss_promise_99_percent_and_298_do_not():
    assert most_misses(298, 298, 0.99, 0.95) is None
    assert most_misses(299, 299, 0.99, 0.95) == 0
    assert most_misses(473, 473, 0.99, 0.95) == 1
    assert most_misses(472, 472, 0.99, 0.95) == 0


def test_shuffled_labels_are_chance_within_their_interval():
    rng, covered = np.random.default_rng(9), 0
    with threadpool_limits(limits=1, user_api="blas"):
        for _ in range(20):
            table = scans(rng, 300)
            shuffled = TrainingTable(**{**vars(table), "y": rng.permutation(table.y)})
            searched = search(shuffled, RECIPE, Run(0, lambda: None), lambda *_: None)
            low, high = auc_interval(shuffled.is_positive, searched.winners[0].scores @ [-1, 1], replicates=300)
            covered += low <= 0.5 <= high
    # Out-of-fold scores of noise lean below 0.5: a fold's mean is learned from the rows outside it.
    assert covered >= 16
