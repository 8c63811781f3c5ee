"""Explanations as they are asked for and read: where in an image a task's live head finds its evidence.

Making one takes the network, which the service does not load: extraction workers do (`app.services.explaining`). What
is stored stays, for a region and a head never change.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from app.db import JOBS_CHANNEL, notify
from app.errors import Conflict, Unavailable
from app.heads.explanation import hottest_window
from app.imaging.prepare import Box
from app.models import Embedding, Explanation, FeatureSet, Head, Image, Job, Kind, Preparation, Region, Task
from app.models.ids import uuid7
from app.services import images, prediction, stats, tasks, unjudgeable

# How long a failed explanation is not tried again: those who ask meanwhile are told why it failed.
FAILED_SECONDS = 60.0


@dataclass(frozen=True)
class Place:
    """Cells of a feature map, what they say in sum, and where that is in pixels of the frame."""

    row: int
    column: int
    rows: int
    columns: int
    heat: float
    box: Box


@dataclass(frozen=True)
class RegionExplained:
    """A region's evidence `heat` (rows, columns), `facts` of how it was found, and what preparing the pixels found."""

    region: Region
    method: str
    heat: NDArray[np.float32]
    facts: Mapping[str, Any]
    findings: Mapping[str, Any]
    at: datetime

    @property
    def box(self) -> Box:
        return Box(self.region.x, self.region.y, self.region.width, self.region.height)

    @property
    def hottest_cell(self) -> Place:
        """The cell with most evidence for the positive class."""
        row, column = np.unravel_index(int(self.heat.argmax()), self.heat.shape)
        return self._place(int(row), int(column), 1, 1)

    @property
    def hottest_region(self) -> Place:
        """The cells, three by three, with most evidence in sum."""
        return self._place(*hottest_window(self.heat))

    def _place(self, row: int, column: int, rows: int, columns: int) -> Place:
        """Cell i of n begins at pixel i / n of the region: the region was squashed into the network's square."""
        high, wide = self.heat.shape
        top, bottom = (round(edge * self.box.height / high) for edge in (row, row + rows))
        left, right = (round(edge * self.box.width / wide) for edge in (column, column + columns))
        box = Box(self.box.x + left, self.box.y + top, max(1, right - left), max(1, bottom - top))
        heat = float(self.heat[row : row + rows, column : column + columns].sum())
        return Place(row, column, rows, columns, heat, box)


@dataclass(frozen=True)
class Explained:
    """What a head's evidence on an image is, region by region."""

    image: Image
    task: Task
    head: Head
    feature_set: FeatureSet
    regions: list[RegionExplained]

    @property
    def loudest_frame(self) -> int:
        """The frame whose region speaks loudest for the positive class."""
        return max(self.regions, key=lambda one: one.facts.get("log_odds", 0.0)).region.frame


@dataclass(frozen=True)
class Question:
    """An image and the head whose answer is to be explained."""

    image: Image
    task: Task
    head: Head
    feature_set: FeatureSet


def question(session: Session, image_id: UUID, task: str) -> Question:
    """Raise NotFound for an unknown image or task, Conflict where the live head does not judge the image, or no head
    is live."""
    known, image = tasks.named(session, task), images.get(session, image_id)
    head = prediction.live_head(session, task)
    for said in unjudgeable.of_another_kind(session, head, image_id):
        raise Conflict(f"There is nothing to explain: {said.reason}")
    return Question(image, known, head, session.get_one(FeatureSet, head.feature_set_id))


def stored(session: Session, asked: Question) -> Explained | None:
    """The explanation, if every region has one."""
    mine = (Region.image_id == asked.image.id) & (Region.cut == asked.feature_set.cut)
    of_head = (Explanation.region_id == Region.id) & (Explanation.head_id == asked.head.id)
    found_for = (Preparation.region_id == Region.id) & (Preparation.feature_set_id == asked.feature_set.id)
    rows = session.execute(
        select(Region, Explanation, Preparation.findings)
        .outerjoin(Explanation, of_head)
        .outerjoin(Preparation, found_for)
        .where(mine)
        .order_by(Region.ordinal)
    ).all()
    if not rows or any(said is None for _, said, _ in rows):
        return None
    regions = [
        RegionExplained(region, said.method, np.array(said.heat, np.float32), said.facts, findings or {}, said.at)
        for region, said, findings in rows
    ]
    return Explained(asked.image, asked.task, asked.head, asked.feature_set, regions)


