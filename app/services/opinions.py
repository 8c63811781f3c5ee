"""What people thought of scans: given once, taken back without a trace being lost; a class that is said is a label."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from app.errors import Conflict, Forbidden, InvalidInput, NotFound, Taken
from app.models import Image, Opinion, OpinionWithdrawal, Role, Task
from app.services import audit, images, labelling, tasks, worklist_claims
from app.services.keys import Caller


class Verdict(StrEnum):
    """`confirm`: as declared or decided. `correct`: another class. Both name the class."""

    CONFIRM = "confirm"
    CORRECT = "correct"
    CANNOT_JUDGE = "cannot_judge"
    SKIP = "skip"


@dataclass(frozen=True)
class Given:
    """An opinion, and its withdrawal where it was taken back."""

    opinion: Opinion
    withdrawn: OpinionWithdrawal | None = None


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """An opinion as a person gives it; `id` is the caller's, so that sending it twice gives it once.

    `shown`: what was on the screen. `anyway`: though somebody else looks at the scan or has decided.
    """

    id: UUID
    image_id: UUID
    verdict: Verdict
    class_name: str | None = None
    reason: str | None = None
    blind: bool = False
    shown: Mapping[str, Any]
    anyway: bool = False


def give(session: Session, task_name: str, wanted: Wanted, *, caller: Caller) -> tuple[Given, bool]:
    """Store an opinion with the label that it makes and release the claim; whether it is new.

    Raise NotFound for an unknown task or image, InvalidInput for a class that does not fit, Taken when somebody else
    looks at the scan or has decided, Conflict when the id is another opinion's.
    """
    task = tasks.named(session, task_name)
    _check(task, wanted)
    worklist_claims.lock(session, task)
    if (known := session.get(Opinion, wanted.id)) is not None:
        return _again(session, known, task, wanted, caller), False
    # The image stays until this commits.
    if session.scalar(select(Image.id).where(Image.id == wanted.image_id).with_for_update(key_share=True)) is None:
        raise NotFound(f"There is no image {wanted.image_id}; it was deleted, or never stored.")
    if wanted.verdict is not Verdict.SKIP and not wanted.anyway:  # a skip stands in nobody's way
        _check_free(session, task, wanted.image_id, caller)
    label = None
    if wanted.class_name is not None:
        label = labelling.add(
            session, wanted.image_id, task.name, wanted.class_name, author=caller.name, reason=wanted.reason
        )
    opinion = Opinion(
        id=wanted.id, image_id=wanted.image_id, task=task.name, verdict=wanted.verdict, class_name=wanted.class_name,
        label_id=label and label.id, reason=wanted.reason, blind=wanted.blind, shown=dict(wanted.shown),
        author=caller.name,
    )  # fmt: skip
    session.add(opinion)
    session.flush()
    worklist_claims.release(session, task, wanted.image_id, holder=caller.holder)
    audit.record(
        session, caller.name, "opinion.give", "image", wanted.image_id,
        opinion=str(wanted.id), task=task.name, verdict=wanted.verdict, class_name=wanted.class_name,
    )  # fmt: skip
    return Given(opinion), True


def _check(task: Task, wanted: Wanted) -> None:
    says_class = wanted.verdict in (Verdict.CONFIRM, Verdict.CORRECT)
    if says_class and wanted.class_name is None:
        raise InvalidInput(f"To {wanted.verdict} needs a class_name; {task.name} has {', '.join(task.classes)}.")
    if not says_class and wanted.class_name is not None:
        raise InvalidInput(f"The verdict {wanted.verdict} names no class; leave class_name out.")
    if wanted.class_name is not None:
        tasks.check_class(task, wanted.class_name)


def _again(session: Session, known: Opinion, task: Task, wanted: Wanted, caller: Caller) -> Given:
    same = (known.task, known.image_id, known.verdict, known.class_name, known.author)
    if same != (task.name, wanted.image_id, wanted.verdict, wanted.class_name, caller.name):
        raise Conflict(f"Opinion {wanted.id} was given before and says something else; give the new one its own id.")
    return Given(known, session.get(OpinionWithdrawal, known.id))


def _check_free(session: Session, task: Task, image_id: UUID, caller: Caller) -> None:
    worklist_claims.resume(session, task, caller)
    worklist_claims.check_free(session, task, image_id, holder=caller.holder)
    said = standing(session, task, [image_id])
    others = [one for one in said if one.author != caller.name]
    if others:
        last = others[0]
        said_what = last.class_name or "that it cannot be judged"
        raise Taken(f"{last.author} has said {said_what} of this scan meanwhile.", author=last.author, at=last.at)


def unwithdrawn(session: Session, task: Task, image_ids: Sequence[UUID]) -> list[Opinion]:
    """Opinions on the images, skips among them, that were not taken back; the newest first."""
    found = select(Opinion).where(
        Opinion.task == task.name, Opinion.image_id.in_(image_ids),
        ~exists().where(OpinionWithdrawal.opinion_id == Opinion.id),
    )  # fmt: skip
    return list(session.scalars(found.order_by(Opinion.at.desc(), Opinion.id.desc())))


def standing(session: Session, task: Task, image_ids: Sequence[UUID]) -> list[Opinion]:
    """Opinions on the images that count as decisions, the newest first: not taken back, and no skips."""
    return [one for one in unwithdrawn(session, task, image_ids) if one.verdict != Verdict.SKIP]


def hidden(session: Session, task: Task, image_id: UUID, author: str) -> bool:
    """Whether the heads' answers are kept from this person: the task is blind, and they have not decided yet."""
    return bool(hidden_among(session, task, [image_id], author))


