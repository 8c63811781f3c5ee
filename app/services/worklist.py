"""A task's worklist: which scans a person should look at next, the likeliest findings first."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.errors import InvalidInput
from app.models import Head, Task
from app.services import tasks
from app.services.filters import ImageFilter
from app.services.worklist_sql import DECIDED, PILES, STATES, placed

AGREES = "agrees"
NO_CONDITION = "TRUE"


class State(StrEnum):
    """Whether somebody has decided: see `worklist_sql`."""

    OPEN = "open"
    DONE = "done"
    SKIPPED = "skipped"
    ALL = "all"


class Order(StrEnum):
    """`piles`: pile by pile, by finding within one. `findings`: by finding alone, images that agree among them."""

    PILES = "piles"
    FINDINGS = "findings"


@dataclass(frozen=True, kw_only=True)
class WorklistFilter:
    """Which images of a task are meant; no piles: all, without those that agree where it is ordered by piles.

    `risk_until` is not included, unless it is 1.
    """

    where: ImageFilter = field(default_factory=ImageFilter)
    piles: tuple[str, ...] = ()
    risk_from: float | None = None
    risk_until: float | None = None
    state: State = State.OPEN
    order: Order = Order.PILES

    def pile_places(self) -> list[int]:
        """The wanted piles, as their places in PILES. Raise InvalidInput for a word that is none."""
        if unknown := [pile for pile in self.piles if pile not in PILES]:
            raise InvalidInput(f"{unknown[0]} is no pile of a worklist; there are {', '.join(PILES)}.")
        every = range(len(PILES)) if self.order is Order.FINDINGS else range(len(PILES) - 1)
        return sorted({PILES.index(pile) for pile in self.piles}) or list(every)

    def sql(self) -> tuple[str, dict[str, Any]]:
        """A condition on `placed` with its parameters, those of `placed` itself aside."""
        conditions, parameters = ["placed.pile = ANY (:piles)"], dict[str, Any](piles=self.pile_places())
        if self.risk_from is not None:
            conditions.append("placed.risk >= CAST(:risk_from AS real)")
            parameters["risk_from"] = self.risk_from
        if self.risk_until is not None and self.risk_until < 1:
            conditions.append("placed.risk < CAST(:risk_until AS real)")
            parameters["risk_until"] = self.risk_until
        condition, named = self.where.sql()
        if named:
            conditions.append(f"placed.image_id IN (SELECT id FROM image WHERE {condition})")
        return " AND ".join([*conditions, STATES[self.state]]), parameters | named


class Place(NamedTuple):
    """Where an image stands in a worklist."""

    image_id: UUID
    pile: int
    finding: float

    def cursor(self, order: Order) -> str:
        """Where the next page begins, as text that only `after` needs to understand."""
        return f"{order}~{self.pile}~{self.finding!r}~{self.image_id}"

    @classmethod
    def after(cls, cursor: str, order: Order) -> "Place":
        """Raise InvalidInput for what is no cursor of this order."""
        try:
            of_order, pile, finding, image_id = cursor.split("~")
            found = cls(UUID(image_id), int(pile), float(finding))
        except ValueError:
            found, of_order = None, ""
        if found is None or of_order != order or found.pile not in range(len(PILES)) or not 0 <= found.finding <= 1:
            raise InvalidInput("The cursor is of no page of this worklist and order; begin again without it.")
        return found


@dataclass(frozen=True)
class Counts:
    """How many images are open, by pile, and what was decided since the day began.

    `open` leaves out those that agree. `claimed`: images that somebody looks at now.
    """

    piles: dict[str, int]
    open: int
    done_today: int
    mine_today: int
    claimed: int


def places(
    session: Session,
    task: Task,
    head: Head,
    wanted: WorklistFilter,
    *,
    author: str,
    limit: int,
    after: Place | None = None,
    condition: str = NO_CONDITION,
    first: str | None = None,
    **parameters: Any,
) -> list[Place]:
    """The next images of the worklist, in its order; `condition` is one more on `placed`, and what is `first` comes
    before all."""
    chosen, values = wanted.sql()
    columns = (["placed.pile"] if wanted.order is Order.PILES else []) + ["-placed.finding", "placed.image_id"]
    if after is not None:
        reached = [":after_pile", ":after_finding", ":after_id"][-len(columns) :]
        chosen += f" AND ({', '.join(columns)}) > ({', '.join(reached)})"
        values |= {"after_pile": after.pile, "after_finding": -after.finding, "after_id": after.image_id}
    order = [f"({first}) DESC", *columns] if first else columns
    rows = session.execute(
        text(
            f"""
            SELECT placed.image_id, placed.pile, placed.finding FROM ({placed(NO_CONDITION)}) placed
            WHERE {chosen} AND {condition} ORDER BY {", ".join(order)} LIMIT :limit
            """
        ),
        values | asked_of(task, head) | {"author": author, "limit": limit} | parameters,
    )
    return [Place(row.image_id, row.pile, row.finding) for row in rows]


def asked_of(task: Task, head: Head) -> dict[str, Any]:
    """The parameters of `worklist_sql.placed`."""
    return {"task": task.name, "head": head.id, "positive": task.positive}


def page(
    session: Session,
    task: Task,
    wanted: WorklistFilter,
    *,
    author: str,
    limit: int,
    cursor: str | None = None,
) -> tuple[list[Place], str | None]:
    """A page of the worklist and the cursor of the next one; nothing while the task has no live head.

    Raise NotFound or InvalidInput for a filter or a cursor that cannot be.
    """
    wanted.where.check(session)
    after = None if cursor is None else Place.after(cursor, wanted.order)
    wanted.pile_places()
    head = tasks.live_head(session, task.name)
    if head is None:
        return [], None
    found = places(session, task, head, wanted, author=author, limit=limit + 1, after=after)
    return found[:limit], found[limit - 1].cursor(wanted.order) if len(found) > limit else None


def counts(
    session: Session, task: Task, wanted: WorklistFilter, *, author: str, since: datetime | None = None
) -> Counts:
    """What is open by pile, whatever piles and state `wanted` names; `since` is when the day began, in UTC if None."""
    wanted.where.check(session)
    head = tasks.live_head(session, task.name)
    every = WorklistFilter(
        where=wanted.where, piles=PILES, risk_from=wanted.risk_from, risk_until=wanted.risk_until, order=Order.PILES
    )
    piles = dict.fromkeys(PILES, 0)
    if head is not None:
        chosen, values = every.sql()
        rows = session.execute(
            text(f"SELECT pile, count(*) AS n FROM ({placed(NO_CONDITION)}) placed WHERE {chosen} GROUP BY pile"),
            values | asked_of(task, head) | {"author": author},
        )
        piles |= {PILES[row.pile]: row.n for row in rows}
    done = session.execute(_TODAY, {"task": task.name, "author": author, "since": since}).one()
    opened = sum(count for pile, count in piles.items() if pile != AGREES)
    return Counts(piles, opened, done.by_all, done.mine, done.claimed)


_TODAY = text(
    """
    SELECT count(DISTINCT o.image_id) AS by_all, count(DISTINCT o.image_id) FILTER (WHERE o.author = :author) AS mine,
        (SELECT count(*) FROM worklist_claim c WHERE c.task = :task AND c.until > now()) AS claimed
    FROM opinion o WHERE o.task = :task AND o.verdict <> 'skip'
        AND o.at >= coalesce(CAST(:since AS timestamptz), date_trunc('day', now()))
        AND NOT EXISTS (SELECT FROM opinion_withdrawal ow WHERE ow.opinion_id = o.id)
    """
)


def decided(session: Session, task: Task, image_ids: Sequence[UUID]) -> set[UUID]:
    """Those of the images that somebody has decided on."""
    statement = f"SELECT image_id FROM ({DECIDED}) decided WHERE image_id = ANY (:ids)"
    rows = session.execute(text(statement), {"task": task.name, "ids": list(image_ids)})
    return {row.image_id for row in rows}
