"""What a search has tried: written while it runs, to be watched, and read again when it is taken up after a crash."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.db import DONE_CHANNEL, notify
from app.models import Trial


def record(session: Session, head_id: UUID, results: Sequence[Mapping[str, Any]]) -> None:
    """Keep results: `key`, `fold`, `candidate`, `auc`, `seconds`. One that is known already is left as it is."""
    if results:
        rows = [{"head_id": head_id, **result} for result in results]
        session.execute(insert(Trial).on_conflict_do_nothing(), rows)
        notify(session, DONE_CHANNEL)


def of_head(session: Session, head_id: UUID, *, after: int = 0, limit: int | None = None) -> list[Trial]:
    """The trials of a head's training behind trial `after`, in the order in which they ended."""
    query = select(Trial).where(Trial.head_id == head_id, Trial.id > after).order_by(Trial.id).limit(limit)
    return list(session.scalars(query))


def best(session: Session, head_id: UUID) -> tuple[dict[str, Any], float] | None:
    """The candidate with the highest mean AUC over the folds that have measured it, and that AUC.

    Only candidates that as many folds have measured as any other: a lucky first fold is no lead.
    """
    counted = (
        select(Trial.key, func.avg(Trial.auc).label("auc"), func.count().label("folds"))
        .where(Trial.head_id == head_id)
        .group_by(Trial.key)
        .subquery()
    )
    found = session.execute(
        select(Trial.candidate, counted.c.auc)
        .join(counted, counted.c.key == Trial.key)
        .where(Trial.head_id == head_id)
        .order_by(counted.c.folds.desc(), counted.c.auc.desc(), Trial.id)
        .limit(1)
    ).first()
    return None if found is None else (found.candidate, float(found.auc))
