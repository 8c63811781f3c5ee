"""`/`: the worklist of a task, and the rows that follow its first page."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request
from sqlalchemy.orm import Session
from starlette.responses import Response

from app.deps import SessionDep
from app.models import Task
from app.services import images, tasks, worklist, worklist_items
from app.services.filters import ImageFilter
from app.services.worklist_items import Item
from app.web import pile_words
from app.web.rendering import page
from app.web.visitors import Visitor, VisitorDep
from app.web.worklist_filters import HOURS, DeskFilter

router = APIRouter()
PAGE = 50
LAST_TASK = "worklist"


@dataclass(frozen=True)
class Rows:
    """Scans of one page of a worklist, and the cursor of the next."""

    items: list[Item]
    following: str | None

    @property
    def expected(self) -> float | None:
        """How many findings opening them all should give; None where the answers are hidden."""
        if any(item.hidden for item in self.items):
            return None
        return sum(item.finding for item in self.items if item.finding is not None)


@router.get("/")
def show_worklist(
    request: Request, visitor: VisitorDep, session: SessionDep, task: Annotated[str | None, Query()] = None
) -> Response:
    """The worklist that the address names; without conditions the one that this visitor left."""
    every = tasks.every(session)
    chosen = _chosen(session, every, task or visitor.preferences.get(LAST_TASK), asked=task is not None)
    named = {name: request.query_params.getlist(name) for name in request.query_params if name != "task"}
    recalled = not named
    wanted = (
        DeskFilter.saved(visitor.preferences.get(f"worklist:{chosen.name}")) if recalled else DeskFilter.read(named)
    )
    wanted = wanted.blinded() if chosen.blind else wanted
    head = tasks.live_head(session, chosen.name)
    rows = _rows(session, chosen, wanted, visitor, cursor=None)
    return page(
        "worklist.html", visitor, active="worklist", tasks=every, task=chosen, head=head, wanted=wanted, rows=rows,
        titles=pile_words.titles(chosen, visitor.language), hours=HOURS, before=None, recalled=recalled,
        anything=bool(rows.items or images.page(session, ImageFilter(), limit=1)),
    )  # fmt: skip


@router.get("/worklist/{task}/rows")
def show_rows(
    request: Request, task: str, visitor: VisitorDep, session: SessionDep, cursor: str, before: str | None = None
) -> Response:
    """The rows after `cursor`, as a fragment; `before` is the pile that the row before them is of."""
    chosen = tasks.named(session, task)
    named = {name: request.query_params.getlist(name) for name in request.query_params}
    wanted = DeskFilter.read(named)
    wanted = wanted.blinded() if chosen.blind else wanted
    rows = _rows(session, chosen, wanted, visitor, cursor=cursor)
    return page(
        "worklist_rows.html", visitor, task=chosen, wanted=wanted, rows=rows, before=before,
        titles=pile_words.titles(chosen, visitor.language),
    )  # fmt: skip


def _chosen(session: Session, every: Sequence[Task], name: object, *, asked: bool) -> Task:
    """The task of that name; where it is only a memory, or nothing, one that a head answers."""
    if asked:
        return tasks.named(session, str(name))
    found = next((task for task in every if task.name == name), None)
    answered = tasks.answered(session)
    return found or next((task for task in every if task.name in answered), every[0])


def _rows(session: Session, task: Task, wanted: DeskFilter, visitor: Visitor, *, cursor: str | None) -> Rows:
    caller = visitor.caller
    found, following = worklist.page(
        session, task, wanted.wanted(datetime.now(UTC)), author=caller.name, limit=wanted.count or PAGE, cursor=cursor
    )
    ids = [one.image_id for one in found]
    items = worklist_items.describe(session, task, ids, author=caller.name, holder=caller.holder)
    return Rows(items, None if wanted.count else following)