def hidden_among(session: Session, task: Task, image_ids: Sequence[UUID], author: str) -> set[UUID]:
    """Those of the images whose answers are kept from this person; see `hidden`."""
    if not task.blind:
        return set()
    return set(image_ids) - {one.image_id for one in standing(session, task, image_ids) if one.author == author}


def withdraw(session: Session, opinion_id: UUID, *, caller: Caller, seconds: float) -> Given:
    """Take an opinion back, with the label that it made; the image is open again, and claimed for the caller if free.

    A second time changes nothing. Raise NotFound, or Forbidden for another person's opinion unless the caller is an
    administrator.
    """
    opinion = session.get(Opinion, opinion_id)
    if opinion is None:
        raise NotFound(f"There is no opinion {opinion_id}; if its scan was deleted, it went with it.")
    if opinion.author != caller.name and not caller.may(Role.ADMIN):
        raise Forbidden(f"This is the opinion of {opinion.author}; only they or an administrator withdraw it.")
    task = tasks.named(session, opinion.task)
    worklist_claims.lock(session, task)
    if (done := session.get(OpinionWithdrawal, opinion_id)) is not None:
        return Given(opinion, done)
    withdrawal = OpinionWithdrawal(opinion_id=opinion_id, author=caller.name)
    session.add(withdrawal)
    session.flush()
    if opinion.label_id is not None:
        labelling.withdraw(session, opinion.label_id, author=caller.name)
    audit.record(
        session, caller.name, "opinion.withdraw", "image", opinion.image_id,
        opinion=str(opinion_id), task=task.name, verdict=opinion.verdict, class_name=opinion.class_name,
    )  # fmt: skip
    worklist_claims.take(session, task, [opinion.image_id], holder=caller.holder, author=caller.name, seconds=seconds)
    return Given(opinion, withdrawal)


def page(
    session: Session, task_name: str, *, author: str | None, limit: int, before: UUID | None = None
) -> list[Given]:
    """Opinions on a task's scans, newest first; `before` is the one that ended the page before."""
    tasks.named(session, task_name)
    query = select(Opinion).where(Opinion.task == task_name)
    if author is not None:
        query = query.where(Opinion.author == author)
    if before is not None:
        last = session.get(Opinion, before)
        if last is None:
            raise InvalidInput("The cursor is of no page of these opinions any more; begin again without it.")
        query = query.where((Opinion.at < last.at) | ((Opinion.at == last.at) & (Opinion.id < last.id)))
    found = session.scalars(query.order_by(Opinion.at.desc(), Opinion.id.desc()).limit(limit)).all()
    return _with_withdrawals(session, found)


def of_image(session: Session, image_id: UUID) -> list[Given]:
    """Every opinion on an image, newest first. Raise NotFound when there is no such image."""
    images.get(session, image_id)
    query = select(Opinion).where(Opinion.image_id == image_id)
    return _with_withdrawals(session, session.scalars(query.order_by(Opinion.at.desc(), Opinion.id.desc())).all())


def _with_withdrawals(session: Session, found: Sequence[Opinion]) -> list[Given]:
    query = select(OpinionWithdrawal).where(OpinionWithdrawal.opinion_id.in_([one.id for one in found]))
    withdrawn = {one.opinion_id: one for one in session.scalars(query)}
    return [Given(one, withdrawn.get(one.id)) for one in found]
