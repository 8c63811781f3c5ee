"""Labels: statements that are added, never overwritten. Which one counts is a rule over all of them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import insert, select, text
from sqlalchemy.orm import Session

from app.errors import InvalidInput, NotFound
from app.models import Label, LabelWithdrawal, Task
from app.services import audit, images, tasks
from app.services.filters import EFFECTIVE_LABEL

SOURCES = ("import", "declared", "review")
_RANK = {"review": 2, "import": 1, "declared": 0}
_CHUNK = 5_000
_DISCOVERY_OF_X_RAYS = 1895


@dataclass(frozen=True, kw_only=True)
class Statement:
    """What somebody says an image shows; `at` is when it was said, None for now."""

    image_id: UUID
    class_name: str
    source: str
    author: str
    at: datetime | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Stated:
    """A label of an image's history, whether it is the one that counts, and why or why not."""

    label: Label
    effective: bool
    why: str
    withdrawn: LabelWithdrawal | None = None


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
    check_source(source)
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
    """State the classes of many images at once; what the same source says already is left alone."""
    return state(
        session, task,
        [Statement(image_id=i, class_name=name, source=source, author=author) for i, name in classes.items()],
        actor=author,
    )  # fmt: skip


def state(session: Session, task: Task, statements: Sequence[Statement], *, actor: str) -> int:
    """Add the statements that say something new, in their order; how many those were.

    A statement of a given time is old when one of the same source, class and time is stored; one of now, when the
    last of its source says the same, or for a review the last by the same author: another reviewer's is new.
    Raise InvalidInput for an unknown class or source, or a time that cannot be.
    """
    for class_name in {one.class_name for one in statements}:
        tasks.check_class(task, class_name)
    added = 0
    for start in range(0, len(statements), _CHUNK):
        chunk = statements[start : start + _CHUNK]
        rows = new_rows(session, task, chunk)
        if rows:
            session.execute(insert(Label), rows)
        added += len(rows)
    if added:
        sources = sorted({one.source for one in statements})
        audit.record(session, actor, "label.import", "task", task.name, count=added, source=", ".join(sources))
    return added


def new_rows(session: Session, task: Task, statements: Sequence[Statement]) -> list[dict[str, Any]]:
    """The statements that say something new, as rows of labels; see `state`."""
    # A file that is imported again does not bring back what was withdrawn; a person who says it again does.
    said: set[tuple[UUID, str, str, datetime]] = set()
    standing: dict[tuple[UUID, str, str | None], str] = {}
    stored = select(Label).where(Label.task == task.name, Label.image_id.in_({one.image_id for one in statements}))
    known = session.scalars(stored.order_by(Label.at, Label.id)).all()
    withdrawn = withdrawals(session, [label.id for label in known])
    for label in known:
        said.add((label.image_id, label.source, label.class_name, label.at))
        if label.id not in withdrawn:
            standing[_voice(label)] = label.class_name
    now, rows = session.scalar(text("SELECT now()")), []
    for one in statements:
        check_source(one.source)
        check_time(one.at)
        if one.at is None:
            if standing.get(_voice(one)) == one.class_name:
                continue
            standing[_voice(one)] = one.class_name
        elif (key := (one.image_id, one.source, one.class_name, one.at)) in said:
            continue
        else:
            said.add(key)
        rows.append({
            "image_id": one.image_id, "task": task.name, "class_name": one.class_name, "author": one.author,
            "source": one.source, "reason": one.reason, "at": one.at or now,
        })  # fmt: skip
    return rows


def _voice(one: Statement | Label) -> tuple[UUID, str, str | None]:
    return one.image_id, one.source, one.author if one.source == "review" else None


def check_source(source: str) -> None:
    """Raise InvalidInput unless labels may come from `source`."""
    if source not in SOURCES:
        raise InvalidInput(f"{source} is no source of labels; use one of {', '.join(SOURCES)}.")


