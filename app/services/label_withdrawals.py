"""Labels taken back by number, one or many: the undo of whoever stated them."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.errors import Conflict, Forbidden, NotFound
from app.models import Label, Opinion, Role
from app.services import labelling
from app.services.keys import Caller


def withdraw(session: Session, label_ids: Sequence[int], *, caller: Caller, reason: str | None = None) -> int:
    """Take labels back, all or none; how many of them stood until now.

    Raise NotFound for an unknown one, Forbidden for another person's unless the caller is an administrator, Conflict
    for one that an opinion made: it would stand on without its label.
    """
    found = session.scalars(select(Label).where(Label.id.in_(label_ids)).with_for_update()).all()
    if missing := set(label_ids) - {label.id for label in found}:
        raise NotFound(f"There is no label {min(missing)}; if its scan was deleted, it went with it.")
    others = [label for label in found if label.author != caller.name]
    if others and not caller.may(Role.ADMIN):
        raise Forbidden(f"Label {others[0].id} is by {others[0].author}; only they or an administrator withdraw it.")
    opinion = session.scalar(select(Opinion).where(Opinion.label_id.in_(label_ids)).limit(1))
    if opinion is not None:
        raise Conflict(f"Label {opinion.label_id} was made by an opinion: withdraw opinion {opinion.id} instead.")
    withdrawn = labelling.withdrawals(session, label_ids)
    standing = [label for label in found if label.id not in withdrawn]
    for label in standing:
        labelling.withdraw(session, label.id, author=caller.name, reason=reason)
    return len(standing)
