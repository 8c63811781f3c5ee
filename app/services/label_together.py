"""One class for many images at once, as one person sees them: each becomes a label by review."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from app.models import Image, Label
from app.services import audit, labelling, tasks
from app.services.labelling import Statement


@dataclass(frozen=True)
class Together:
    """New labels by image; images whose last word of this author was the same; images that are not there."""

    labels: dict[UUID, int]
    known: list[UUID]
    missing: list[UUID]


def label(
    session: Session, task_name: str, image_ids: Sequence[UUID], class_name: str, *, author: str, reason: str | None
) -> Together:
    """State the class of many images. Raise NotFound for an unknown task, InvalidInput for a class that is not its."""
    task = tasks.named(session, task_name)
    tasks.check_class(task, class_name)
    asked = list(dict.fromkeys(image_ids))
    # They stay until this commits; in the order of their ids, so that two who label together do not wait crosswise.
    there = select(Image.id).where(Image.id.in_(asked)).order_by(Image.id).with_for_update(key_share=True)
    stored = set(session.scalars(there))
    statements = [
        Statement(image_id=one, class_name=class_name, source="review", author=author, reason=reason)
        for one in asked if one in stored
    ]  # fmt: skip
    rows = labelling.new_rows(session, task, statements)
    made: dict[UUID, int] = {}
    if rows:
        added = session.execute(insert(Label).returning(Label.image_id, Label.id), rows)
        made = {row.image_id: row.id for row in added}
        audit.record(
            session, author, "label.together", "task", task.name,
            class_name=class_name, reason=reason, images=[str(one) for one in made],
        )  # fmt: skip
    return Together(
        made, [one for one in asked if one in stored and one not in made], [one for one in asked if one not in stored]
    )
