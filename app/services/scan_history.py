"""What happened to a scan for a task, in one line of time: declarations, predictions, labels, opinions."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.models import Declaration, Image, Task
from app.services import images, labelling, opinions


class Happening(StrEnum):
    RECEIVED = "received"
    DECLARED = "declared"
    PREDICTED = "predicted"
    LABELLED = "labelled"
    JUDGED = "judged"  # an opinion that may have made a label
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that happened. `counts`: this label is the one that counts. `taken_back`: it was withdrawn later."""

    kind: Happening
    at: datetime
    author: str | None = None
    class_name: str | None = None
    source: str | None = None
    verdict: str | None = None
    reason: str | None = None
    head_version: int | None = None
    risk: float | None = None
    counts: bool = False
    taken_back: bool = False
    blind: bool = False


def of(session: Session, image: Image, task: Task, *, hidden: bool) -> list[Event]:
    """Everything, newest first; `hidden` leaves what the papers say, and nothing that could sway a first opinion."""
    found = [Event(kind=Happening.RECEIVED, at=image.received_at, source=image.source)]
    found += _declarations(session, image.id, task)
    if not hidden:
        found += _predictions(session, image.id, task)
        found += _said(session, image.id, task)
    return sorted(found, key=lambda event: (event.at, event.kind != Happening.RECEIVED), reverse=True)


def _declarations(session: Session, image_id: UUID, task: Task) -> Iterator[Event]:
    query = select(Declaration).where(Declaration.image_id == image_id, Declaration.task == task.name)
    for one in session.scalars(query):
        yield Event(kind=Happening.DECLARED, at=one.at, author=one.author, class_name=one.class_name)


def _predictions(session: Session, image_id: UUID, task: Task) -> Iterator[Event]:
    """Of each head version, what it says of the image: the worst of its regions."""
    told = images.predictions(session, [image_id], live_only=False)
    by_head: dict[UUID, list[images.PredictionView]] = {}
    for _, said in told:
        if said.task == task.name:
            by_head.setdefault(said.head_id, []).append(said)
    for answers in by_head.values():
        worst = images.worst_first(answers)[0]
        yield Event(
            kind=Happening.PREDICTED, at=worst.at, class_name=worst.decision, head_version=worst.head_version,
            risk=worst.probabilities.get(task.positive), reason=worst.reason,
        )  # fmt: skip


def _said(session: Session, image_id: UUID, task: Task) -> Iterator[Event]:
    """Opinions, labels that no opinion made, and what was taken back."""
    stated = {one.label.id: one for one in labelling.history(session, image_id) if one.label.task == task.name}
    for given in opinions.of_image(session, image_id):
        one = given.opinion
        if one.task != task.name:
            continue
        made = stated.pop(one.label_id, None) if one.label_id is not None else None
        yield Event(
            kind=Happening.JUDGED, at=one.at, author=one.author, class_name=one.class_name, verdict=one.verdict,
            reason=one.reason, blind=one.blind, counts=made is not None and made.effective,
            taken_back=given.withdrawn is not None,
        )  # fmt: skip
        if given.withdrawn is not None:
            back = given.withdrawn
            yield Event(kind=Happening.WITHDRAWN, at=back.at, author=back.author, class_name=one.class_name)
    for label in stated.values():
        yield Event(
            kind=Happening.LABELLED, at=label.label.at, author=label.label.author, class_name=label.label.class_name,
            source=label.label.source, reason=label.label.reason, counts=label.effective,
            taken_back=label.withdrawn is not None,
        )  # fmt: skip
        if label.withdrawn is not None:
            yield Event(
                kind=Happening.WITHDRAWN, at=label.withdrawn.at, author=label.withdrawn.author,
                class_name=label.label.class_name, reason=label.withdrawn.reason,
            )  # fmt: skip
