"""Who looks at a page: signed in, with a language and a theme of their own."""

from dataclasses import dataclass, field
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import Depends, Request

from app.db import transaction
from app.deps import SESSION_COOKIE, Parts, PartsDep
from app.errors import Unauthenticated
from app.models import Role
from app.services import desk_sessions, preferences
from app.services.keys import Caller
from app.web import languages

THEMES = ("dark", "light", "system")
DENSITIES = ("comfortable", "compact")


class SignInNeeded(Exception):
    """Nobody is signed in; `at` is the page to come back to."""

    def __init__(self, at: str) -> None:
        super().__init__(at)
        self.at = at

    @property
    def where(self) -> str:
        return f"/sign-in?next={quote(self.at, safe='/')}"


@dataclass(frozen=True)
class Visitor:
    """Whoever is signed in. `csrf` proves to the API that a page of this session asks."""

    caller: Caller
    csrf: str
    language: str
    preferences: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.caller.name

    @property
    def role(self) -> str:
        return self.caller.role

    @property
    def theme(self) -> str:
        return _one_of(self.preferences.get("theme"), THEMES)

    @property
    def density(self) -> str:
        return _one_of(self.preferences.get("density"), DENSITIES)

    def may(self, role: str) -> bool:
        return self.caller.may(Role(role))


def _one_of(value: Any, known: tuple[str, ...]) -> str:
    return value if value in known else known[0]


def get_visitor(request: Request, parts: PartsDep) -> Visitor:
    """The visitor of a page. Raise SignInNeeded, or Unauthenticated for what a script fetches."""
    token = request.cookies.get(SESSION_COOKIE)
    fetched = request.headers.get("sec-fetch-dest", "document") == "empty"
    try:
        if token is None:
            raise Unauthenticated(desk_sessions.ENDED)
        return visitor_of(request, parts, token)
    except Unauthenticated:
        if fetched:
            raise
        raise SignInNeeded(_address(request)) from None


def visitor_of(request: Request, parts: Parts, token: str) -> Visitor:
    """Whose the desk's cookie is, with what they like. Raise Unauthenticated when the session has ended."""
    with transaction(parts.sessions) as session:
        caller = desk_sessions.caller_of(session, token, hours=parts.settings.session_hours)
        known = preferences.every(session, caller.key_id)
    return Visitor(caller, desk_sessions.csrf_token(token), language_of(request, known), known)


VisitorDep = Annotated[Visitor, Depends(get_visitor)]


def language_of(request: Request, known: dict[str, Any]) -> str:
    """The language that was chosen, or that the browser asks for."""
    chosen = known.get("language")
    if chosen in languages.LANGUAGES:
        return str(chosen)
    return languages.negotiate(request.headers.get("accept-language", ""))


def _address(request: Request) -> str:
    return request.url.path + (f"?{request.url.query}" if request.url.query else "")
