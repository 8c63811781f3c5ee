"""Labels: statements that are added, never overwritten."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import insert, select, text
from sqlalchemy.orm import Session

from app.errors import InvalidInput
from app.models import Label, Task
from app.services import audit, images, tasks
from app.services.filters import EFFECTIVE_LABEL

SOURCES = ("import", "declared", "review")


def add(
    session: Session,
    image_id: UUID,
    task_name: str,
    class_name: str,
    *,
    author: str,
    source: str = "review",
    reason: str | None = None,
) -> Label:
    """State an image's class. Raise NotFound or InvalidInput when image, task or class do not exist."""
    task = tasks.named(session, task_name)
    tasks.check_class(task, class_name)
    if source not in SOURCES:
        raise InvalidInput(f"{source} is no source of labels; use one of {', '.join(SOURCES)}.")
    images.get(session, image_id)
    label = Label(image_id=image_id, task=task_name, class_name=class_name, author=author, source=source, reason=reason)
    session.add(label)
    session.flush()
    audit.record(
        session, author, "label.add", "image", image_id,
        task=task_name, class_name=class_name, source=source, reason=reason,
    )  # fmt: skip
    return label


def add_many(session: Session, task: Task, classes: dict[UUID, str], *, author: str, source: str) -> int:
    """State the classes of many images at once; those that already say so are left alone."""
    for class_name in set(classes.values()):
        tasks.check_class(task, class_name)
    current = effective(session, task.name, list(classes))
    rows = [
        {"image_id": image, "task": task.name, "class_name": name, "author": author, "source": source}
        for image, name in classes.items()
        if current.get(image) != name
    ]
    if rows:
        session.execute(insert(Label), rows)
        audit.record(session, author, "label.import", "task", task.name, count=len(rows), source=source)
    return len(rows)


def effective(session: Session, task: str, image_ids: Sequence[UUID] | None = None) -> dict[UUID, str]:
    """The label that counts, of each labelled image (among `image_ids`)."""
    statement = f"SELECT image_id, class_name FROM ({EFFECTIVE_LABEL}) l"
    values: dict[str, object] = {"task": task}
    if image_ids is not None:
        statement += " WHERE image_id = ANY (:ids)"
        values["ids"] = list(image_ids)
    return {row.image_id: row.class_name for row in session.execute(text(statement), values)}


def history(session: Session, image_id: UUID) -> list[Label]:
    """Every label an image ever had, newest first. Raise NotFound when there is no such image."""
    images.get(session, image_id)
    return list(session.scalars(select(Label).where(Label.image_id == image_id).order_by(Label.id.desc())))
