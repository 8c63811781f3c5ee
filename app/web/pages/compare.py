"""`/compare`: two scans side by side, zoomed and moved together."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from starlette.responses import HTMLResponse

from app.deps import SessionDep
from app.services import images
from app.web.rendering import page
from app.web.visitors import VisitorDep

router = APIRouter()


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
    sides = [{"name": name, "id": side, "view": found.get(side) if side else None}
             for name, side in (("left", left), ("right", right))]  # fmt: skip
    return page("compare.html", visitor, sides=sides, chosen=bool(asked))
