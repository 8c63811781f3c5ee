"""`/settings`: how the desk looks and speaks, and where one is signed in."""

from fastapi import APIRouter
from starlette.responses import Response

from app.web.rendering import page
from app.web.visitors import VisitorDep

router = APIRouter()


@router.get("/settings")
def show_settings(visitor: VisitorDep) -> Response:
    return page("settings.html", visitor, active="settings")
