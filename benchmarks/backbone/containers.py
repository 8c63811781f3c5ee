"""Empty or loaded: heads that saw simulated scans alone, on the real scans of a port."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from app.errors import NotTrainable
from app.heads.metrics import roc_auc
from app.heads.policies import judge
from app.heads.policy_words import DEFAULT_POLICY, ThresholdPolicy
from app.heads.pooling import Pooling
from benchmarks.backbone.figures import Bools, Margins
from benchmarks.backbone.judging import Tuned
from benchmarks.backbone.kept import tuned
from benchmarks.backbone.prepared import Prepared
from benchmarks.backbone.vectors import Backbone, Selection, where

VIEWS = ("container", "plain")
# The first is what Penumbra does unless it is told otherwise; the last is what it suggests to who must miss nothing.
POLICIES = (str(DEFAULT_POLICY), "fixed=0.5", "recall>=0.99@0.95")


def measure(simulated: Sequence[Prepared], real: Prepared, backbones: Sequence[Backbone]) -> dict[str, Any]:
    """Figures by view, backbone and pooling; each set holds every scan in each view."""
    return {
        "simulated": len(_seen_as(VIEWS[0], simulated)),
        "real": len(where(real, "view", VIEWS[0])),
        "real_loaded": int(where(real, "view", VIEWS[0]).column("y").sum()),
        "policies": list(POLICIES),
        "views": {view: {one.name: _of(view, simulated, real, one) for one in backbones} for view in VIEWS},
    }


def _seen_as(view: str, sets: Sequence[Prepared]) -> Selection:
    return Selection(tuple(part for one in sets for part in where(one, "view", view).parts))


def _of(view: str, simulated: Sequence[Prepared], real: Prepared, backbone: Backbone) -> dict[str, Any]:
    learned, tested = _seen_as(view, simulated), where(real, "view", view)
    trained, judged = learned.vectors(backbone), tested.vectors(backbone)
    y, actual = learned.column("y"), tested.column("y")
    found: dict[str, Any] = {}
    for pooling in Pooling:
        head = tuned(trained.features(pooling), y, np.arange(len(y)), backbone.cache)
        found[pooling.value] = _figures(head, y, head.head.margins(judged.features(pooling)), actual)
    return found


def _figures(found: Tuned, y: Any, margins: Margins, actual: Any) -> dict[str, Any]:
    return {
        "c": found.head.c,
        "simulated_auc": roc_auc(y == 1, found.out_of_fold),
        "auc": roc_auc(actual == 1, margins),
        "policies": {policy: _errors(policy, y == 1, found.out_of_fold, actual == 1, margins) for policy in POLICIES},
    }


def _errors(
    policy: str, simulated: Bools, out_of_fold: Margins, loaded: Bools, margins: Margins
) -> dict[str, Any] | None:
    """Errors on the real scans at the threshold that the policy finds among simulated scans out of fold.

    None where they are too few for what the policy promises.
    """
    try:
        threshold = judge(ThresholdPolicy.parse(policy), None, simulated, _probability(out_of_fold)).threshold
    except NotTrainable:
        return None
    says = _probability(margins) >= threshold
    seen = _probability(out_of_fold) >= threshold
    return {
        "threshold": threshold,
        "simulated_errors": int((seen != simulated).sum()),
        "errors": int((says != loaded).sum()),
        "missed": int((~says & loaded).sum()),
        "false_alarms": int((says & ~loaded).sum()),
    }


def _probability(margins: Margins) -> Margins:
    return np.asarray(1 / (1 + np.exp(-margins)))
