"""What speaks for and against a decision on one scan: all that a person weighs before they decide."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.errors import Conflict, InvalidInput
from app.models import FeatureSet, Head, Image, Preparation, Region, Task
from app.services import feature_sets, images, opinions, outcomes, scan_history, search, tasks, unjudgeable
from app.services.filters import ImageFilter
from app.services.images import ImageView, PredictionView
from app.services.outcomes import DECLARED, Outcome
from app.services.scan_history import Event

SIMILAR = 6
OF_SUBJECT = 6


@dataclass(frozen=True)
class Contract:
    """What the live head promises (`terms`: its report's contract), and from where on it leaves scans to a person."""

    terms: Mapping[str, Any]
    review_from: float | None


@dataclass(frozen=True)
class Finding:
    """Why a region cannot be judged, or should be judged with care; `numbers` are what was measured."""

    region: int
    code: str
    message: str
    numbers: Mapping[str, float]


@dataclass(frozen=True)
class Similar:
    outcome: Outcome
    distance: float


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """`answers`: the live head's, the worst region first. With `hidden` nothing says what a head or another person
    thinks of this scan."""

    view: ImageView
    task: Task
    hidden: bool
    head: Head | None
    answers: list[PredictionView]
    contract: Contract | None
    findings: list[Finding]
    similar: list[Similar]
    of_subject: list[Outcome]
    events: list[Event]
    ordinals: Mapping[int, int] = field(default_factory=dict)

    @property
    def image(self) -> Image:
        return self.view.image

    @property
    def declared(self) -> str | None:
        return self.view.declared.get(self.task.name)

    @property
    def counting(self) -> Event | None:
        """The label that counts, if a person stated it."""
        return next((one for one in self.events if one.counts and one.source != DECLARED), None)

    @property
    def risk(self) -> float | None:
        """The greatest probability of the positive class among the regions."""
        return max((one.probabilities.get(self.task.positive, 0.0) for one in self.answers), default=None)


def gather(session: Session, image_id: UUID, task_name: str, *, author: str, default_set: str | None) -> Evidence:
    """All there is on an image for a task. Raise NotFound when either does not exist."""
    task = tasks.named(session, task_name)
    view = images.described(session, image_id)
    head = tasks.live_head(session, task.name)
    hidden = opinions.hidden(session, task, image_id, author)
    answers = [] if hidden or head is None else _answers(session, view, head)
    feature_set = _feature_set(session, view.image, head, default_set)
    return Evidence(
        view=view, task=task, hidden=hidden, head=head, answers=answers,
        contract=None if hidden or head is None else _contract(session, head),
        findings=[] if feature_set is None else _findings(session, image_id, feature_set),
        similar=[] if feature_set is None else _similar(session, view, task, feature_set, author),
        of_subject=_of_subject(session, view.image, task, author),
        events=scan_history.of(session, view.image, task, hidden=hidden),
        ordinals=_ordinals(session, image_id),
    )  # fmt: skip


def _answers(session: Session, view: ImageView, head: Head) -> list[PredictionView]:
    said = [one for one in view.predictions if one.task == head.task]
    if not said and view.state == "ready":
        said = unjudgeable.of_another_kind(session, head, view.image.id)
    return images.worst_first(said)


def _contract(session: Session, head: Head) -> Contract | None:
    """Read from the report without loading all of it: curves of a long training are megabytes."""
    row = session.execute(
        select(Head.report["contract"].label("terms"), Head.report["review_from"].label("review_from")).where(
            Head.id == head.id
        )
    ).one()
    return Contract(row.terms, row.review_from) if row.terms else None


def _feature_set(session: Session, image: Image, head: Head | None, default: str | None) -> FeatureSet | None:
    """What the task's head reads, and else what describes the image; None where nothing does."""
    if head is not None:
        read = session.get_one(FeatureSet, head.feature_set_id)
        if read.profile is None or image.profile in (None, read.profile):
            return read
    try:
        return feature_sets.of_image(session, image.id, None, default)
    except Conflict:
        return None


def _findings(session: Session, image_id: UUID, feature_set: FeatureSet) -> list[Finding]:
    rows = session.execute(
        select(Region.ordinal, Preparation.findings)
        .join(Preparation, Preparation.region_id == Region.id)
        .where(Region.image_id == image_id, Preparation.feature_set_id == feature_set.id)
        .order_by(Region.ordinal)
    )
    return [
        Finding(ordinal, problem["code"], problem["message"], found.get("quality", {}))
        for ordinal, found in rows
        for problem in found.get("problems", ())
    ]


def _similar(session: Session, view: ImageView, task: Task, feature_set: FeatureSet, author: str) -> list[Similar]:
    """The nearest images with what became of them; none while the image has no vectors."""
    try:
        near = search.by_image(session, feature_set, view.image.id, ImageFilter(), limit=SIMILAR).found
    except (Conflict, InvalidInput):
        return []
    distances = {one.image_id: one.distance for one in near}
    found = outcomes.of(session, task, list(distances), author=author)
    return [Similar(one, distances[one.image.id]) for one in found]


def _of_subject(session: Session, image: Image, task: Task, author: str) -> list[Outcome]:
    """Other scans of the same subject, the latest first."""
    if image.subject is None:
        return []
    ids = session.scalars(
        select(Image.id)
        .where(Image.subject == image.subject, Image.id != image.id)
        .order_by(Image.id.desc())
        .limit(OF_SUBJECT)
    ).all()
    return outcomes.of(session, task, ids, author=author)


def _ordinals(session: Session, image_id: UUID) -> dict[int, int]:
    rows = session.execute(select(Region.id, Region.ordinal).where(Region.image_id == image_id))
    return {row.id: row.ordinal for row in rows}
