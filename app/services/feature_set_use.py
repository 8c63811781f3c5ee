"""What a feature set is used for, and what it holds: what a list shows, and what speaks against removing one."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from app.errors import Conflict
from app.models import FeatureSet, FeatureStage, Head, Stage, Task
from app.services import backfill, feature_sets, feeding
from app.services.backfill import Coverage

# The speed of a set is that of its last backfilled images, if there are enough of them to tell.
_LAST_EXTRACTIONS, _FEWEST_EXTRACTIONS = 2_000, 50


@dataclass(frozen=True)
class Use:
    """Tasks whose next heads are trained on a set, and live heads (task, version) that read it."""

    tasks: list[str] = field(default_factory=list)
    heads: list[tuple[str, int]] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.tasks or self.heads)

    def __str__(self) -> str:
        said = [f"task {task}" for task in self.tasks]
        said += [f"live head {task} version {version}" for task, version in self.heads]
        return ", ".join(said)


@dataclass(frozen=True)
class Described:
    """A feature set as lists show it. `coverage` is None for one whose vectors were dropped; `superseded_by` is the set
    of a newer bundled network that took its place."""

    feature_set: FeatureSet
    coverage: Coverage | None
    use: Use
    waiting: int
    images_per_second: float | None
    superseded_by: str | None


def of_all(session: Session) -> dict[int, Use]:
    """The use of each feature set that has any."""
    found: dict[int, Use] = defaultdict(Use)
    for task in session.scalars(select(Task).where(Task.feature_set_id.is_not(None)).order_by(Task.name)):
        assert task.feature_set_id is not None
        found[task.feature_set_id].tasks.append(task.name)
    live = select(Head.feature_set_id, Head.task, Head.version).where(Head.stage == Stage.LIVE).order_by(Head.task)
    for row in session.execute(live):
        found[row.feature_set_id].heads.append((row.task, row.version))
    return found


def describe(session: Session, found: Sequence[FeatureSet]) -> list[Described]:
    """Feature sets with their coverage, their use and what waits; reads every image once a set."""
    used = of_all(session)
    waiting = text(
        "SELECT count(*) FROM job WHERE kind = 'extract' AND state IN ('queued', 'running') AND feature_set_id = :fs"
    )
    return [
        Described(
            one,
            None if one.stage == FeatureStage.DROPPED else backfill.coverage(session, one),
            used.get(one.id, Use()),
            session.scalar(waiting, {"fs": one.id}) or 0,
            speed(session, one),
            feature_sets.superseded_by(one),
        )
        for one in found
    ]


def speed(session: Session, feature_set: FeatureSet) -> float | None:
    """Images a second of a set's last backfill; None where too little of one is remembered to tell.

    Uploads say nothing of it, since workers wait for them; nor do the gaps of a pause or a worker's death.
    """
    row = session.execute(
        text(
            f"""
            SELECT count(*) AS n, extract(epoch FROM sum(gap) FILTER (WHERE gap < interval '10 s')) AS seconds FROM (
                SELECT finished_at - lag(finished_at) OVER (ORDER BY finished_at) AS gap FROM (
                    SELECT finished_at FROM job WHERE kind = 'extract' AND state = 'succeeded' AND feature_set_id = :fs
                    AND priority >= :backfill AND finished_at IS NOT NULL
                    ORDER BY finished_at DESC LIMIT {_LAST_EXTRACTIONS}) last) gaps
            """
        ),
        {"fs": feature_set.id, "backfill": feeding.CATCH_UP},
    ).one()
    return float(row.n / float(row.seconds)) if row.n >= _FEWEST_EXTRACTIONS and row.seconds else None


def require_unused(session: Session, feature_set: FeatureSet, what: str, *, configured: str | None) -> None:
    """Raise Conflict, naming what uses the set, unless nothing does; `configured` is the one in the settings."""
    used = of_all(session).get(feature_set.id, Use())
    if used:
        raise Conflict(
            f"Feature set {feature_set.name} cannot be {what}: {used} need(s) it. Switch the task to another set "
            "first (`penumbra features switch TASK NAME`)."
        )
    if feature_set.name == configured:
        raise Conflict(
            f"Feature set {feature_set.name} cannot be {what}: PENUMBRA_FEATURE_SET names it, and every start would "
            "bring it back. Take it out of the settings first."
        )
