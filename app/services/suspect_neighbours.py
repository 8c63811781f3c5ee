"""What the scans most like a suspect are labelled as: the second witness of a review."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from app import vectors
from app.models import FeatureSet, Head, Image, Label
from app.services import feature_sets, labelling
from app.services.filters import STANDING
from app.services.label_review import Suspect

_LABELLED = f"""
    image.id <> :without
    AND EXISTS (SELECT FROM label WHERE label.image_id = image.id AND label.task = :labelled_for AND {STANDING})
"""


@dataclass(frozen=True)
class LabelledNeighbour:
    """A labelled image near a suspect: its class, its file's name, and the cosine distance, 0 to 2."""

    image_id: UUID
    file_name: str | None
    class_name: str
    distance: float


def nearest(session: Session, head: Head, suspects: Sequence[Suspect], *, count: int) -> list[list[LabelledNeighbour]]:
    """Of each suspect, the nearest images with a label for the head's task, in the head's feature set."""
    if not suspects or not count:
        return [[] for _ in suspects]
    feature_set = session.get_one(FeatureSet, head.feature_set_id)
    feature_sets.require_stored(feature_set)
    rows = vectors.copy_out(session, feature_set, [one.region_id for one in suspects])
    row_of = {region: row for row, region in enumerate(rows.region_ids.tolist())}
    labelled = (
        session.scalar(select(func.count(Label.image_id.distinct())).where(Label.task == head.task, text(STANDING)))
        or 0
    )
    near: dict[UUID, list[vectors.Neighbour]] = defaultdict(list)
    for one in suspects:
        if (row := row_of.get(one.region_id)) is not None:
            near[one.image_id] = vectors.nearest(
                session, feature_set, rows.avg[row], limit=count, where=_LABELLED,
                parameters={"without": one.image_id, "labelled_for": head.task}, matching=labelled,
            ).found  # fmt: skip
    seen = list({n.image_id for found in near.values() for n in found})
    classes = labelling.effective(session, head.task, seen)
    names = {
        row.id: row.file_name for row in session.execute(select(Image.id, Image.file_name).where(Image.id.in_(seen)))
    }
    return [
        [LabelledNeighbour(n.image_id, names.get(n.image_id), classes[n.image_id], n.distance)
         for n in near[one.image_id] if n.image_id in classes]
        for one in suspects
    ]  # fmt: skip
