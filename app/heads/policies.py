"""From a policy to a threshold, a review band and a contract, by out-of-fold scores."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor
from typing import Any, assert_never

import numpy as np

from app.errors import NotTrainable
from app.heads.arrays import Bools, Float64, Floats, Ints
from app.heads.contract import Promise, Scored, write_contract
from app.heads.intervals import effective_n, most_misses, rows_needed
from app.heads.policy_words import Abstention, Costs, PolicyKind, ThresholdPolicy, plain, read
from app.heads.thresholds import Ranking


@dataclass(frozen=True)
class Judgement:
    """At or above `threshold` means positive; below it, and at or above `review_from` (if any), a person decides."""

    threshold: float
    review_from: float | None
    contract: dict[str, Any]


def judge(
    policy: ThresholdPolicy,
    abstain: str | None,
    positive: Bools,
    scores: Floats,
    *,
    groups: Ints | None = None,
    prevalence: float | None = None,
    classes: Sequence[str] = ("negative", "positive"),
    positive_class: str = "positive",
) -> Judgement:
    """Return the threshold, the review band and what they promise, for out-of-fold `scores` (n,) on the final scale.

    `scores` are probabilities of the positive class as scoring will give them (`Calibrated.final`). `groups` are
    subjects, whose rows count as one. `prevalence` is the share of positives where the head will work; without it the
    rows' own mix weighs misses against false alarms. Raises `InvalidInput` where policy and abstention do not fit,
    `NotTrainable` where rows are too few for what is to be promised, naming how many are needed.
    """
    chosen, band = read(policy, abstain, classes, positive_class)
    positive = np.asarray(positive, dtype=bool)
    ranking = Ranking.of(positive, scores)
    scored = Scored(
        ranking,
        effective_n(None if groups is None else groups[positive], ranking.positives),
        effective_n(None if groups is None else groups[~positive], ranking.negatives),
        prevalence,
        tuple(classes),
        positive_class,
    )
    lower, upper, promises = _placed(chosen, band, scored)
    contract = write_contract(str(policy), abstain, scored, promises, lower, upper, chosen.costs)
    low, high = (_threshold(chosen, ranking, cut) for cut in (lower, upper))
    return Judgement(high, low if lower < upper else None, contract)


def _threshold(policy: ThresholdPolicy, ranking: Ranking, cut: int) -> float:
    """A fixed threshold stays the number that was said, not the middle between its neighbours."""
    if policy.kind is PolicyKind.FIXED and policy.value is not None and ranking.cut_of(policy.value) == cut:
        return policy.value
    return float(ranking.values[cut])


def _placed(policy: ThresholdPolicy, band: Abstention | None, scored: Scored) -> tuple[int, int, list[Promise]]:
    """Return the cuts between which a person decides (the same for none), and the promises that they keep."""
    if policy.costs is not None:
        lower, upper = _cheapest(policy.costs, scored)
        promises: list[Promise] = []
    else:
        lower, promises = _cut(policy, scored)
        upper = lower
    if band is None:
        return lower, upper, promises
    if band.share is not None:
        return *_band(lower, band.share, policy.costs, scored), promises
    assert band.promise is not None
    second = _promised(band.promise, scored)
    promises.append(second)
    # Where the two do not cross, one threshold keeps both promises and nothing is left to a person.
    ends = (min(lower, second.cut), upper) if second.metric is PolicyKind.RECALL else (lower, max(upper, second.cut))
    return *ends, promises


def _cut(policy: ThresholdPolicy, scored: Scored) -> tuple[int, list[Promise]]:
    match policy.kind:
        case PolicyKind.RECALL | PolicyKind.FALSE_ALARMS:
            promise = _promised(policy, scored)
            return promise.cut, [promise]
        case PolicyKind.BEST_BALANCED_ACCURACY:
            return scored.ranking.best_balanced(), []
        case PolicyKind.FIXED:
            assert policy.value is not None
            return scored.ranking.cut_of(policy.value), []
        case PolicyKind.COST:
            raise AssertionError("costs place two cuts at once")
        case _:
            assert_never(policy.kind)


def _promised(policy: ThresholdPolicy, scored: Scored) -> Promise:
    """Return the most useful cut that keeps a promise: the highest for a recall, the lowest for false alarms."""
    assert policy.value is not None
    ranking, recall = scored.ranking, policy.kind is PolicyKind.RECALL
    name, n, effective, least = (
        (scored.positive, ranking.positives, scored.effective_positives, policy.value)
        if recall
        else (scored.negative, ranking.negatives, scored.effective_negatives, 1 - policy.value)
    )
    if policy.confidence is None:
        misses: int | None = floor((1 - least) * n + 1e-9)
    else:
        misses = most_misses(n, effective, least, policy.confidence)
    if misses is None:
        raise NotTrainable(_too_few(policy, name, n, effective, least))
    cut = ranking.highest_missing(misses) if recall else ranking.lowest_alarming(misses)
    return Promise(policy.kind, name, policy.value, policy.confidence, n, effective, misses, cut)


def _too_few(policy: ThresholdPolicy, name: str, n: int, effective: float, least: float) -> str:
    confidence = policy.confidence or 0.0
    reached = (1 - confidence) ** (1 / effective)
    able = floor(reached * 1000) / 1000 if policy.kind is PolicyKind.RECALL else 1 - floor(reached * 1000) / 1000
    sign = ">=" if policy.kind is PolicyKind.RECALL else "<="
    counted = f"{n}" if effective > n - 0.05 else f"{n} of few subjects, which count as {effective:.1f}"
    return (
        f"'{policy}' needs {rows_needed(least, confidence)} scans of {name}, each of its own subject, to be promised; "
        f"there are {counted}. Label more, or ask for {policy.kind}{sign}{plain(round(able, 3))}@{plain(confidence)}"
    )


def _weights(scored: Scored) -> tuple[float, float]:
    return scored.mix / scored.ranking.positives, (1 - scored.mix) / scored.ranking.negatives


def _weight_below(scored: Scored) -> Float64:
    """Share of all scans below each cut, at the mix by which errors are weighed."""
    positive, negative = _weights(scored)
    return scored.ranking.positives_below * positive + scored.ranking.negatives_below * negative


def _cheapest(costs: Costs, scored: Scored) -> tuple[int, int]:
    """Return the cuts of least expected cost; with a cost of review, Chow's rule (IEEE Trans. Inf. Th. 16, 1970)."""
    ranking, (positive, negative) = scored.ranking, _weights(scored)
    cuts = slice(0, ranking.top + 1)
    missed = costs.miss * positive * ranking.positives_below[cuts]
    false = costs.false_alarm * negative * (ranking.negatives - ranking.negatives_below[cuts])
    if costs.review is None:
        best = int(np.argmin(missed + false))
        return best, best
    reviewed = costs.review * _weight_below(scored)[cuts]
    low, high = missed - reviewed, false + reviewed
    upper = int(np.argmin(np.minimum.accumulate(low) + high))
    return int(np.argmin(low[: upper + 1])), upper


def _band(cut: int, share: float, costs: Costs | None, scored: Scored) -> tuple[int, int]:
    """Return the band around `cut` that holds at most `share` of the scans and saves most errors, at their costs."""
    ranking, (positive, negative) = scored.ranking, _weights(scored)
    below = _weight_below(scored)
    lower = np.arange(cut + 1)
    upper = np.searchsorted(below, below[lower] + share + 1e-12, side="right") - 1
    kept = upper >= cut
    lower, upper = lower[kept], np.minimum(upper[kept], ranking.top)
    # No further than the last false alarm that is saved.
    upper = np.maximum(np.searchsorted(ranking.negatives_below, ranking.negatives_below[upper], side="left"), cut)
    miss, alarm = (costs.miss, costs.false_alarm) if costs is not None else (1.0, 1.0)
    saved = miss * positive * (ranking.positives_below[cut] - ranking.positives_below[lower])
    saved += alarm * negative * (ranking.negatives_below[upper] - ranking.negatives_below[cut])
    best = np.flatnonzero(saved >= saved.max() - 1e-15)
    narrowest = best[np.argmin(below[upper[best]] - below[lower[best]])]
    return int(lower[narrowest]), int(upper[narrowest])
