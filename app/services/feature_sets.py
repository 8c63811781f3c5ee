"""Feature sets: registered once, with a partition of their own, looked up by name, task or image."""

from typing import Any
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from app import vectors
from app.errors import ConfigurationError, Conflict, NotFound
from app.features.spec import FeatureSetSpec
from app.features.weights import successor, versions
from app.models import Embedding, FeatureSet, FeatureStage, Region, Task
from app.services import audit

# Serialises registration: two workers that start together must not both create the partition.
_REGISTRATION_LOCK = 7_301_001


def ensure(
    session: Session,
    spec: FeatureSetSpec,
    *,
    author: str,
    stage: FeatureStage = FeatureStage.LIVE,
    origin: dict[str, Any] | None = None,
) -> FeatureSet:
    """The stored feature set of `spec`, registered at `stage` when it is new, or filled anew when it was dropped.

    Raise ConfigurationError when the name already stands for other weights or preprocessing:
    vectors of the two could not be told apart. Raise Conflict when the same vectors have another name.
    """
    lock_registration(session)
    stored = session.scalar(select(FeatureSet).where(FeatureSet.name == spec.name))
    if stored is not None:
        _require_same(stored, spec)
        if stored.stage == FeatureStage.DROPPED:
            _revive(session, stored, author, stage)
        return stored
    namesake = session.scalar(select(FeatureSet.name).where(FeatureSet.digest == spec.digest))
    if namesake is not None:
        raise Conflict(f"Feature set {namesake} has these weights and this preprocessing already; use it.")
    stored = FeatureSet(
        name=spec.name, digest=spec.digest, avg_dim=spec.avg_dim, max_dim=spec.max_dim, spec=spec.as_dict(),
        stage=stage, profile=spec.preprocessing.profile, cut=spec.preprocessing.cut, origin=origin or {},
    )  # fmt: skip
    session.add(stored)
    session.flush()
    vectors.create_partition(session, stored)
    audit.record(session, author, "feature_set.register", "feature_set", spec.name, digest=spec.digest)
    return stored


def lock_registration(session: Session) -> None:
    """Let nobody else register or drop a set until this transaction ends."""
    session.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _REGISTRATION_LOCK})


def _require_same(stored: FeatureSet, spec: FeatureSetSpec) -> None:
    if stored.digest != spec.digest:
        raise ConfigurationError(
            f"Feature set {spec.name} is registered with digest {stored.digest[:12]}, but the configured "
            f"weights and preprocessing have {spec.digest[:12]}. Use the original weights, "
            "or another feature set name."
        )


def _revive(session: Session, stored: FeatureSet, author: str, stage: FeatureStage) -> None:
    """Give a dropped set its partition back: its heads and datasets speak of vectors that will be the same again."""
    stored.stage = stage
    session.flush()
    vectors.create_partition(session, stored)
    audit.record(session, author, "feature_set.revive", "feature_set", stored.name, digest=stored.digest)


def named(session: Session, name: str, *, lock: bool = False) -> FeatureSet:
    """The set of this name; `lock` keeps other changes to it out until the transaction ends.

    Raise NotFound, also for one that was dropped.
    """
    query = select(FeatureSet).where(FeatureSet.name == name)
    found = session.scalar(query.with_for_update().execution_options(populate_existing=True) if lock else query)
    if found is None:
        known = session.scalars(select(FeatureSet.name).where(FeatureSet.stage != FeatureStage.DROPPED))
        raise NotFound(f"There is no feature set {name}; registered: {', '.join(known) or 'none'}.")
    require_stored(found)
    return found


def require_stored(feature_set: FeatureSet) -> None:
    """Raise NotFound when the vectors of a set were dropped: its heads and datasets are records only."""
    if feature_set.stage == FeatureStage.DROPPED:
        raise NotFound(
            f"Feature set {feature_set.name} was dropped; heads and datasets made with it stay as records only. The "
            f"same weights bring it back (`penumbra features add {feature_set.name}`), to be filled anew."
        )


def ensure_configured(session: Session, spec: FeatureSetSpec, *, author: str) -> FeatureSet:
    """What the settings mean by a feature set, registered where the store has none of its versions.

    A store that has the set of an earlier bundled network goes on with that one: registered as live, the new one
    would make every image of the archive wait for it. Raise what `ensure` raises.
    """
    found = _configured(session, spec.name)
    return ensure(session, spec, author=author) if found is None or found.name == spec.name else found


def _configured(session: Session, name: str) -> FeatureSet | None:
    """What the settings mean by a name: of the versions that the store has one that is live, else the newest."""
    found = _versions(session, name)
    return next((one for one in found if one.stage == FeatureStage.LIVE), found[0] if found else None)


def _versions(session: Session, name: str) -> list[FeatureSet]:
    """The stored set of this name, and those of earlier bundled networks under it, newest first."""
    known = versions(name)
    query = select(FeatureSet).where(FeatureSet.name.in_(known), FeatureSet.stage != FeatureStage.DROPPED)
    return sorted(session.scalars(query), key=lambda one: known.index(one.name))


def superseded_by(stored: FeatureSet) -> str | None:
    """The set of the newest bundled network that took the place of this one; None where none did."""
    return None if stored.stage == FeatureStage.DROPPED else successor(stored.digest)


def chosen(session: Session, asked: str | None, default: str | None) -> FeatureSet:
    """The feature set that was asked for, else the one in the settings, else the first live one.

    A name that a newer bundled network has taken still means the former one's, as long as the store has no other.
    """
    if asked:
        return next(iter(_versions(session, asked)), None) or named(session, asked)
    if default:
        return _configured(session, default) or named(session, default)
    live = session.scalar(select(FeatureSet).where(FeatureSet.stage == FeatureStage.LIVE).order_by(FeatureSet.id))
    if live is None:
        raise Conflict("No feature set is live: add one with `penumbra features add`.")
    return live


def of_task(session: Session, task: Task, asked: str | None, default: str | None) -> FeatureSet:
    """What a task's next heads are trained on: the one asked for, else its own."""
    if asked is None and task.feature_set_id is not None:
        return session.get_one(FeatureSet, task.feature_set_id)
    return chosen(session, asked, default)


def of_image(session: Session, image_id: UUID, asked: str | None, default: str | None) -> FeatureSet:
    """The one asked for, else the first live one that describes the image, else as `chosen`."""
    if asked is None and default is None:
        found = session.scalar(
            select(FeatureSet)
            .where(FeatureSet.stage == FeatureStage.LIVE)
            .join(Embedding, (Embedding.feature_set_id == FeatureSet.id) & (Embedding.augmentation == 0))
            .join(Region, (Region.id == Embedding.region_id) & (Region.image_id == image_id))
            .order_by(FeatureSet.id)
            .limit(1)
        )
        if found is not None:
            return found
    return chosen(session, asked, default)


def every(session: Session) -> list[FeatureSet]:
    """All there ever were and that something still speaks of, dropped ones too."""
    return list(session.scalars(select(FeatureSet).order_by(FeatureSet.id)))


def stored(session: Session) -> list[FeatureSet]:
    """Those that have vectors."""
    kept = select(FeatureSet).where(FeatureSet.stage != FeatureStage.DROPPED)
    return list(session.scalars(kept.order_by(FeatureSet.id)))


def live(session: Session) -> list[FeatureSet]:
    return list(
        session.scalars(select(FeatureSet).where(FeatureSet.stage == FeatureStage.LIVE).order_by(FeatureSet.id))
    )