def check_time(at: datetime | None) -> None:
    """Raise InvalidInput for a time without a zone, of the future, or from before X-rays."""
    if at is None:
        return
    if at.tzinfo is None:
        raise InvalidInput(f"The time {at.isoformat()} has no zone; write it such as {at.isoformat()}Z.")
    if at > datetime.now(UTC):
        raise InvalidInput(f"The time {at.isoformat()} lies in the future; a label is stated when it is made.")
    if at.year < _DISCOVERY_OF_X_RAYS:
        raise InvalidInput(f"The time {at.isoformat()} lies before X-rays were found; correct it.")


def precedence(label: Label) -> tuple[int, datetime, int]:
    """The conflict rule: a review beats an import, an import a declaration, then the latest; the highest counts.

    The same as `filters.EFFECTIVE_LABEL`, which says it in SQL. Equal times: the one that was stored later.
    """
    return _RANK[label.source], label.at, label.id


def effective(session: Session, task: str, image_ids: Sequence[UUID] | None = None) -> dict[UUID, str]:
    """The label that counts, of each labelled image (among `image_ids`)."""
    statement = f"SELECT image_id, class_name FROM ({EFFECTIVE_LABEL}) l"
    values: dict[str, object] = {"task": task}
    if image_ids is not None:
        statement += " WHERE image_id = ANY (:ids)"
        values["ids"] = list(image_ids)
    return {row.image_id: row.class_name for row in session.execute(text(statement), values)}


def history(session: Session, image_id: UUID) -> list[Stated]:
    """Every label an image ever had, the latest statement first. Raise NotFound when there is no such image."""
    images.get(session, image_id)
    found = session.scalars(
        select(Label).where(Label.image_id == image_id).order_by(Label.at.desc(), Label.id.desc())
    ).all()
    return explained(found, withdrawals(session, [label.id for label in found]))


def withdraw(session: Session, label_id: int, *, author: str, reason: str | None = None) -> None:
    """Take a label back: it stays in the history and counts no more. A second time changes nothing."""
    label = session.get(Label, label_id)
    if label is None:
        raise NotFound(f"There is no label {label_id}.")
    if session.get(LabelWithdrawal, label_id) is not None:
        return
    session.add(LabelWithdrawal(label_id=label_id, author=author, reason=reason))
    session.flush()
    audit.record(
        session, author, "label.withdraw", "image", label.image_id,
        label=label_id, task=label.task, class_name=label.class_name, source=label.source, reason=reason,
    )  # fmt: skip


def withdrawals(session: Session, label_ids: Sequence[int]) -> dict[int, LabelWithdrawal]:
    """Which of the labels were taken back, and by whom."""
    found = session.scalars(select(LabelWithdrawal).where(LabelWithdrawal.label_id.in_(label_ids)))
    return {one.label_id: one for one in found}


def explained(labels: Iterable[Label], withdrawn: Mapping[int, LabelWithdrawal]) -> list[Stated]:
    """Say of each label of one image whether it counts, and why; tasks are judged apart."""
    listed = list(labels)
    standing = [one for one in listed if one.id not in withdrawn]
    return [
        _taken_back(label, withdrawn[label.id]) if label.id in withdrawn
        else _judged(label, [one for one in standing if one.task == label.task])
        for label in listed
    ]  # fmt: skip


def _taken_back(label: Label, by: LabelWithdrawal) -> Stated:
    whose = "" if by.author == label.author else f" by {by.author}"
    return Stated(label, False, f"withdrawn{whose}" + (f": {by.reason}" if by.reason else ""), by)


def _judged(label: Label, of_task: list[Label]) -> Stated:
    counts = max(of_task, key=precedence)
    if label is not counts:
        outranked = _RANK[counts.source] > _RANK[label.source]
        why = f"outranked by a {counts.source}" if outranked else f"superseded by a later {counts.source}"
        return Stated(label, False, why)
    if len(of_task) == 1:
        return Stated(label, True, "the only statement")
    if all(_RANK[one.source] == _RANK[label.source] for one in of_task):
        return Stated(label, True, f"the latest {label.source}")
    others = sorted({one.source for one in of_task} - {label.source}, key=lambda source: -_RANK[source])
    alone = sum(one.source == label.source for one in of_task) == 1
    return Stated(
        label, True, f"{'the' if alone else 'the latest'} {label.source}, which outranks {' and '.join(others)}"
    )
