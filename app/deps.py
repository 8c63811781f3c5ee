"""What requests are given: the parts of the running service, a session, the caller."""

import hmac
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from app.blobs import BlobStore
from app.config import Settings
from app.db import DONE_CHANNEL, Listener, Sessions, transaction
from app.errors import Forbidden, Unauthenticated
from app.models import Role
from app.services import desk_sessions, images, keys
from app.services.keys import Caller
from app.services.prediction import LoadedHeads


class DoneSignal:
    """Wakes requests that wait for images, by one LISTEN for the whole process."""

    def __init__(self, engine: Engine) -> None:
        self._listener = Listener(engine, DONE_CHANNEL)
        self._condition = threading.Condition()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="done-signal", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(timeout=5)

    def wait_until(self, finished: Callable[[], bool], seconds: float) -> bool:
        """Whether `finished` came true in time; looked at on each signal, and once a second."""
        deadline = time.monotonic() + seconds
        while not finished():
            left = deadline - time.monotonic()
            if left <= 0 or self._stopping.is_set():
                return False
            with self._condition:
                self._condition.wait(min(left, 1.0))
        return True

    def _run(self) -> None:
        while not self._stopping.is_set():
            if self._listener.wait(0.25):  # no longer: a shutdown waits for it
                with self._condition:
                    self._condition.notify_all()
        self._listener.close()


@dataclass(frozen=True)
class Parts:
    """The running service: built once by `app.main`, found by requests in the app's state."""

    settings: Settings
    engine: Engine
    sessions: Sessions
    blobs: BlobStore
    done: DoneSignal
    loaded_heads: LoadedHeads

    def wait_for_images(self, image_ids: list[UUID], seconds: float) -> None:
        """Return when none of the images is pending, or when the time is up."""
        waiting = list(image_ids)

        def finished() -> bool:
            nonlocal waiting
            with transaction(self.sessions) as session:
                waiting = images.unfinished(session, waiting)
            return not waiting

        if image_ids and seconds > 0:
            self.done.wait_until(finished, min(seconds, self.settings.max_wait_seconds))


def get_parts(request: Request) -> Parts:
    parts = request.app.state.parts
    assert isinstance(parts, Parts)
    return parts


PartsDep = Annotated[Parts, Depends(get_parts)]


def get_settings(parts: PartsDep) -> Settings:
    return parts.settings


SettingsDep = Annotated[Settings, Depends(get_settings)]


def get_session(parts: PartsDep) -> Iterator[Session]:
    with transaction(parts.sessions) as session:
        yield session


# Scope "function": the commit comes before the answer is sent, so a failing one cannot answer 200.
SessionDep = Annotated[Session, Depends(get_session, scope="function")]

_bearer = HTTPBearer(auto_error=False, description="An API key: `Authorization: Bearer pnb_...`")


SESSION_COOKIE = "penumbra_session"
CSRF_HEADER = "X-CSRF-Token"
_SAFE = {"GET", "HEAD", "OPTIONS"}


def get_caller(
    request: Request, parts: PartsDep, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> Caller:
    """Whoever sends an API key, or the desk's cookie; with the cookie, a change must also prove that a page of the
    desk asks for it."""
    if credentials is not None:
        with transaction(parts.sessions) as session:
            return keys.authenticate(session, credentials.credentials)
    token = request.cookies.get(SESSION_COOKIE)
    if token is None:
        raise Unauthenticated("Send an API key as `Authorization: Bearer KEY`.")
    caller = signed_in(parts, token)
    if request.method not in _SAFE:
        check_csrf(token, request.headers.get(CSRF_HEADER, ""))
    return caller


def signed_in(parts: Parts, token: str) -> Caller:
    """Whose the desk's cookie is. Raise Unauthenticated when the session has ended."""
    with transaction(parts.sessions) as session:
        return desk_sessions.caller_of(session, token, hours=parts.settings.session_hours)


def check_csrf(token: str, given: str) -> None:
    """Raise Forbidden unless a page of this session sent the request."""
    if not hmac.compare_digest(given.encode(), desk_sessions.csrf_token(token).encode()):
        raise Forbidden("The request does not come from a page of this session; load the page again.")


CallerDep = Annotated[Caller, Depends(get_caller)]


def get_inspector(caller: CallerDep) -> Caller:
    caller.require(Role.INSPECTOR)
    return caller


def get_admin(caller: CallerDep) -> Caller:
    caller.require(Role.ADMIN)
    return caller


Inspector = Annotated[Caller, Depends(get_inspector)]
Admin = Annotated[Caller, Depends(get_admin)]
