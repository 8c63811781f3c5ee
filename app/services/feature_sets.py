"""Feature sets: registered once, with a partition of their own, looked up by name."""

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from app import vectors
from app.errors import ConfigurationError, NotFound
from app.features.spec import FeatureSetSpec
from app.models import FeatureSet
from app.services import audit

# Serialises registration: two workers that start together must not both create the partition.
_REGISTRATION_LOCK = 7_301_001


def ensure(session: Session, spec: FeatureSetSpec, *, author: str) -> FeatureSet:
    """The stored feature set of `spec`, registered when it is new.

    Raise ConfigurationError when the name already stands for other weights or preprocessing:
    vectors of the two could not be told apart.
    """
    session.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _REGISTRATION_LOCK})
    stored = session.scalar(select(FeatureSet).where(FeatureSet.name == spec.name))
    if stored is not None:
        if stored.digest != spec.digest:
            raise ConfigurationError(
                f"Feature set {spec.name} is registered with digest {stored.digest[:12]}, but the configured "
                f"weights and preprocessing have {spec.digest[:12]}. Use the original weights, "
                "or another feature set name."
            )
        return stored
    stored = FeatureSet(
        name=spec.name, digest=spec.digest, avg_dim=spec.avg_dim, max_dim=spec.max_dim, spec=spec.as_dict()
    )
    session.add(stored)
    session.flush()
    vectors.create_partition(session, stored)
    audit.record(session, author, "feature_set.register", "feature_set", spec.name, digest=spec.digest)
    return stored


def named(session: Session, name: str) -> FeatureSet:
    found = session.scalar(select(FeatureSet).where(FeatureSet.name == name))
    if found is None:
        known = ", ".join(session.scalars(select(FeatureSet.name))) or "none"
        raise NotFound(f"There is no feature set {name}; registered: {known}.")
    return found


def every(session: Session) -> list[FeatureSet]:
    return list(session.scalars(select(FeatureSet).order_by(FeatureSet.id)))


def live_ids(session: Session) -> list[int]:
    return list(session.scalars(select(FeatureSet.id).where(FeatureSet.live)))
