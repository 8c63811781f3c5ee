"""Tasks that still use the feature set of an earlier bundled network, and the one that took its place."""

from dataclasses import dataclass

from sqlalchemy.orm import Session

from app.models import FeatureSet, FeatureStage
from app.services import feature_sets, starters, tasks


@dataclass(frozen=True)
class Upgrade:
    """What is to be done for a task. `own_head`: its live head was trained here, and did not come with Penumbra."""

    task: str
    present: str
    target: str
    own_head: bool


def pending(session: Session, task: str | None = None) -> list[Upgrade]:
    """Every upgrade that is to be done, or that of one task. Raise NotFound."""
    found = []
    for one in tasks.every(session) if task is None else [tasks.named(session, task)]:
        if one.feature_set_id is None:
            continue
        present = session.get_one(FeatureSet, one.feature_set_id)
        target = feature_sets.superseded_by(present)
        if target is not None:
            live = tasks.live_head(session, one.name)
            own = live is not None and not starters.is_starter(live)
            found.append(Upgrade(one.name, present.name, target, own))
    return found


def superseded(session: Session) -> list[tuple[str, str]]:
    """Sets of earlier bundled networks into which scans are still extracted, each with what took its place."""
    extracted = (one for one in feature_sets.stored(session) if one.stage in (FeatureStage.LIVE, FeatureStage.FILLING))
    return [(one.name, newer) for one in extracted if (newer := feature_sets.superseded_by(one)) is not None]


def notice(session: Session) -> str | None:
    """What an operator is told of them; None where there is none."""
    found = superseded(session)
    if not found:
        return None
    said = ", ".join(f"{newer} in place of {name}" for name, newer in found)
    what = "move to it with `penumbra features upgrade`" if pending(session) else "no task uses the former: retire it"
    return f"this version brings a newer network ({said}); {what}"
