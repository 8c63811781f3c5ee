"""`/compare`: two scans side by side, zoomed and moved together."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from sqlalchemy.orm import Session
from starlette.responses import HTMLResponse

from app.deps import SessionDep
from app.services import images, opinions, tasks
from app.web.rendering import page
from app.web.visitors import Visitor, VisitorDep

router = APIRouter()


def kept_back(session: Session, image_id: UUID | None, visitor: Visitor) -> set[str]:
    """Blind tasks whose answer on a scan its reader may not see before an opinion of their own."""
    every = tasks.every(session) if image_id else []
    return {one.name for one in every if image_id and opinions.hidden(session, one, image_id, visitor.name)}


@router.get("/compare")
def compare(
    visitor: VisitorDep,
    session: SessionDep,
    left: Annotated[UUID | None, Query()] = None,
    right: Annotated[UUID | None, Query()] = None,
) -> HTMLResponse:
    """Two scans; one that is not there (any more) leaves its side empty, and says so."""
    asked = [side for side in (left, right) if side is not None]
    found = {view.image.id: view for view in images.describe(session, asked)}
    sides = [
        {"name": name, "id": side, "view": found.get(side) if side else None, "kept": kept_back(session, side, visitor)}
        for name, side in (("left", left), ("right", right))
    ]
    return page("compare.html", visitor, sides=sides, chosen=bool(asked))
