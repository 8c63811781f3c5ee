"""Decision policies in words of the field: read, checked, and printed as they were read."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from app.errors import InvalidInput

REVIEW = "review"  # the decision of a head that abstains
CANNOT_JUDGE = "cannot_judge"  # what is said of a scan that nobody can judge, or that a head knows nothing of
UNDECIDED = frozenset({REVIEW, CANNOT_JUDGE})  # words that leave a scan to a person; no class may have them as name
EXAMPLES = (
    "best-balanced-accuracy, recall>=0.99@0.95 (or recall(CLASS)>=...), false-alarms<=0.01@0.95, "
    "fixed=0.5, or cost: miss=100, false-alarm=1"
)
_NUMBER = r"(\d+\.?\d*|\.\d+)\s*(%?)"
_PROMISE = re.compile(
    rf"(?:(recall)\s*(?:\(([^()]{{1,64}})\))?\s*>=|(false-alarms)\s*<=)\s*{_NUMBER}\s*(?:@\s*{_NUMBER})?"
)
_COST = re.compile(rf"(miss|false-alarm|review)\s*=\s*{_NUMBER}")


class PolicyKind(StrEnum):
    BEST_BALANCED_ACCURACY = "best-balanced-accuracy"
    RECALL = "recall"
    FALSE_ALARMS = "false-alarms"
    COST = "cost"
    FIXED = "fixed"


@dataclass(frozen=True)
class Costs:
    """What a missed positive, a false alarm and (if it is a choice) a review cost, in one unit of the user's."""

    miss: float
    false_alarm: float
    review: float | None = None

    def __str__(self) -> str:
        review = "" if self.review is None else f", review={plain(self.review)}"
        return f"miss={plain(self.miss)}, false-alarm={plain(self.false_alarm)}{review}"


@dataclass(frozen=True)
class ThresholdPolicy:
    """How a task turns a probability into a decision, in words: see `parse`.

    `confidence` makes a recall or a false-alarm rate a promise about scans to come; without it, it is what was seen
    out of fold. `class_name` is whose recall it is: the positive class, if None.
    """

    kind: PolicyKind
    value: float | None = None
    confidence: float | None = None
    class_name: str | None = None
    costs: Costs | None = None

    def __post_init__(self) -> None:
        needs_value = self.kind in (PolicyKind.RECALL, PolicyKind.FALSE_ALARMS, PolicyKind.FIXED)
        if needs_value != (self.value is not None):
            raise InvalidInput(f"Policy '{self.kind}' {'needs a' if needs_value else 'takes no'} value")
        if (self.kind is PolicyKind.COST) != (self.costs is not None):
            raise InvalidInput(f"Policy '{self.kind}': costs belong to the policy 'cost', and to no other")
        if self.value is not None and not 0.0 < self.value <= 1.0:
            raise InvalidInput(f"Policy '{self}': the value must be above 0 and at most 1")
        if self.confidence is not None and not (0.5 <= self.confidence < 1.0 and self.is_promise and self.value != 1.0):
            raise InvalidInput(
                f"Policy '{self}': a confidence lies from 0.5 to below 1 and belongs to a share below 1; "
                "no number of scans can promise that nothing is ever missed"
            )

    @property
    def is_promise(self) -> bool:
        """Whether it names a rate to keep, of misses or of false alarms."""
        return self.kind in (PolicyKind.RECALL, PolicyKind.FALSE_ALARMS)

    @classmethod
    def parse(cls, text: str) -> "ThresholdPolicy":
        """Read a policy; raises `InvalidInput` for other words.

        `best-balanced-accuracy`, `fixed=0.5`, `recall>=0.99`, `recall(loaded)>=0.99@0.95`, `false-alarms<=1%@95%`,
        `cost: miss=100, false-alarm=1, review=5`.
        """
        words = text.strip()
        if words == PolicyKind.BEST_BALANCED_ACCURACY:
            return cls(PolicyKind.BEST_BALANCED_ACCURACY)
        if found := _PROMISE.fullmatch(words):
            recall, class_name, alarms, value, percent, confidence, of_hundred = found.groups()
            chosen = _number(confidence, of_hundred) if confidence else None
            return cls(PolicyKind(recall or alarms), _number(value, percent), chosen, class_name and class_name.strip())
        if found := re.fullmatch(rf"fixed\s*=\s*{_NUMBER}", words):
            return cls(PolicyKind.FIXED, _number(*found.groups()))
        if words.startswith("cost:"):
            return cls(PolicyKind.COST, costs=_costs(text, words.removeprefix("cost:")))
        raise InvalidInput(f"Unknown policy '{text}'; say {EXAMPLES}")

    def __str__(self) -> str:
        if self.kind is PolicyKind.COST:
            return f"cost: {self.costs}"
        if self.value is None:
            return self.kind.value
        of = "" if self.class_name is None else f"({self.class_name})"
        sign = {PolicyKind.RECALL: ">=", PolicyKind.FALSE_ALARMS: "<="}.get(self.kind, "=")
        confidence = "" if self.confidence is None else f"@{plain(self.confidence)}"
        return f"{self.kind.value}{of}{sign}{plain(self.value)}{confidence}"

    def check(self, classes: Sequence[str], positive: str) -> None:
        """Raise `InvalidInput` when the policy names a class that the task has not, or none that it can speak of."""
        if self.class_name is None or self.class_name == positive:
            return
        if self.class_name not in classes:
            raise InvalidInput(f"Policy '{self}': {self.class_name} is no class; there are {', '.join(classes)}")
        if len(classes) != 2:
            raise InvalidInput(
                f"Policy '{self}': with {len(classes)} classes, only {positive}'s recall can be promised"
            )

    def of_positive(self, positive: str) -> "ThresholdPolicy":
        """Return the same promise without a class: the recall of the other class is a bound on false alarms."""
        if self.class_name is None or self.kind is not PolicyKind.RECALL:
            return self
        if self.class_name == positive:
            return replace(self, class_name=None)
        assert self.value is not None
        if self.value == 1.0:
            raise InvalidInput(f"Policy '{self}': ask for less than 1; a threshold of 1 would never be reached")
        return ThresholdPolicy(PolicyKind.FALSE_ALARMS, round(1 - self.value, 12), self.confidence)


