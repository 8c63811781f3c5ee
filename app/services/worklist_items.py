"""Images of a worklist as a person at the desk sees them: what was said of each, and who looks at it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from app.heads.policy_words import badness
from app.models import Head, Image, Prediction, Task, WorklistClaim
from app.services import opinions, tasks, worklist_claims
from app.services.opinions import Given
from app.services.worklist import asked_of
from app.services.worklist_sql import PILES, placed

HIDDEN = "hidden"


@dataclass(frozen=True, kw_only=True)
class Item:
    """An image in a task's worklist.

    `said`: the live head's answer on the worst of its regions; None where the head has not judged it, or where the
    answer is kept from the reader: then `pile` is `hidden`. `mine`: whether the reader holds the claim. `opinion`: the
    reader's own that stands, or else the newest of anybody's.
    """

    image: Image
    task: str
    pile: str | None
    finding: float | None
    risk: float | None
    declared: str | None
    said: Prediction | None
    head: Head | None
    claim: WorklistClaim | None
    mine: bool
    opinion: Given | None

    @property
    def hidden(self) -> bool:
        return self.pile == HIDDEN


def describe(
    session: Session, task: Task, image_ids: Sequence[UUID], *, author: str, holder: UUID | None = None
) -> list[Item]:
    """The images in the order asked for; those that do not exist are left out."""
    head = tasks.live_head(session, task.name)
    found = {image.id: image for image in session.scalars(select(Image).where(Image.id.in_(image_ids)))}
    where = _places(session, task, head, image_ids)
    said = _worst(session, task, head, image_ids)
    claims = worklist_claims.of(session, task, image_ids)
    own, others = _opinions(session, task, image_ids, author)
    hidden = opinions.hidden_among(session, task, image_ids, author)
    return [
        Item(
            image=found[i], task=task.name, declared=where[i].declared if i in where else None, head=head,
            claim=claims.get(i), mine=i in claims and claims[i].holder == holder,
            **_answer(where.get(i), said.get(i), hidden=i in hidden),
            opinion=own.get(i) or (None if i in hidden else others.get(i)),
        )
        for i in image_ids
        if i in found
    ]  # fmt: skip


def _answer(place: Any, said: Prediction | None, *, hidden: bool) -> dict[str, Any]:
    if hidden:
        return {"pile": HIDDEN, "finding": None, "risk": None, "said": None}
    if place is None or place.pile is None:
        return {"pile": None, "finding": None, "risk": None, "said": None}
    return {"pile": PILES[place.pile], "finding": place.finding, "risk": place.risk, "said": said}


def _places(session: Session, task: Task, head: Head | None, image_ids: Sequence[UUID]) -> dict[UUID, Any]:
    """By image, its pile, finding, risk and declaration."""
    if head is None:
        return {}
    statement = f"SELECT placed.* FROM ({placed('image_id = ANY (:ids)')}) placed"
    rows = session.execute(text(statement), asked_of(task, head) | {"ids": list(image_ids)})
    return {row.image_id: row for row in rows}


def _worst(session: Session, task: Task, head: Head | None, image_ids: Sequence[UUID]) -> dict[UUID, Prediction]:
    """By image, the head's answer on the region that its decision is of."""
    if head is None:
        return {}
    found = session.scalars(
        select(Prediction).where(Prediction.image_id.in_(image_ids), Prediction.head_id == head.id)
    ).all()
    worst: dict[UUID, Prediction] = {}
    for one in sorted(found, key=lambda p: (badness(p.decision, task.positive), -p.risk, p.region_id)):
        worst.setdefault(one.image_id, one)
    return worst


def _opinions(
    session: Session, task: Task, image_ids: Sequence[UUID], author: str
) -> tuple[dict[UUID, Given], dict[UUID, Given]]:
    """By image, this author's last standing opinion, and anybody's last decision."""
    own: dict[UUID, Given] = {}
    every: dict[UUID, Given] = {}
    for one in opinions.unwithdrawn(session, task, image_ids):
        if one.author == author:
            own.setdefault(one.image_id, Given(one))
        if one.verdict != opinions.Verdict.SKIP:
            every.setdefault(one.image_id, Given(one))
    return own, every
