"""Similar scans: nearest neighbours within one feature set."""

from uuid import UUID

import numpy as np
import numpy.typing as npt
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from app import vectors
from app.errors import Conflict, InvalidInput
from app.models import FeatureSet, Region
from app.services import images
from app.services.filters import ImageFilter
from app.vectors import EXACT_BELOW_ROWS, Neighbours, Vectors


def by_vector(
    session: Session,
    feature_set: FeatureSet,
    query: npt.ArrayLike,
    wanted: ImageFilter,
    *,
    limit: int,
    exact: bool = False,
    without: UUID | None = None,
) -> Neighbours:
    """Images nearest to an average-pooled vector (avg_dim,) of any length, of those the filter keeps.

    Raise InvalidInput for a vector without a direction, MixedFeatureSets for other dimensions.
    """
    wanted.check(session)
    query = _unit(query)
    where, parameters = wanted.sql()
    if without is not None:
        where, parameters = f"{where} AND image.id <> :without", {**parameters, "without": without}
    matching = _count_up_to(session, where, parameters, EXACT_BELOW_ROWS)
    return vectors.nearest(
        session, feature_set, query,
        limit=limit, where=where, parameters=parameters, matching=matching, exact=exact,
    )  # fmt: skip


def by_image(
    session: Session,
    feature_set: FeatureSet,
    image_id: UUID,
    wanted: ImageFilter,
    *,
    limit: int,
    exact: bool = False,
) -> Neighbours:
    """Images nearest to a stored one, itself left out. Raise Conflict while it has no vectors."""
    return by_vector(
        session, feature_set, vector_of(session, feature_set, image_id), wanted,
        limit=limit, exact=exact, without=image_id,
    )  # fmt: skip


def vector_of(session: Session, feature_set: FeatureSet, image_id: UUID) -> Vectors:
    """The average-pooled vector (avg_dim,) of an image's first region."""
    images.get(session, image_id)
    region = session.scalar(
        select(Region.id).where(Region.image_id == image_id, Region.cut == feature_set.cut).order_by(Region.ordinal)
    )
    rows = vectors.copy_out(session, feature_set, [] if region is None else [region])
    if not len(rows):
        raise Conflict(
            f"Image {image_id} has no vectors in {feature_set.name}: it is still pending, or failed; its state says."
        )
    return np.ascontiguousarray(rows.avg[0])


def _unit(query: npt.ArrayLike) -> Vectors:
    """The query at length 1: cosine distance is the same, and no value overflows the index's half precision.

    Raise InvalidInput when it has no direction.
    """
    exact = np.asarray(query, np.float64)
    length = np.abs(exact).max(initial=0.0)
    if not np.isfinite(length) or length == 0:
        raise InvalidInput("The query vector must be finite and not all zeros.")
    exact = exact / length  # first to a largest value of 1, so that squaring cannot overflow
    unit: Vectors = (exact / np.linalg.norm(exact)).astype(np.float32)
    return unit


def _count_up_to(session: Session, where: str, parameters: dict[str, object], bound: int) -> int:
    """How many images match, counted no further than `bound`."""
    statement = f"SELECT count(*) FROM (SELECT FROM image WHERE {where} LIMIT :bound) bounded"
    return int(session.scalar(text(statement), {**parameters, "bound": bound}) or 0)
