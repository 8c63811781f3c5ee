"""Headers of every answer, and the cookie of a session."""

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.deps import SESSION_COOKIE

# No inline script or style anywhere: text that comes from a file name or a label can only ever be text.
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob: data:",
        "connect-src 'self'",
        "worker-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
# Documents of the API that a browser may be pointed at: a head's report brings its style and plots along.
_OF_THE_API = "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'"
_ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
# The pages of FastAPI's own documentation begin with a script of their own.
_DOCUMENTATION = ("/docs", "/static-offline-docs", "/openapi.json")


class Shield:
    """Gives every answer the headers that keep a browser from doing what the desk never asks of it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        policy = _policy(scope["path"])

        async def shielded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _ALWAYS.items():
                    headers.setdefault(name, value)
                if policy:
                    headers.setdefault("Content-Security-Policy", policy)
            await send(message)

        await self._app(scope, receive, shielded)


def _policy(path: str) -> str | None:
    if path.startswith(_DOCUMENTATION):
        return None
    return _OF_THE_API if path.startswith("/v1/") else CONTENT_SECURITY_POLICY


def keep_session(request: Request, response: Response, token: str) -> None:
    """Give the browser its session's cookie: out of reach of scripts, and sent by no other site's forms.

    No `Max-Age`: it goes with the browser's own session, and the server's clock ends it earlier.
    """
    response.set_cookie(
        SESSION_COOKIE, token, httponly=True, samesite="lax", secure=request.url.scheme == "https", path="/"
    )


def drop_session(response: Response) -> None:
    response.delete_cookie(SESSION_COOKIE, path="/", httponly=True, samesite="lax")


def from_another_site(request: Request) -> bool:
    """Whether a browser says that another site's page sent this (Fetch Metadata, W3C)."""
    return request.headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}
