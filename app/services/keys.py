"""API keys: made, checked, revoked. The key itself is shown once and never stored."""

import hashlib
import secrets
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.errors import Forbidden, NotFound, Unauthenticated
from app.models import ApiKey, Role
from app.services import audit

PREFIX = "pnb_"
_RANK = {Role.INGEST: 0, Role.INSPECTOR: 1, Role.ADMIN: 2}


@dataclass(frozen=True)
class Caller:
    """Who calls, and as what; `session_id` where a browser signed in at the desk."""

    name: str
    role: Role
    key_id: UUID
    session_id: UUID | None = None

    @property
    def holder(self) -> UUID:
        """What claims are held by: two people with one key sit at two browsers."""
        return self.session_id or self.key_id

    def may(self, role: Role) -> bool:
        """Whether this caller's role includes `role`."""
        return _RANK[self.role] >= _RANK[role]

    def require(self, role: Role) -> None:
        """Raise Forbidden unless this caller's role includes `role`."""
        if not self.may(role):
            raise Forbidden(f"This needs a key of role {role}; {self.name} has role {self.role}.")


def create(session: Session, name: str, role: Role, *, author: str) -> tuple[ApiKey, str]:
    """A new key, and its secret: the only time that it is readable."""
    secret = PREFIX + secrets.token_urlsafe(32)
    key = ApiKey(name=name, role=role, key_hash=_hash(secret))
    session.add(key)
    session.flush()
    audit.record(session, author, "key.create", "api_key", key.id, name=name, role=role)
    return key, secret


def authenticate(session: Session, secret: str) -> Caller:
    """The caller a secret belongs to. Raise Unauthenticated when it is unknown or revoked."""
    key = session.scalar(select(ApiKey).where(ApiKey.key_hash == _hash(secret)))
    if key is None or key.revoked_at is not None:
        raise Unauthenticated("The API key is unknown or revoked; ask an administrator for a new one.")
    return Caller(key.name, Role(key.role), key.id)


def every(session: Session) -> list[ApiKey]:
    return list(session.scalars(select(ApiKey).order_by(ApiKey.id)))


def revoke(session: Session, key_id: UUID, *, author: str) -> ApiKey:
    """Make a key useless at once; revoking it again changes nothing."""
    key = session.get(ApiKey, key_id)
    if key is None:
        raise NotFound(f"There is no API key {key_id}.")
    if key.revoked_at is None:
        key.revoked_at = session.scalar(select(func.now()))
        audit.record(session, author, "key.revoke", "api_key", key.id, name=key.name)
    return key


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
