"""Errors as pages, for people; a program gets the API's problem documents as ever."""

import json
from collections.abc import Callable
from http import HTTPStatus

from fastapi import FastAPI, Request
from starlette.responses import RedirectResponse, Response

from app.deps import SESSION_COOKIE, get_parts
from app.web.rendering import page
from app.web.visitors import SignInNeeded, Visitor, language_of, visitor_of

Handler = Callable[[Request, Exception], Response]
_OF_PROGRAMS = ("/v1/", "/healthz", "/readyz", "/metrics", "/docs", "/openapi.json")


def install(app: FastAPI) -> None:
    """Let every handler's problem document become a page where a person asked for one."""
    app.add_exception_handler(SignInNeeded, _to_sign_in)
    for kind, handler in list(app.exception_handlers.items()):
        if kind is not SignInNeeded:
            app.add_exception_handler(kind, _for_people(handler))  # type: ignore[arg-type]


def _to_sign_in(_: Request, needed: Exception) -> Response:
    assert isinstance(needed, SignInNeeded)
    return RedirectResponse(needed.where, 303)


def _for_people(handler: Handler) -> Handler:
    def answer(request: Request, error: Exception) -> Response:
        response = handler(request, error)
        if not _wants_page(request):
            return response
        told = json.loads(bytes(response.body))
        visitor = _visitor(request)
        status = response.status_code
        return page(
            "problem.html", visitor, status=status, language=language_of(request, {}),
            code=status, title=HTTPStatus(status).phrase, detail=told.get("detail", ""),
        )  # fmt: skip

    return answer


def _wants_page(request: Request) -> bool:
    if request.url.path.startswith(_OF_PROGRAMS) or request.headers.get("sec-fetch-dest", "document") == "empty":
        return False
    return "text/html" in request.headers.get("accept", "")


def _visitor(request: Request) -> Visitor | None:
    """Whoever is signed in; None as well where the database is what is broken."""
    token = request.cookies.get(SESSION_COOKIE)
    if token is None:
        return None
    try:
        return visitor_of(request, get_parts(request), token)
    except Exception:  # a page about an error must not raise another
        return None
