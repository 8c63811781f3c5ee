"""`/settings`: how the desk looks and speaks, and where one is signed in."""

from fastapi import APIRouter
from starlette.responses import Response

from app.deps import SessionDep
from app.services import desk_sessions
from app.web.rendering import page
from app.web.visitors import VisitorDep

router = APIRouter()


@router.get("/settings")
def show_settings(visitor: VisitorDep, session: SessionDep) -> Response:
    opened = desk_sessions.of_key(session, visitor.caller.key_id)
    return page("settings.html", visitor, active="settings", sessions=opened, mine=visitor.caller.session_id)
