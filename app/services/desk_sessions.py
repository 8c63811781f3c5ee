"""Browsers that signed in at the desk: a random cookie each, of which only the SHA-256 is stored."""

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from app.errors import NotFound, Unauthenticated
from app.models import ApiKey, DeskSession, Role
from app.services import audit, keys
from app.services.browsers import browser_words
from app.services.keys import Caller

# How stale `seen_at` may be: a row that was rewritten at each request would be the busiest of the database.
_TOUCH = timedelta(minutes=1)
ENDED = "Your session has ended; sign in again with your key."


def sign_in(session: Session, secret: str, *, hours: float, agent: str = "") -> tuple[str, Caller]:
    """Open a session for the owner of an API key: the cookie's value, and the caller; `agent` is the browser's own
    word for itself.

    Raise Unauthenticated when the key is unknown or revoked.
    """
    caller = keys.authenticate(session, secret)
    token = secrets.token_urlsafe(32)
    session.execute(delete(DeskSession).where(DeskSession.expires_at < func.now()))
    opened = DeskSession(
        key_id=caller.key_id, token_hash=_hash(token), browser=browser_words(agent),
        expires_at=func.now() + timedelta(hours=hours),
    )  # fmt: skip
    session.add(opened)
    session.flush()
    audit.record(session, caller.name, "desk.sign_in", "desk_session", opened.id)
    return token, Caller(caller.name, caller.role, caller.key_id, opened.id)


def caller_of(session: Session, token: str, *, hours: float) -> Caller:
    """Whose session a cookie is; each use keeps it open for another `hours`.

    Raise Unauthenticated when it is unknown, has expired, or its key was revoked.
    """
    row = session.execute(
        select(DeskSession, ApiKey, func.now().label("now"))
        .join(ApiKey, ApiKey.id == DeskSession.key_id)
        .where(DeskSession.token_hash == _hash(token), DeskSession.expires_at > func.now(), ApiKey.revoked_at.is_(None))
    ).one_or_none()
    if row is None:
        raise Unauthenticated(ENDED)
    opened, key, now = row
    if now - opened.seen_at > _TOUCH:
        renewed = {"seen_at": now, "expires_at": now + timedelta(hours=hours)}
        session.execute(update(DeskSession).where(DeskSession.id == opened.id).values(renewed))
    return Caller(key.name, Role(key.role), key.id, opened.id)


def sign_out(session: Session, token: str) -> None:
    """Close a session; one that is closed already stays so."""
    session.execute(delete(DeskSession).where(DeskSession.token_hash == _hash(token)))


def of_key(session: Session, key_id: UUID) -> Sequence[DeskSession]:
    """The open sessions of a key, the latest used first."""
    wanted = select(DeskSession).where(DeskSession.key_id == key_id, DeskSession.expires_at > func.now())
    return session.scalars(wanted.order_by(DeskSession.seen_at.desc(), DeskSession.id.desc())).all()


def close(session: Session, session_id: UUID, caller: Caller) -> None:
    """Close one of the caller's own sessions. Raise NotFound for anybody else's."""
    opened = session.get(DeskSession, session_id)
    if opened is None or opened.key_id != caller.key_id:
        raise NotFound(f"You have no session {session_id}.")
    session.delete(opened)
    audit.record(session, caller.name, "desk.sign_out", "desk_session", session_id)


def close_others(session: Session, caller: Caller) -> None:
    """Close every session of the caller but the one that asks."""
    others = delete(DeskSession).where(DeskSession.key_id == caller.key_id)
    if caller.session_id is not None:
        others = others.where(DeskSession.id != caller.session_id)
    closed = session.scalars(others.returning(DeskSession.id)).all()
    for session_id in closed:
        audit.record(session, caller.name, "desk.sign_out", "desk_session", session_id)


def csrf_token(token: str) -> str:
    """What a page sends back with whatever changes something: only pages of the desk can read it.

    The HMAC of the session's secret: OWASP's "signed double-submit cookie", without a second cookie.
    """
    return hmac.new(token.encode(), b"csrf", hashlib.sha256).hexdigest()


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
