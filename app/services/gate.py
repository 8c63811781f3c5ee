"""What a head must show before it may go live: every check with what was measured and the bound, passed or not."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from app import vectors
from app.errors import AppError, Conflict, HeadRefused
from app.heads.artifact import PARITY_BOUND
from app.heads.evidence import Evidence
from app.heads.gates import POLARITY_BOUND, polarity, polarity_verdict
from app.heads.intervals import lower_limit, upper_limit
from app.heads.scoring import Head as Scorer
from app.models import Dataset, FeatureSet, Head, Region, Task, TestScore
from app.services import feature_sets, labelling, tasks
from app.services.margins import Side, compare

DEFAULT_MARGIN = 0.005
# A gate on more labelled rows than this would cost more than it tells.
_GATE_ROWS = 2_000
_CONFIDENCE = 0.95


@dataclass(frozen=True)
class Check:
    """`passed` is None where there was nothing to measure on: then it stops nothing, but says so.

    `measured` and `bound` are in the unit that `says` names. Only what a user may weigh can be overridden: that a
    head is worse than hoped, never that it is broken or inverted.
    """

    name: str
    passed: bool | None
    says: str
    measured: float | None = None
    bound: float | None = None
    overridable: bool = False


def checks(session: Session, head: Head, *, margin: float = DEFAULT_MARGIN) -> list[Check]:
    """Every check of a head, whether or not one before it failed. Raise Conflict for a head without artifact."""
    if head.artifact is None:
        raise Conflict(f"Head {head.id} has no artifact; its training has not succeeded.")
    task = tasks.named(session, head.task)
    feature_set = session.get_one(FeatureSet, head.feature_set_id)
    feature_sets.require_stored(feature_set)
    try:
        scorer = Scorer.load(head.artifact)
    except HeadRefused as error:
        names = ("feature-set", "classes", "polarity", "policy-on-test", "auc", "balanced-accuracy")
        rest = [Check(name, None, "The artifact cannot be read.") for name in names]
        return [Check("golden", False, error.message), *rest, _parity(head), _policy(head)]
    return [
        _golden(scorer),
        _feature_set(scorer, feature_set),
        _classes(scorer, task),
        _polarity(session, task, feature_set, scorer),
        _parity(head),
        _policy(head),
        _policy_on_test(session, head, scorer),
        *_not_worse(session, Side(head, scorer), margin),
    ]


def failures(found: Sequence[Check]) -> list[Check]:
    return [check for check in found if check.passed is False]


def _golden(scorer: Scorer) -> Check:
    try:
        difference = scorer.self_check()
    except AppError as error:
        return Check("golden", False, error.message, bound=PARITY_BOUND)
    says = "The artifact reproduces the trainer's answers on its golden rows; measured: greatest difference."
    return Check("golden", True, says, difference, PARITY_BOUND)


def _feature_set(scorer: Scorer, feature_set: FeatureSet) -> Check:
    try:
        scorer.require_feature_set(feature_set.digest)
    except AppError as error:
        return Check("feature-set", False, error.message)
    return Check("feature-set", True, f"The head reads {feature_set.name}.")


def _classes(scorer: Scorer, task: Task) -> Check:
    known = scorer.metadata
    same = (list(known.classes), known.positive) == (list(task.classes), task.positive)
    says = (
        f"The head knows {', '.join(known.classes)} (positive: {known.positive}), {task.name} has "
        f"{', '.join(task.classes)} (positive: {task.positive})."
    )
    return Check("classes", same, says)


def _polarity(session: Session, task: Task, feature_set: FeatureSet, scorer: Scorer) -> Check:
    """A head that ranks the stored labels the wrong way round must not go live."""
    labels = labelling.effective(session, task.name)
    regions = session.execute(select(Region.id, Region.image_id).where(Region.image_id.in_(labels))).all()
    owners = {row.id: row.image_id for row in _spread(regions)}
    rows = vectors.copy_out(session, feature_set, sorted(owners))
    names = [labels[owners[region]] for region in rows.region_ids.tolist()]
    if len(set(names)) < 2:
        return Check("polarity", None, "There are no stored labels of both sides in this feature set.")
    try:
        auc = polarity(scorer, rows.avg, rows.max, names)
    except AppError as error:
        return Check("polarity", False, error.message)
    says = f"On {len(names)} labelled rows the head {polarity_verdict(auc)}; measured: AUC."
    return Check("polarity", auc > POLARITY_BOUND, says, auc, POLARITY_BOUND)


def _spread(regions: Any) -> Any:
    """At most `_GATE_ROWS` of them, evenly over the whole archive."""
    return regions[:: max(1, -(-len(regions) // _GATE_ROWS))]


def _parity(head: Head) -> Check:
    parity = (head.report or {}).get("parity")
    if not parity:
        return Check(
            "parity", False, "The report names no comparison of the artifact with its trainer; train it again."
        )
    difference, changed = float(parity["max_difference"]), int(parity["decisions_changed"])
    says = (
        f"Against its trainer on {parity['rows']} rows {changed} decisions changed; measured: greatest difference of a "
        "probability."
    )
    return Check("parity", difference <= PARITY_BOUND and changed == 0, says, difference, PARITY_BOUND)


def _policy(head: Head) -> Check:
    """The promises of the head's contract, on the out-of-fold rows that it was made on."""
    contract = (head.report or {}).get("contract")
    if not contract:
        return Check("policy", None, "The report holds no contract.", overridable=True)
    promises = contract.get("promises") or []
    broken = [promise for promise in promises if not _kept(promise)]
    if not promises:
        return Check("policy", True, contract["sentence"], overridable=True)
    shown = (broken or promises)[0]
    says = f"{contract['sentence']}; measured: misses, bound: how many the promise allows."
    return Check("policy", not broken, says, shown["seen"], shown["misses"], overridable=True)


