"""What became of scans for a task: what people said of them, and else what the live head says."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.models import Image, Task
from app.services import worklist_items
from app.services.filters import EFFECTIVE_LABEL
from app.services.worklist_items import Item

DECLARED = "declared"  # a label that repeats the papers: nobody has looked


@dataclass(frozen=True)
class CountingLabel:
    """The label that counts, and who stated it."""

    class_name: str
    source: str
    author: str
    at: datetime


@dataclass(frozen=True)
class Outcome:
    """What became of a scan. `label` is a person's; a declaration that was stored as a label is none."""

    item: Item
    label: CountingLabel | None

    @property
    def image(self) -> Image:
        return self.item.image

    @property
    def decision(self) -> str | None:
        """The live head's decision; None where there is none, or where it is kept from the reader."""
        return self.item.said.decision if self.item.said else None

    @property
    def word(self) -> str | None:
        """The class that a person named, else the decision."""
        return self.label.class_name if self.label else self.decision


def of(session: Session, task: Task, image_ids: Sequence[UUID], *, author: str) -> list[Outcome]:
    """The outcomes of images, in the order asked for; ids that do not exist are left out.

    A blind task keeps the head's answers on what `author` has not judged; labels of people stay.
    """
    if not image_ids:
        return []
    labels = _labels(session, task, image_ids)
    items = worklist_items.describe(session, task, image_ids, author=author)
    return [Outcome(item, labels.get(item.image.id)) for item in items]


def _labels(session: Session, task: Task, image_ids: Sequence[UUID]) -> dict[UUID, CountingLabel]:
    statement = text(f"SELECT l.* FROM ({EFFECTIVE_LABEL}) l WHERE l.image_id = ANY (:ids)")
    values: dict[str, Any] = {"task": task.name, "ids": list(image_ids)}
    return {
        row.image_id: CountingLabel(row.class_name, row.source, row.author, row.at)
        for row in session.execute(statement, values)
        if row.source != DECLARED
    }
