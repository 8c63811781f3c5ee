"""Scans as cards: each with what became of it for the task that it is about."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.models import Image, Task
from app.services import outcomes
from app.services.outcomes import Outcome
from app.web.rendering import class_word


@dataclass(frozen=True)
class Card:
    outcome: Outcome
    task: Task
    distance: float | None = None

    @property
    def image(self) -> Image:
        return self.outcome.image


def made(
    session: Session, image_ids: Sequence[UUID], tasks: list[Task], chosen: Task | None, *, author: str
) -> list[Card]:
    """Cards in the order asked for. Without a chosen task, each scan is told of for the task of its own kind."""
    rows = session.execute(select(Image.id, Image.profile).where(Image.id.in_(image_ids)))
    kinds = {row.id: row.profile for row in rows}
    of_task: dict[str, list[UUID]] = {}
    for image_id, profile in kinds.items():
        task = chosen or of_kind(tasks, profile)
        if task is not None:
            of_task.setdefault(task.name, []).append(image_id)
    named = {task.name: task for task in tasks}
    found = {
        one.image.id: Card(one, named[name])
        for name, ids in of_task.items()
        for one in outcomes.of(session, named[name], ids, author=author)
    }
    return [found[one] for one in image_ids if one in found]


def of_kind(tasks: list[Task], profile: str | None) -> Task | None:
    """The first task that asks about scans of this kind, else the first of all."""
    return next((one for one in tasks if profile and one.profile == profile), tasks[0] if tasks else None)


def for_scripts(tasks: list[Task], language: str) -> dict[str, Any]:
    """By task, its classes and how a person says them."""
    return {
        task.name: {"positive": task.positive, "classes": {name: class_word(name, language) for name in task.classes}}
        for task in tasks
    }