def _kept(promise: dict[str, Any]) -> bool:
    proven = promise["bound"]
    if proven is not None and (proven < promise["target"] if _is_recall(promise) else proven > promise["target"]):
        return False
    return bool(promise["seen"] <= promise["misses"])


def _is_recall(promise: dict[str, Any]) -> bool:
    return bool(promise["metric"] == "recall")


def _policy_on_test(session: Session, head: Head, scorer: Scorer) -> Check:
    """Whether locked test rows contradict a promise: its rate lies beyond what they leave possible."""
    promises = ((head.report or {}).get("contract") or {}).get("promises") or []
    score = session.scalar(select(TestScore).where(TestScore.head_id == head.id).order_by(TestScore.at.desc()).limit(1))
    if score is None or not promises:
        return Check("policy-on-test", None, "There is no scored test split, or no promise.", overridable=True)
    name, said = session.get_one(Dataset, score.dataset_id).full_name, Evidence.from_bytes(score.evidence)
    found = [(promise, *_rate_on_test(said, scorer, recall=_is_recall(promise))) for promise in promises]
    bad = [one for one in found if one[2] and _contradicted(*one)]
    promise, hits, n = (bad or found)[0]
    if not n:
        return Check("policy-on-test", None, f"{name} has no test row of that class.", overridable=True)
    what = "recall" if _is_recall(promise) else "false-alarm rate"
    says = (
        f"On {n} test rows of {name} the {what} is {hits / n:.4f}, promised was {promise['target']:g}; measured: limit."
    )
    return Check("policy-on-test", not bad, says, _limit(promise, hits, n), promise["target"], overridable=True)


def _rate_on_test(said: Evidence, scorer: Scorer, *, recall: bool) -> tuple[int, int]:
    """Hits and rows: positives that are not decided negative, or negatives that are decided positive."""
    metadata = scorer.metadata
    scores = said.probabilities[:, said.classes.index(metadata.positive)]
    positive = said.y == said.classes.index(metadata.positive)
    cut = metadata.threshold if metadata.review_from is None or not recall else metadata.review_from
    rows = positive if recall else ~positive
    return int((rows & (scores >= cut)).sum()), int(rows.sum())


def _limit(promise: dict[str, Any], hits: int, n: int) -> float:
    return upper_limit(hits, n, _CONFIDENCE) if _is_recall(promise) else lower_limit(hits, n, _CONFIDENCE)


def _contradicted(promise: dict[str, Any], hits: int, n: int) -> bool:
    limit = _limit(promise, hits, n)
    return bool(limit < promise["target"] if _is_recall(promise) else limit > promise["target"])


def _not_worse(session: Session, ours: Side, margin: float) -> list[Check]:
    """Not worse than the live head beyond the margin, on the same rows."""
    live = tasks.live_head(session, ours.head.task)
    names = ("auc", "balanced-accuracy")
    if live is None or live.id == ours.head.id:
        return [Check(name, None, "There is no other live head.", bound=-margin, overridable=True) for name in names]
    try:
        assert live.artifact is not None
        found = compare(session, ours, Side(live, Scorer.load(live.artifact)))
    except AppError as error:
        says = f"The two heads cannot be compared: {error.message}"
        return [Check(name, None, says, bound=-margin, overridable=True) for name in names]
    if found is None:
        says = (
            "There are no labelled rows of both sides that both heads can answer for without having learned them. "
            "Score both on one dataset's test rows (`penumbra test`)."
        )
        return [Check(name, None, says, bound=-margin, overridable=True) for name in names]
    return [
        _margin(name, pair, margin, f"version {live.version} on {found.rows} rows ({found.source})")
        for name, pair in zip(names, (found.auc, found.balanced_accuracy), strict=True)
    ]


def _margin(name: str, pair: tuple[float, float], margin: float, against: str) -> Check:
    if np.isnan(pair).any():
        return Check(name, None, f"Both leave every row to review, against {against}.", bound=-margin, overridable=True)
    difference = pair[0] - pair[1]
    says = f"{pair[0]:.4f} against {pair[1]:.4f} of {against}; measured: the difference."
    return Check(name, difference >= -margin, says, difference, -margin, overridable=True)
