"""`/v1/preferences` and `/v1/sessions`: what the desk remembers of whoever calls."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path

from app.api.problems import problems
from app.api.schemas.common import Body
from app.deps import CallerDep, SessionDep
from app.services import desk_sessions, preferences

router = APIRouter(tags=["desk"])
PreferenceName = Annotated[str, Path(pattern=rf"^{preferences.NAME.pattern}$")]


class PreferenceIn(Body):
    value: Any


class SessionOut(Body):
    """A browser that is signed in with the caller's key; `mine` is the one that asks."""

    id: UUID
    browser: str
    created_at: datetime
    seen_at: datetime
    expires_at: datetime
    mine: bool


@router.get("/preferences", responses=problems())
def list_preferences(session: SessionDep, caller: CallerDep) -> dict[str, Any]:
    """Everything the desk remembers for the caller's key."""
    return preferences.every(session, caller.key_id)


@router.put("/preferences/{name}", status_code=204, responses=problems(404))
def remember(name: PreferenceName, body: PreferenceIn, session: SessionDep, caller: CallerDep) -> None:
    """Remember a JSON value of up to 16 KiB for the caller's key; null forgets it."""
    preferences.remember(session, caller.key_id, name, body.value)


@router.get("/sessions", responses=problems())
def list_sessions(session: SessionDep, caller: CallerDep) -> list[SessionOut]:
    """The browsers that are signed in with the caller's key, the latest used first."""
    return [
        SessionOut(
            id=one.id, browser=one.browser, created_at=one.created_at, seen_at=one.seen_at,
            expires_at=one.expires_at, mine=one.id == caller.session_id,
        )
        for one in desk_sessions.of_key(session, caller.key_id)
    ]  # fmt: skip


@router.delete("/sessions", status_code=204, responses=problems())
def close_other_sessions(session: SessionDep, caller: CallerDep) -> None:
    """Sign all of the caller's browsers out but the one that asks."""
    desk_sessions.close_others(session, caller)


@router.delete("/sessions/{session_id}", status_code=204, responses=problems(404))
def close_session(session_id: UUID, session: SessionDep, caller: CallerDep) -> None:
    """Sign one of the caller's browsers out."""
    desk_sessions.close(session, session_id, caller)
