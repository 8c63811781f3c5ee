"""Labels as lists: all that were stated, and the images on which their sources disagree."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from app.errors import InvalidInput
from app.models import Image, Label
from app.services import labelling, tasks
from app.services.filters import STANDING
from app.services.labelling import Stated


@dataclass(frozen=True, kw_only=True)
class LabelFilter:
    """Conditions that must all hold; `until` is not included."""

    task: str | None = None
    source: str | None = None
    author: str | None = None
    class_name: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def check(self, session: Session) -> None:
        """Raise InvalidInput or NotFound when the filter names what does not exist."""
        if self.source is not None:
            labelling.check_source(self.source)
        if self.task is not None:
            task = tasks.named(session, self.task)
            if self.class_name is not None:
                tasks.check_class(task, self.class_name)
        elif self.class_name is not None:
            raise InvalidInput("A filter on the class needs the task it belongs to.")


@dataclass(frozen=True)
class ListedLabel:
    """A label with what names its image, and whether it is the one that counts."""

    stated: Stated
    file_name: str | None
    subject: str | None

    @property
    def label(self) -> Label:
        return self.stated.label


@dataclass(frozen=True)
class LabelConflict:
    """An image whose sources disagree: the class that each says by its last word, and the one that counts."""

    image_id: UUID
    file_name: str | None
    subject: str | None
    classes: dict[str, str]
    effective: str

    @property
    def settled(self) -> bool:
        """Whether a reviewer has decided."""
        return "review" in self.classes


def page(session: Session, wanted: LabelFilter, *, limit: int, before: int | None = None) -> list[ListedLabel]:
    """Labels, the last stored first; `before` is the id where the previous page ended."""
    wanted.check(session)
    query = select(Label, Image.file_name, Image.subject).join(Image, Image.id == Label.image_id)
    for column, value in (
        (Label.task, wanted.task), (Label.source, wanted.source), (Label.author, wanted.author),
        (Label.class_name, wanted.class_name),
    ):  # fmt: skip
        if value is not None:
            query = query.where(column == value)
    if wanted.since is not None:
        query = query.where(Label.at >= wanted.since)
    if wanted.until is not None:
        query = query.where(Label.at < wanted.until)
    if before is not None:
        query = query.where(Label.id < before)
    rows = session.execute(query.order_by(Label.id.desc()).limit(limit)).all()
    judged = {one.label.id: one for one in _judged(session, [row.Label.image_id for row in rows])}
    return [ListedLabel(judged[row.Label.id], row.file_name, row.subject) for row in rows if row.Label.id in judged]


def _judged(session: Session, image_ids: Sequence[UUID]) -> list[Stated]:
    by_image: dict[UUID, list[Label]] = defaultdict(list)
    for label in session.scalars(select(Label).where(Label.image_id.in_(set(image_ids)))):
        by_image[label.image_id].append(label)
    withdrawn = labelling.withdrawals(session, [one.id for labels in by_image.values() for one in labels])
    return [stated for labels in by_image.values() for stated in labelling.explained(labels, withdrawn)]


def conflicts(
    session: Session, task_name: str, *, limit: int, open_only: bool = False, after: UUID | None = None
) -> list[LabelConflict]:
    """Images whose sources disagree, oldest first; `open_only` leaves out those that a reviewer has decided.

    Each source speaks by its last word. `after` is the image where the previous page ended. Raise NotFound.
    """
    tasks.named(session, task_name)
    found = session.execute(
        text(
            f"""
            SELECT c.image_id, image.file_name, image.subject, c.classes FROM (
                SELECT image_id, jsonb_object_agg(source, class_name) AS classes FROM (
                    SELECT DISTINCT ON (image_id, source) image_id, source, class_name FROM label
                    WHERE task = :task AND {STANDING} AND (CAST(:after AS uuid) IS NULL OR image_id > :after)
                    ORDER BY image_id, source, at DESC, id DESC
                ) last_word
                GROUP BY image_id
                HAVING count(DISTINCT class_name) > 1 AND NOT (:open_only AND bool_or(source = 'review'))
                ORDER BY image_id LIMIT :limit
            ) c JOIN image ON image.id = c.image_id ORDER BY c.image_id
            """
        ),
        {"task": task_name, "after": after, "open_only": open_only, "limit": limit},
    ).all()
    counts = labelling.effective(session, task_name, [row.image_id for row in found])
    return [LabelConflict(row.image_id, row.file_name, row.subject, row.classes, counts[row.image_id]) for row in found]