@dataclass(frozen=True)
class Abstention:
    """When a head leaves the decision to a person: at most `share` of the scans, or wherever `promise` needs it."""

    share: float | None = None
    promise: ThresholdPolicy | None = None

    @classmethod
    def parse(cls, text: str) -> "Abstention":
        """Read `review<=0.05`, `false-alarms<=0.01@0.95` or `recall>=0.99@0.95`; raises `InvalidInput`."""
        if found := re.fullmatch(rf"review\s*<=\s*{_NUMBER}", text.strip()):
            share = _number(*found.groups())
            if not 0 < share < 1:
                raise InvalidInput(f"Abstention '{text}': give a share above 0 and below 1")
            return cls(share=share)
        if _PROMISE.fullmatch(text.strip()):
            return cls(promise=ThresholdPolicy.parse(text))
        raise InvalidInput(f"Unknown abstention '{text}'; say review<=0.05, false-alarms<=0.01@0.95 or recall>=0.99")

    def __str__(self) -> str:
        return f"review<={plain(self.share)}" if self.share is not None else str(self.promise)


def badness(decision: str, positive: str) -> int:
    """How bad a decision is, 0 the worst: an image with several regions is what the worst of them is."""
    return {positive: 0, CANNOT_JUDGE: 1, REVIEW: 2}.get(decision, 3)


def read(
    policy: ThresholdPolicy, abstain: str | None, classes: Sequence[str], positive: str
) -> tuple[ThresholdPolicy, Abstention | None]:
    """Return both without class names; raises `InvalidInput` where they fit neither the classes nor each other."""
    policy.check(classes, positive)
    plain_policy = policy.of_positive(positive)
    if abstain is None:
        return plain_policy, None
    band = Abstention.parse(abstain)
    if policy.costs is not None and policy.costs.review is not None:
        raise InvalidInput(f"Policy '{policy}' places its own review band; leave abstain away, or the cost of a review")
    if band.promise is None:
        return plain_policy, band
    band.promise.check(classes, positive)
    second = band.promise.of_positive(positive)
    if second.kind is plain_policy.kind:
        raise InvalidInput(f"'{policy}' and '{abstain}' bound the same side; promise a recall and a false-alarm rate")
    return plain_policy, Abstention(promise=second)


def plain(value: float) -> str:
    """Return the shortest decimal that reads as the same number."""
    return np.format_float_positional(value, trim="-")


def _number(digits: str, percent: str) -> float:
    return float(digits) / 100 if percent else float(digits)


def _costs(text: str, words: str) -> Costs:
    found = [_COST.fullmatch(part.strip()) for part in words.split(",")]
    given = {match[1]: _number(match[2], match[3]) for match in found if match is not None}
    if None in found or len(given) != len(found) or not {"miss", "false-alarm"} <= given.keys():
        raise InvalidInput(f"Policy '{text}' cannot be read; say cost: miss=100, false-alarm=1, review=5")
    if not all(0 < value < 1e12 for value in given.values()):
        raise InvalidInput(f"Policy '{text}': every cost is a number above 0")
    return Costs(given["miss"], given["false-alarm"], given.get("review"))


# Youden's J weighs a missed positive like a false alarm: the only rule that needs no opinion from the user and no
# class mix. Whoever must not miss anything says so: `recall>=0.99@0.95`.
DEFAULT_POLICY = ThresholdPolicy(PolicyKind.BEST_BALANCED_ACCURACY)