def request(session: Session, asked: Question, *, alive_seconds: float) -> None:
    """See to it that the explanation will be made; an image that has no vectors yet must have them first.

    Raise Conflict, with the reason, when the image cannot be extracted or its explanation has just failed;
    Unavailable when no worker is there to make it.
    """
    _require_worker(session, asked.feature_set, alive_seconds)
    if not _has_vectors(session, asked):
        _require_hope(session, asked)
        return
    _require_no_failure(session, asked)
    enqueue(session, asked.image.id, asked.head)


def enqueue(session: Session, image_id: UUID, head: Head) -> None:
    """Queue an explanation, unless one is under way."""
    session.execute(
        text(
            "INSERT INTO job (id, kind, image_id, head_id, feature_set_id) "
            # Looked at again by this statement: another one's may have been stored since.
            "SELECT :id, 'explain', :image, :head, :feature_set WHERE NOT EXISTS ("
            "SELECT FROM explanation e JOIN region r ON r.id = e.region_id "
            "WHERE r.image_id = :image AND e.head_id = :head) ON CONFLICT DO NOTHING"
        ),
        {"id": uuid7(), "image": image_id, "head": head.id, "feature_set": head.feature_set_id},
    )
    notify(session, JOBS_CHANNEL, Kind.EXPLAIN)


def _has_vectors(session: Session, asked: Question) -> bool:
    """Whether every region of the image has a vector of the head's feature set."""
    of_set = (
        (Embedding.region_id == Region.id)
        & (Embedding.feature_set_id == asked.feature_set.id)
        & (Embedding.augmentation == 0)
    )
    counted = session.execute(
        select(func.count(Region.id), func.count(Embedding.region_id))
        .select_from(Region)
        .outerjoin(Embedding, of_set)
        .where(Region.image_id == asked.image.id, Region.cut == asked.feature_set.cut)
    ).one()
    return bool(counted[0]) and counted[0] == counted[1]


def _require_hope(session: Session, asked: Question) -> None:
    failed = session.scalar(
        select(Job.error).where(
            Job.image_id == asked.image.id, Job.feature_set_id == asked.feature_set.id,
            Job.kind == Kind.EXTRACT, Job.state == "failed",
        )
    )  # fmt: skip
    if failed is not None:
        raise Conflict(f"Image {asked.image.id} has no features to explain: {failed.get('message')}")


def _require_no_failure(session: Session, asked: Question) -> None:
    recent = func.now() - Job.finished_at < text(f"interval '{FAILED_SECONDS} s'")
    latest = session.execute(
        select(Job.state, Job.error, recent.label("recent"))
        .where(Job.image_id == asked.image.id, Job.head_id == asked.head.id, Job.kind == Kind.EXPLAIN)
        .order_by(Job.created_at.desc(), Job.id.desc())
        .limit(1)
    ).first()
    if latest is not None and latest.state == "failed" and latest.recent:
        raise Conflict(
            f"The explanation failed: {(latest.error or {}).get('message')} It is tried again when it is asked for "
            f"{FAILED_SECONDS:.0f} seconds later."
        )


def _require_worker(session: Session, feature_set: FeatureSet, alive_seconds: float) -> None:
    alive = [one for one in stats.alive_workers(session, within_seconds=alive_seconds) if one.kind == "extract"]
    # One that serves nothing yet is starting.
    if not any(feature_set.id in one.serves or not one.serves for one in alive):
        raise Unavailable(
            f"An explanation takes the network, and no extraction worker runs that serves {feature_set.name}: start "
            "`penumbra worker` (or `penumbra up`) and ask again."
        )
