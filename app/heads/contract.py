"""What a decision policy promises, as sentences and as numbers that a gate can read."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.heads.intervals import clopper_pearson, lower_limit, upper_limit
from app.heads.policy_words import Costs, PolicyKind, plain
from app.heads.thresholds import Ranking

LEVEL = 0.95


@dataclass(frozen=True)
class Scored:
    """Out-of-fold scores, and what they are evidence for: independent rows of each side, class names, mix."""

    ranking: Ranking
    effective_positives: float
    effective_negatives: float
    prevalence: float | None  # where the head will work, if stated
    classes: tuple[str, ...]
    positive: str

    @property
    def negative(self) -> str:
        return " or ".join(name for name in self.classes if name != self.positive)

    @property
    def mix(self) -> float:
        """The share of positives by which errors are weighed."""
        own = self.ranking.positives / (self.ranking.positives + self.ranking.negatives)
        return own if self.prevalence is None else self.prevalence


@dataclass(frozen=True)
class Promise:
    """A rate kept at a cut: `misses` is how many of `n` rows may fall on the wrong side, `seen` how many do."""

    metric: PolicyKind
    class_name: str
    target: float
    confidence: float | None
    n: int
    effective_n: float
    misses: int
    cut: int

    def to_json(self, seen: int) -> dict[str, Any]:
        return {
            "metric": self.metric.value,
            "class": self.class_name,
            "target": self.target,
            "confidence": self.confidence,
            "n": self.n,
            "effective_n": round(self.effective_n, 1),
            "misses": self.misses,
            "seen": seen,
            "bound": self._bound(),
            "method": "empirical" if self.confidence is None else "Clopper-Pearson",
        }

    def _bound(self) -> float | None:
        """The limit that the allowed misses prove; None without a confidence."""
        if self.confidence is None:
            return None
        wrong = self.effective_n * self.misses / self.n
        if self.metric is PolicyKind.RECALL:
            return lower_limit(self.effective_n - wrong, self.effective_n, self.confidence)
        return upper_limit(wrong, self.effective_n, self.confidence)

    def sentence(self) -> str:
        recall = self.metric is PolicyKind.RECALL
        what = f"recall of {self.class_name} >=" if recall else f"false alarms among {self.class_name} <="
        counted = "" if self.effective_n > self.n - 0.05 else f" (subjects counted once: {self.effective_n:.1f})"
        sure = (
            "out of fold" if self.confidence is None else f"with {plain(round(self.confidence * 100, 9))} % confidence"
        )
        return f"{what} {plain(self.target)} {sure}, n = {self.n}{counted}"


def write_contract(
    policy: str, abstain: str | None, scored: Scored, promises: Sequence[Promise], lower: int, upper: int,
    costs: Costs | None,
) -> dict[str, Any]:  # fmt: skip
    """Return the contract of a band from cut `lower` to cut `upper` (the same where nothing is left to a person)."""
    measured = _measured(scored, lower, upper)
    review = _review(scored, lower, upper)
    seen = {
        PolicyKind.RECALL: measured["recall"]["misses"],
        PolicyKind.FALSE_ALARMS: measured["false_alarms"]["misses"],
    }
    sentences = [promise.sentence() for promise in promises] or [_measured_sentence(scored, measured)]
    sentences += _review_sentences(scored, review, abstain)
    return {
        "policy": policy,
        "abstain": abstain,
        "sentence": "; ".join(sentences),
        "promises": [promise.to_json(seen[promise.metric]) for promise in promises],
        "measured": measured,
        "review": review,
        "prevalence": scored.prevalence,
        "expected_cost": None if costs is None else _expected_cost(scored, costs, lower, upper),
    }


def _share(hits: int, n: int, effective: float, level: float = LEVEL) -> dict[str, float]:
    low, high = clopper_pearson(hits / n * effective, effective, level)
    return {"value": hits / n, "low": low, "high": high}


def _measured(scored: Scored, lower: int, upper: int) -> dict[str, Any]:
    """Recall counts positives that are not decided negative; false alarms are negatives decided positive."""
    ranking = scored.ranking
    misses = int(ranking.positives_below[lower])
    alarms = ranking.negatives - int(ranking.negatives_below[upper])
    found = _share(ranking.positives - misses, ranking.positives, scored.effective_positives)
    false = _share(alarms, ranking.negatives, scored.effective_negatives)
    sizes = (
        {"n": ranking.positives, "effective_n": round(scored.effective_positives, 1), "misses": misses},
        {"n": ranking.negatives, "effective_n": round(scored.effective_negatives, 1), "misses": alarms},
    )
    return {
        "recall": {"class": scored.positive, **found, "level": LEVEL, **sizes[0]},
        "false_alarms": {"class": scored.negative, **false, "level": LEVEL, **sizes[1]},
    }


def _measured_sentence(scored: Scored, measured: dict[str, Any]) -> str:
    recall, alarms = measured["recall"], measured["false_alarms"]
    return (
        f"out of fold, recall of {scored.positive} is {recall['value']:.3f} (n = {recall['n']}) and false alarms among "
        f"{scored.negative} are {alarms['value']:.3f} (n = {alarms['n']}); nothing is promised"
    )


def _review(scored: Scored, lower: int, upper: int) -> dict[str, Any]:
    ranking = scored.ranking
    positives = int(ranking.positives_below[upper] - ranking.positives_below[lower])
    negatives = int(ranking.negatives_below[upper] - ranking.negatives_below[lower])
    rows = ranking.positives + ranking.negatives
    effective = scored.effective_positives + scored.effective_negatives
    review: dict[str, Any] = {"n": rows, "rows": positives + negatives, "level": LEVEL}
    review |= _share(positives + negatives, rows, effective) | {"at_prevalence": None}
    if scored.prevalence is not None:
        # Both shares hold with 95 % when each does with its square root.
        of_positives = _share(positives, ranking.positives, scored.effective_positives, LEVEL**0.5)
        of_negatives = _share(negatives, ranking.negatives, scored.effective_negatives, LEVEL**0.5)
        review["at_prevalence"] = {
            name: scored.prevalence * of_positives[name] + (1 - scored.prevalence) * of_negatives[name]
            for name in of_positives
        }
    return review


def _review_sentences(scored: Scored, review: dict[str, Any], abstain: str | None) -> list[str]:
    if not review["rows"]:
        return [] if abstain is None else ["no scan needs a review"]

    def words(share: dict[str, float]) -> str:
        return f"{share['value']:.1%} of scans go to review ({share['low']:.1%} to {share['high']:.1%})"

    said = f"{words(review)} at the rows' own mix, and a {scored.positive} scan sent there counts as not missed"
    if review["at_prevalence"] is None:
        return [said]
    return [said, f"{words(review['at_prevalence'])} at a prevalence of {plain(scored.prevalence or 0.0)}"]


def _expected_cost(scored: Scored, costs: Costs, lower: int, upper: int) -> float:
    """The cost of a scan at the mix by which errors are weighed."""
    ranking, mix = scored.ranking, scored.mix
    missed = mix * (1 - ranking.recall[lower])
    false = (1 - mix) * ranking.alarms[upper]
    decided = mix * (ranking.recall[lower] - ranking.recall[upper])
    decided += (1 - mix) * (ranking.alarms[lower] - ranking.alarms[upper])
    return float(missed * costs.miss + false * costs.false_alarm + decided * (costs.review or 0.0))
