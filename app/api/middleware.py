"""Every request: bounded and measured."""

import time

from prometheus_client import Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api import errors, paths
from app.errors import TooLarge

DURATION = Histogram(
    "http_request_duration_seconds", "Time to answer a request", ("method", "route", "status"),
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)  # fmt: skip
MAX_UNSTREAMED_BYTES = 1024 * 1024


class BoundBody:
    """Refuses a body that exceeds the bound: by its stated length, or as soon as it has grown past it.

    Only a multipart body is streamed to disk. Any other is read into memory, before the key is
    looked at, and has a bound of its own.
    """

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        most, remedy = self._max_bytes, "send fewer files at a time."
        if not headers.get(b"content-type", b"").lower().startswith(b"multipart/"):
            most, remedy = min(most, MAX_UNSTREAMED_BYTES), "send files as multipart/form-data."
        too_large = TooLarge(f"A request of this kind has at most {most:,} bytes; {remedy}")
        stated = headers.get(b"content-length", b"0")
        if stated.isdigit() and int(stated) > most:
            await errors.respond(too_large)(scope, receive, send)
            return
        received = 0

        async def bounded() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > most:
                raise too_large
            return message

        await self._app(scope, bounded, send)


class Measure:
    """Observes the duration of each request under its documented path, so that ids make no new series."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start, status = time.perf_counter(), 500

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noted)
        finally:
            route = paths.template_of(scope["app"], scope["path"]) or "unknown"
            DURATION.labels(scope["method"], route, status).observe(time.perf_counter() - start)
