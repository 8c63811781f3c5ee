"""Filling a feature set behind the live ones: asked for, slowed, paused and gone on with; how far it is.

What is to be done is derived from what is missing, never kept in a list: the feeder (`app.services.feeding`) queues
some of it at a time, and whatever is killed meanwhile, the next look finds the same gaps.
"""

from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.claims import Priority
from app.errors import Conflict, InvalidInput
from app.models import FeatureSet, FeatureStage
from app.services import audit, feature_sets
from app.services.coverage import APPLIES, MISSING

LARGEST_RATE = 1e6

# One feature set as `fs`, its values as constants: so that Postgres looks at one partition alone.
ONE = "(SELECT CAST(:fs AS int) AS id, CAST(:cut AS text) AS cut, CAST(:profile AS text) AS profile) fs"


@dataclass(frozen=True)
class Coverage:
    """Of the images that a feature set applies to, how many it describes, and how many were given up on."""

    applicable: int
    done: int
    failed: int

    @property
    def pending(self) -> int:
        """Images that are still to be extracted."""
        return self.applicable - self.done - self.failed


def constants(feature_set: FeatureSet) -> dict[str, object]:
    """What `ONE` is given."""
    return {"fs": feature_set.id, "cut": feature_set.cut, "profile": feature_set.profile}


def coverage(session: Session, feature_set: FeatureSet) -> Coverage:
    """How far a feature set is. Reads every image: 0.1 s at 100,000 (2026-11)."""
    row = session.execute(
        text(
            f"""
            SELECT (SELECT count(*) FROM image CROSS JOIN {ONE} WHERE {APPLIES}) AS applicable,
                (SELECT count(*) FROM image CROSS JOIN {ONE} WHERE {APPLIES} AND {MISSING}) AS missing,
                (SELECT count(*) FROM image CROSS JOIN {ONE} WHERE {APPLIES} AND {MISSING} AND image.id IN (
                    SELECT image_id FROM job WHERE kind = 'extract' AND state = 'failed' AND feature_set_id = :fs)
                ) AS failed
            """
        ),
        constants(feature_set),
    ).one()
    return Coverage(row.applicable, row.applicable - row.missing, row.failed)


def start(session: Session, name: str, *, rate: float | None = None, author: str) -> FeatureSet:
    """Have everything extracted that a feature set lacks; asked again, it goes on. `rate`: images a second at most.

    A retired set is filled again. Raise Conflict for a rate on a live set, which takes what it lacks at once.
    """
    feature_set = feature_sets.named(session, name, lock=True)
    if feature_set.stage == FeatureStage.LIVE:
        if rate is not None:
            raise Conflict(f"Feature set {name} is live: what it lacks is extracted at once, and has no rate.")
        return feature_set
    feature_set.stage, feature_set.paused = FeatureStage.FILLING, False
    _set_rate(session, feature_set, rate if rate is not None else feature_set.rate)
    audit.record(session, author, "feature_set.backfill", "feature_set", name, rate=feature_set.rate)
    return feature_set


def pause(session: Session, name: str, *, author: str) -> FeatureSet:
    """Extract no more into a filling set until it is resumed; what a worker has in hand it finishes."""
    feature_set = _filling(session, name, "pause")
    if not feature_set.paused:
        feature_set.paused = True
        audit.record(session, author, "feature_set.pause", "feature_set", name)
    return feature_set


def resume(session: Session, name: str, *, author: str) -> FeatureSet:
    """Go on with a filling set that was paused."""
    feature_set = _filling(session, name, "resume")
    if feature_set.paused:
        feature_set.paused = False
        _set_rate(session, feature_set, feature_set.rate)  # or what became due meanwhile would come at once
        audit.record(session, author, "feature_set.resume", "feature_set", name)
    return feature_set


def limit(session: Session, name: str, rate: float | None, *, author: str) -> FeatureSet:
    """Extract at most `rate` images a second into a filling set; None: as many as the workers can."""
    feature_set = _filling(session, name, "slow down")
    _set_rate(session, feature_set, rate)
    audit.record(session, author, "feature_set.rate", "feature_set", name, rate=rate)
    return feature_set


def _filling(session: Session, name: str, what: str) -> FeatureSet:
    feature_set = feature_sets.named(session, name, lock=True)
    if feature_set.stage != FeatureStage.FILLING:
        raise Conflict(
            f"Feature set {name} is {feature_set.stage}: there is no backfill to {what}. "
            "Only a set that is being filled can be paused, resumed and slowed."
        )
    return feature_set


def _set_rate(session: Session, feature_set: FeatureSet, rate: float | None) -> None:
    if rate is not None and not 0 < rate <= LARGEST_RATE:
        raise InvalidInput(f"A rate of {rate:g} images a second: give more than 0, and {LARGEST_RATE:,.0f} at most.")
    feature_set.rate = rate
    session.flush()
    # What waits already was spaced by the former rate. Jobs that a worker is just taking are left as they are.
    session.execute(
        text(
            """
            UPDATE job SET run_after = now() + make_interval(secs => place * :gap) FROM (
                SELECT id, row_number() OVER (ORDER BY run_after, id) - 1 AS place FROM (
                    SELECT id, run_after FROM job WHERE kind = 'extract' AND state = 'queued' AND attempts = 0
                    AND feature_set_id = :fs AND priority = :priority FOR UPDATE SKIP LOCKED) free
            ) spaced WHERE job.id = spaced.id
            """
        ),
        {"fs": feature_set.id, "priority": Priority.BACKFILL, "gap": gap_seconds(rate)},
    )


def gap_seconds(rate: float | None) -> float:
    """The time between two images at a rate."""
    return 0.0 if rate is None else 1 / rate
