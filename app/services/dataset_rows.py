"""Which rows a dataset is frozen from: labelled regions with vectors in one feature set."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.errors import InvalidInput
from app.models import FeatureSet, Task
from app.services import feature_sets
from app.services.filters import PRECEDENCE, STANDING, ImageFilter
from app.services.labelling import SOURCES


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Which labelled images are meant.

    `sources`: labels of these sources alone are looked at, as if there were no others; none: all. `limit` keeps that
    many images, those with the lowest SHA-256: a sample at random, the same one in every store.
    """

    where: ImageFilter = field(default_factory=ImageFilter)
    sources: tuple[str, ...] = ()
    limit: int | None = None

    def __post_init__(self) -> None:
        unknown = [source for source in self.sources if source not in SOURCES]
        if unknown:
            raise InvalidInput(f"{unknown[0]} is no source of labels; use {', '.join(SOURCES)}.")
        if self.limit is not None and self.limit < 1:
            raise InvalidInput(f"A limit of {self.limit} images: give 1 or more.")

    def to_json(self) -> dict[str, Any]:
        """What was said, as text: what was left out is left out."""
        said = {name: value for name, value in asdict(self.where).items() if value is not None}
        written = {name: v.isoformat() if isinstance(v, datetime) else v for name, v in said.items()}
        return (
            written
            | ({"sources": list(self.sources)} if self.sources else {})
            | ({"limit": self.limit} if self.limit is not None else {})
        )


class Candidate(NamedTuple):
    """A labelled region that may become a row."""

    region_id: int
    ordinal: int
    image_id: UUID
    sha256: bytes
    class_name: str
    subject: str
    taken_at: datetime
    file_name: str | None


def candidates(session: Session, task: Task, feature_set: FeatureSet, selection: Selection) -> list[Candidate]:
    """The rows that a selection means, by SHA-256 and ordinal; an image without a subject is its own.

    Raise InvalidInput or NotFound for a filter that names what does not exist.
    """
    selection.where.check(session)
    condition, parameters = selection.where.sql()
    rows = session.execute(
        text(
            f"""
            WITH label_of AS (
                SELECT DISTINCT ON (image_id) image_id, class_name FROM label
                WHERE task = :dataset_task AND (:every_source OR source = ANY (:sources)) AND {STANDING}
                ORDER BY image_id, {PRECEDENCE}
            ), chosen AS (
                SELECT image.id, image.sha256, image.file_name, l.class_name,
                    coalesce(image.subject, encode(image.sha256, 'hex')) AS subject,
                    coalesce(image.captured_at, image.received_at) AS taken_at
                FROM label_of l JOIN image ON image.id = l.image_id
                WHERE ({condition}) AND EXISTS (SELECT FROM region r JOIN embedding e ON e.region_id = r.id
                    AND e.feature_set_id = :extracted AND e.augmentation = 0 WHERE r.image_id = image.id)
                ORDER BY image.sha256 LIMIT :most
            )
            SELECT r.id, r.ordinal, c.id AS image_id, c.sha256, c.class_name, c.subject, c.taken_at, c.file_name
            FROM chosen c JOIN region r ON r.image_id = c.id
            JOIN embedding e ON e.region_id = r.id AND e.feature_set_id = :extracted AND e.augmentation = 0
            ORDER BY c.sha256, r.ordinal
            """
        ),
        {
            **parameters, "dataset_task": task.name, "extracted": feature_set.id, "most": selection.limit,
            "every_source": not selection.sources, "sources": list(selection.sources or SOURCES),
        },
    )  # fmt: skip
    return [Candidate(r.id, r.ordinal, r.image_id, bytes(r.sha256), *r[4:]) for r in rows]


def told_apart(rows: Sequence[Candidate], positive: str) -> tuple[list[Candidate], int]:
    """The rows whose image's label is theirs for sure, and how many images that leaves out.

    Of an image with several regions a negative label holds for each of them. A positive one says that one of them is,
    and not which: two containers on a truck, one of them loaded.
    """
    regions = Counter(row.image_id for row in rows)
    unclear = {row.image_id for row in rows if row.class_name == positive and regions[row.image_id] > 1}
    return [row for row in rows if row.image_id not in unclear], len(unclear)


def lost(session: Session, dataset_id: UUID, feature_set: FeatureSet, splits: Sequence[str]) -> int:
    """How many rows of these splits have no vectors any more, because their images were deleted.

    Raise NotFound when all vectors of the feature set were dropped.
    """
    feature_sets.require_stored(feature_set)
    counted = session.scalar(
        text(
            "SELECT count(*) FROM dataset_row d WHERE d.dataset_id = :dataset AND d.split = ANY (:splits) "
            "AND NOT EXISTS (SELECT FROM embedding e WHERE e.region_id = d.region_id "
            "AND e.feature_set_id = :feature_set AND e.augmentation = 0)"
        ),
        {"dataset": dataset_id, "splits": list(splits), "feature_set": feature_set.id},
    )
    return int(counted or 0)
