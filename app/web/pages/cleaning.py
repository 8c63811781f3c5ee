"""`/labels/{task}`: labels that a head doubts, to be judged one by one or many at once."""

from typing import Annotated

from fastapi import APIRouter, Query
from sqlalchemy.orm import Session
from starlette.responses import RedirectResponse, Response

from app.deps import SessionDep
from app.errors import NotFound
from app.models import Head
from app.services import label_review, registry, tasks
from app.web.rendering import page
from app.web.visitors import VisitorDep

router = APIRouter()


@router.get("/labels")
def choose_task(_: VisitorDep, session: SessionDep) -> Response:
    """To the first task that has something to clean, else to the first."""
    names = [task.name for task in tasks.every(session)]
    if not names:
        raise NotFound("There is no task yet; an administrator adds one.")
    first = next((name for name in names if label_review.reviewable(session, name)), names[0])
    return RedirectResponse(f"/labels/{first}", 303)


@router.get("/labels/{task}")
def show_suspects(
    task: str,
    visitor: VisitorDep,
    session: SessionDep,
    version: Annotated[int | None, Query(ge=1, lt=2**31)] = None,
) -> Response:
    """The suspects of a head version, of the newest that can tell of any without one; the grid loads by itself."""
    chosen = tasks.named(session, task)
    heads = label_review.reviewable(session, task)
    head = _chosen(session, task, heads, version)
    found = label_review.review(session, head.id) if head else None
    return page(
        "cleaning.html", visitor, active="cleaning", task=chosen, tasks=tasks.every(session), heads=heads, head=head,
        found=found, untrained=version is not None and head is None,
    )  # fmt: skip


def _chosen(session: Session, task: str, heads: list[Head], version: int | None) -> Head | None:
    if version is None:
        return heads[0] if heads else None
    registry.numbered(session, task, version)
    return next((head for head in heads if head.version == version), None)
