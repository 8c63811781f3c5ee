"""What cannot be judged, and why: regions whose pixels show too little, and scans of a kind that a head is not for."""

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from app.heads.policy_words import CANNOT_JUDGE
from app.models import FeatureSet, Head, Image, Region
from app.services.images import PredictionView

# Of a partial index: problems are rare, and a re-scoring of the archive asks for each batch.
_PROBLEMS = text(
    """
    SELECT region_id, findings -> 'problems' AS problems FROM preparation
    WHERE feature_set_id = :feature_set AND region_id = ANY (:regions)
        AND (findings #> '{problems,0}') IS NOT NULL
    """
)


def problems(session: Session, feature_set_id: int, region_ids: Sequence[int]) -> dict[int, str]:
    """Why regions cannot be judged, of those that cannot: what preparing them for a feature set found."""
    if not region_ids:
        return {}
    rows = session.execute(_PROBLEMS, {"feature_set": feature_set_id, "regions": list(region_ids)})
    return {row.region_id: "; ".join(problem["message"] for problem in row.problems) for row in rows}


def counts(session: Session) -> dict[str, int]:
    """Regions that a live head cannot judge, by why: a problem's code, or `unfamiliar`. One counts for each of its
    problems."""
    rows = session.execute(
        text(
            """
            SELECT coalesce(problem ->> 'code', 'unfamiliar') AS code, count(DISTINCT p.region_id) AS n
            FROM prediction p JOIN head h ON h.id = p.head_id AND h.stage = 'live'
            LEFT JOIN preparation f ON f.region_id = p.region_id AND f.feature_set_id = h.feature_set_id
            LEFT JOIN LATERAL jsonb_array_elements(f.findings -> 'problems') problem ON true
            WHERE p.decision = :decision GROUP BY 1 ORDER BY 1
            """
        ),
        {"decision": CANNOT_JUDGE},
    )
    return {row.code: row.n for row in rows}


def of_another_kind(session: Session, head: Head, image_id: UUID) -> list[PredictionView]:
    """What is said of an image that the head's feature set does not describe, without probabilities; else nothing.

    Nothing of it is stored: it follows from the kinds.
    """
    feature_set = session.get_one(FeatureSet, head.feature_set_id)
    image = session.get(Image, image_id)
    if image is None or None in (image.profile, feature_set.profile) or image.profile == feature_set.profile:
        return []
    reason = (
        f"This is a {image.profile} scan, and {head.task} is a question about {feature_set.profile} scans. "
        "If it was stored as the wrong kind, delete it and send it again."
    )
    regions = select(Region).where(Region.image_id == image_id, Region.cut == "frame").order_by(Region.ordinal)
    return [
        PredictionView(
            head.task, one.id, (one.x, one.y, one.width, one.height), head.id, head.version, {}, CANNOT_JUDGE,
            head.threshold or 0.0, feature_set.name, datetime.now(UTC), reason,
        )
        for one in session.scalars(regions)
    ]  # fmt: skip
