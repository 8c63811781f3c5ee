"""A task's worklist: which scans a person should look at next, the likeliest findings first."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.errors import InvalidInput
from app.models import Head, Task
from app.services import tasks, worklist_front
from app.services.filters import ImageFilter
from app.services.worklist_sql import DECIDED, PILES, STATES, placed

AGREES = "agrees"


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
        conditions, parameters = ["TRUE"], dict[str, Any]()
        if len(places := self.pile_places()) < len(PILES):  # the planner thinks that any choice leaves few images
            conditions.append("placed.pile = ANY (:piles)")
            parameters["piles"] = places
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


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A worklist, its head and its reader.

    `condition` is one more on `placed`; `among` is a query for image ids, where
    few of them are to be looked at. Both with `parameters`.
    """

    task: Task
    head: Head
    wanted: WorklistFilter
    author: str
    condition: str = "TRUE"
    among: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)


def places(session: Session, asked: Asked, *, limit: int, after: Place | None = None) -> list[Place]:
    """The next images of the worklist, in its order.

    Pile by pile as long as the front of each can be told from the index of risks; the rest by one look at everything.
    """
    if asked.wanted.order is Order.FINDINGS or asked.among is not None:
        return _read(session, asked, limit=limit, after=after)
    found: list[Place] = []
    for pile in asked.wanted.pile_places():
        if len(found) >= limit or (after is not None and pile < after.pile):
            continue
        begun = after if after is not None and pile == after.pile else None
        part = _of_pile(session, asked, pile, limit=limit - len(found), after=begun)
        if part is None:
            return found + _read(session, asked, limit=limit - len(found), after=found[-1] if found else after)
        found += part
    return found


def _of_pile(session: Session, asked: Asked, pile: int, *, limit: int, after: Place | None) -> list[Place] | None:
    """The first images of a pile, or None where the index of risks cannot tell."""
    reached = None if after is None else after.finding
    for front in worklist_front.fronts(session, asked.task, asked.head, pile, after=reached):
        narrowed = replace(
            asked, wanted=replace(asked.wanted, piles=(PILES[pile],)), among=front.among,
            condition=f"{asked.condition} AND {front.certain}", parameters={**asked.parameters, **front.parameters},
        )  # fmt: skip
        found = _read(session, narrowed, limit=limit, after=after)
        if front.whole or len(found) == limit:
            return found
    return None


def _read(session: Session, asked: Asked, *, limit: int, after: Place | None) -> list[Place]:
    chosen, values = asked.wanted.sql()
    columns = (["placed.pile"] if asked.wanted.order is Order.PILES else []) + ["-placed.finding", "placed.image_id"]
    if after is not None:
        reached = [":after_pile", ":after_finding", ":after_id"][-len(columns) :]
        chosen += f" AND ({', '.join(columns)}) > ({', '.join(reached)})"
        values |= {"after_pile": after.pile, "after_finding": -after.finding, "after_id": after.image_id}
    chosen_among = "" if asked.among is None else f"WITH among AS MATERIALIZED ({asked.among})"
    judged = placed("TRUE" if asked.among is None else "image_id IN (SELECT image_id FROM among)")
    rows = session.execute(
        text(
            f"""
            {chosen_among} SELECT placed.image_id, placed.pile, placed.finding FROM ({judged}) placed
            WHERE {chosen} AND {asked.condition} ORDER BY {", ".join(columns)} LIMIT :limit
            """
        ),
        values | asked_of(asked.task, asked.head) | {"author": asked.author, "limit": limit} | {**asked.parameters},
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
    asked = Asked(task=task, head=head, wanted=wanted, author=author)
    found = places(session, asked, limit=limit + 1, after=after)
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
            text(f"SELECT pile, count(*) AS n FROM ({placed('TRUE')}) placed WHERE {chosen} GROUP BY pile"),
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
    statement = f"SELECT placed.image_id FROM unnest(CAST(:ids AS uuid[])) placed (image_id) WHERE {DECIDED}"
    rows = session.execute(text(statement), {"task": task.name, "ids": list(image_ids)})
    return {row.image_id for row in rows}
