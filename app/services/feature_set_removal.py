"""The end of a feature set: retired, it is kept and no longer extracted; dropped, its vectors are gone in one step."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from app import vectors
from app.errors import Unavailable
from app.models import BackboneTraining, FeatureSet, FeatureStage
from app.services import audit, feature_set_use, feature_sets, feeding, reconciling

# Dropping a partition shuts out every reader of vectors for a moment: it must not wait behind a long one.
_LOCK_SECONDS = 10
# Postgres: lock_not_available, deadlock_detected.
_BUSY = ("55P03", "40P01")


@dataclass(frozen=True)
class Dropped:
    """What went with a feature set, and what of it stays as a record."""

    name: str
    vectors: int
    bytes_freed: int
    jobs: int
    preparations: int
    regions: int
    regions_kept: int
    heads: int
    datasets: int

    @property
    def recorded(self) -> bool:
        """Whether the name stays taken, because heads or datasets speak of it."""
        return bool(self.heads or self.datasets)


def retire(session: Session, name: str, *, configured: str | None, author: str) -> FeatureSet:
    """Extract no more into a set, and keep what it has. Raise Conflict, naming them, while a task or live head uses it.

    `backfill.start` brings it back.
    """
    feature_set = feature_sets.named(session, name, lock=True)
    if feature_set.stage != FeatureStage.RETIRED:
        feature_set_use.require_unused(session, feature_set, "retired", configured=configured)
        feature_set.stage, feature_set.paused, feature_set.rate = FeatureStage.RETIRED, False, None
        session.flush()
        _forget_jobs(session, feature_set)
        audit.record(session, author, "feature_set.retire", "feature_set", name)
    return feature_set


def drop(session: Session, name: str, *, configured: str | None, author: str) -> Dropped:
    """Drop a set with its vectors, jobs and findings, and the regions that only it described.

    Heads and datasets made with it stay as records, which cannot be promoted or trained on. Raise Conflict, naming
    them, while a task or a live head uses it, Unavailable when its vectors are being read just now.
    """
    feature_sets.lock_registration(session)
    feature_set = feature_sets.named(session, name, lock=True)
    feature_set_use.require_unused(session, feature_set, "dropped", configured=configured)
    try:
        session.execute(text(f"SET LOCAL lock_timeout = '{_LOCK_SECONDS}s'"))
        return _drop(session, feature_set, author)
    except DBAPIError as error:
        if getattr(error.orig, "pgcode", None) not in _BUSY:
            raise
        raise Unavailable(
            f"The vectors of {name} are being read or written just now; nothing was dropped. Try again in a moment."
        ) from error


def _drop(session: Session, feature_set: FeatureSet, author: str) -> Dropped:
    # Neither of those that make jobs may be at it: what it makes would outlive the set.
    feeding.lock(session)
    reconciling.lock(session)
    partition = vectors.partition(feature_set.id)
    jobs = _forget_jobs(session, feature_set)
    _stop_heads(session, feature_set)
    gone = "DELETE FROM preparation WHERE feature_set_id = :fs"
    preparations = _count(session, gone, feature_set)
    stored = _scalar(session, f"SELECT count(*) FROM {partition} WHERE augmentation = 0", feature_set)
    size = _scalar(session, "SELECT pg_total_relation_size(CAST(:partition AS regclass))", feature_set)
    session.execute(text(f"DROP TABLE {partition}"))
    regions, kept = _drop_regions(session, feature_set)
    heads = _scalar(session, "SELECT count(*) FROM head WHERE feature_set_id = :fs", feature_set)
    datasets = _scalar(session, "SELECT count(*) FROM dataset WHERE feature_set_id = :fs", feature_set)
    found = Dropped(feature_set.name, stored, size, jobs, preparations, regions, kept, heads, datasets)
    _end(session, feature_set, found)
    audit.record(
        session, author, "feature_set.drop", "feature_set", feature_set.name,
        digest=feature_set.digest, vectors=stored, bytes=size, heads=heads, datasets=datasets,
    )  # fmt: skip
    return found


def _given(feature_set: FeatureSet) -> dict[str, Any]:
    return {"fs": feature_set.id, "cut": feature_set.cut, "partition": vectors.partition(feature_set.id)}


def _scalar(session: Session, statement: str, feature_set: FeatureSet) -> int:
    return int(session.scalar(text(statement), _given(feature_set)) or 0)


def _count(session: Session, statement: str, feature_set: FeatureSet) -> int:
    return int(session.execute(text(statement), _given(feature_set)).rowcount)  # type: ignore[attr-defined]


def _forget_jobs(session: Session, feature_set: FeatureSet) -> int:
    """Forget a set's extractions, of copies too."""
    statement = "DELETE FROM job WHERE feature_set_id = :fs AND kind IN ('extract', 'augment', 'explain')"
    return _count(session, statement, feature_set)


def _stop_heads(session: Session, feature_set: FeatureSet) -> None:
    """Cancel trainings and replays on the set, and requests for copies; a head in training will never be trained."""
    _count(
        session,
        "DELETE FROM augmentation_request WHERE dataset_id IN (SELECT id FROM dataset WHERE feature_set_id = :fs)",
        feature_set,
    )
    _count(
        session,
        "UPDATE job SET state = 'cancelled', lease_token = NULL, lease_until = NULL, finished_at = now() "
        "WHERE feature_set_id = :fs AND state IN ('queued', 'running')",
        feature_set,
    )
    _count(session, "UPDATE head SET stage = 'failed' WHERE feature_set_id = :fs AND stage = 'training'", feature_set)


def _drop_regions(session: Session, feature_set: FeatureSet) -> tuple[int, int]:
    """Delete regions of a cut that no other set describes; those that were judged stay, as the record of what was
    decided. How many of each."""
    others = select(FeatureSet.id).where(
        FeatureSet.cut == feature_set.cut, FeatureSet.id != feature_set.id, FeatureSet.stage != FeatureStage.DROPPED
    )
    if feature_set.cut == "frame" or session.scalar(others.limit(1)) is not None:
        return 0, 0
    gone = _count(
        session,
        "DELETE FROM region WHERE cut = :cut AND NOT EXISTS (SELECT FROM prediction p WHERE p.region_id = region.id)",
        feature_set,
    )
    return gone, _scalar(session, "SELECT count(*) FROM region WHERE cut = :cut", feature_set)


def _end(session: Session, feature_set: FeatureSet, found: Dropped) -> None:
    """Keep the set's row only where something speaks of it."""
    trained = session.scalar(select(BackboneTraining.id).where(BackboneTraining.feature_set_id == feature_set.id))
    if found.recorded or trained is not None:
        feature_set.stage, feature_set.paused, feature_set.rate = FeatureStage.DROPPED, False, None
        session.flush()
    else:
        session.execute(delete(FeatureSet).where(FeatureSet.id == feature_set.id))
