"""`/sign-in` and `/sign-out`."""

from typing import Annotated

from fastapi import APIRouter, Form, Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from app.db import transaction
from app.deps import SESSION_COOKIE, Parts, PartsDep, check_csrf
from app.errors import Forbidden, Unauthenticated
from app.services import desk_sessions
from app.services.keys import Caller
from app.web.rendering import page
from app.web.security import drop_session, from_another_site, keep_session
from app.web.visitors import language_of

router = APIRouter()


@router.get("/sign-in")
def show_sign_in(request: Request, next: str = "/") -> Response:  # noqa: A002
    return page("sign_in.html", None, language=language_of(request, {}), next=_inside(next), problem=None)


@router.post("/sign-in")
def sign_in(
    request: Request, parts: PartsDep, key: Annotated[str, Form()] = "", next: Annotated[str, Form()] = "/"  # noqa: A002
) -> Response:  # fmt: skip
    """Open a session. A page that asks by script (its own session has ended) gets JSON, and stays where it is."""
    if from_another_site(request):
        raise Forbidden("Another site's page asked to sign in here; open the desk itself.")
    by_script = request.headers.get("sec-fetch-dest") == "empty"
    try:
        token, caller = _open(parts, key.strip(), request.headers.get("user-agent", ""))
    except Unauthenticated as refused:
        if by_script:
            raise
        language = language_of(request, {})
        return page("sign_in.html", None, status=401, language=language, next=_inside(next), problem=refused.message)
    response: Response = RedirectResponse(_inside(next), 303)
    if by_script:
        response = JSONResponse({"csrf": desk_sessions.csrf_token(token), "name": caller.name, "role": caller.role})
    keep_session(request, response, token)
    return response


def _open(parts: Parts, key: str, agent: str) -> tuple[str, Caller]:
    with transaction(parts.sessions) as session:
        return desk_sessions.sign_in(session, key, hours=parts.settings.session_hours, agent=agent)


@router.post("/sign-out")
def sign_out(request: Request, parts: PartsDep, csrf: Annotated[str, Form()] = "") -> Response:
    """Close this browser's session."""
    token = request.cookies.get(SESSION_COOKIE)
    if token is not None:
        check_csrf(token, csrf)
        with transaction(parts.sessions) as session:
            desk_sessions.sign_out(session, token)
    response = RedirectResponse("/sign-in", 303)
    drop_session(response)
    return response


def _inside(address: str) -> str:
    """An address of this desk; anything else would make the sign-in a way to somebody else's site."""
    inside = address.startswith("/") and not address.startswith(("//", "/\\")) and address.isprintable()
    return address if inside else "/"
