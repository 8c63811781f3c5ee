"""Finding stored images by what a person has of them: an id, a digest, a subject, the name of a file."""

import re
from uuid import UUID

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from app.models import Image

_SHA256 = re.compile(r"[0-9a-f]{64}")


def find(session: Session, words: str, *, limit: int) -> list[UUID]:
    """Images whose id or SHA-256 this is, or else whose subject or file name it is, the newest first."""
    asked = words.strip()
    if (known := _by_identity(session, asked)) is not None:
        return [known]
    named = or_(Image.subject == asked, Image.file_name == asked)
    return list(session.scalars(select(Image.id).where(named).order_by(Image.id.desc()).limit(limit)))


def _by_identity(session: Session, asked: str) -> UUID | None:
    if _SHA256.fullmatch(asked.lower()):
        return session.scalar(select(Image.id).where(Image.sha256 == bytes.fromhex(asked)))
    try:
        return session.scalar(select(Image.id).where(Image.id == UUID(asked)))
    except ValueError:
        return None
