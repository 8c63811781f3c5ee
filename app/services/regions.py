"""Regions that a detector found, and what was found of them: stored once, whoever extracts them first."""

import json
from collections.abc import Mapping, Sequence
from uuid import UUID

from sqlalchemy import bindparam, select, text
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session

from app.imaging.prepare import PreparedRegion
from app.models import Region

Found = Mapping[UUID, Sequence[PreparedRegion]]
"""Images with their regions."""
RegionIds = dict[tuple[UUID, int], int]
"""Ids of regions by image and ordinal."""


def ensure(session: Session, cut: str, found: Found) -> RegionIds:
    """The ids of these regions of a cut; those that the store lacks are added to it.

    A detector of one name finds the same in the same bytes, so it does not matter who stores a region first.
    """
    ids = _known(session, cut, list(found))
    missing = [
        {
            "image_id": image, "cut": cut, "ordinal": region.ordinal, "frame": region.frame, "x": region.box.x,
            "y": region.box.y, "width": region.box.width, "height": region.box.height,
        }
        for image in sorted(found)  # sorted: two workers that add the same must not wait for each other
        for region in found[image]
        if (image, region.ordinal) not in ids
    ]  # fmt: skip
    if not missing:
        return ids
    session.execute(upsert(Region).on_conflict_do_nothing(index_elements=["image_id", "cut", "ordinal"]), missing)
    return _known(session, cut, list(found))


def _known(session: Session, cut: str, image_ids: Sequence[UUID]) -> RegionIds:
    rows = session.execute(
        select(Region.image_id, Region.ordinal, Region.id).where(Region.image_id.in_(image_ids), Region.cut == cut)
    )
    return {(row.image_id, row.ordinal): row.id for row in rows}


_KEEP = text(
    """
    INSERT INTO preparation (region_id, feature_set_id, findings)
    SELECT said.region_id, :feature_set, said.findings::jsonb
    FROM unnest(CAST(:regions AS bigint[]), CAST(:findings AS text[])) AS said (region_id, findings)
    ON CONFLICT DO NOTHING
    """
).bindparams(bindparam("feature_set"))


def keep_findings(session: Session, feature_set_id: int, ids: RegionIds, found: Found) -> None:
    """Store what preparing regions for a feature set found, where it found anything; what is stored stays."""
    said = {
        ids[image, region.ordinal]: json.dumps(region.findings)
        for image, regions in found.items()
        for region in regions
        if any(region.findings.values())
    }
    if said:
        session.execute(
            _KEEP, {"feature_set": feature_set_id, "regions": list(said), "findings": list(said.values())}
        )  # fmt: skip
