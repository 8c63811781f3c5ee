"""What the owner of a key wants the desk to remember."""

import json
import re
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.errors import InvalidInput
from app.models import Preference

NAME = re.compile(r"[a-z0-9][a-z0-9:._-]{0,63}")
MOST_BYTES = 16 * 1024
MOST_NAMES = 200


def every(session: Session, key_id: UUID) -> dict[str, Any]:
    rows = session.execute(select(Preference.name, Preference.value).where(Preference.key_id == key_id))
    return {row.name: row.value for row in rows}


def remember(session: Session, key_id: UUID, name: str, value: Any) -> None:
    """Keep a value under a name, in place of an earlier one; None forgets it.

    Raise InvalidInput for a name that is none, for more than 16 KiB, or for more than 200 names.
    """
    if not NAME.fullmatch(name):
        raise InvalidInput("A preference's name has 1 to 64 of a-z, 0-9, `:`, `.`, `_` and `-`.")
    if value is None:
        session.execute(delete(Preference).where(Preference.key_id == key_id, Preference.name == name))
        return
    text = json.dumps(value)
    if len(text) > MOST_BYTES or r"\u0000" in text:
        raise InvalidInput(f"A preference has at most {MOST_BYTES:,} bytes of JSON, and no NUL in its texts.")
    known = every(session, key_id)
    if name not in known and len(known) >= MOST_NAMES:
        raise InvalidInput(f"A key remembers at most {MOST_NAMES} preferences; forget one first.")
    kept = insert(Preference).values(key_id=key_id, name=name, value=value)
    session.execute(
        kept.on_conflict_do_update(index_elements=["key_id", "name"], set_={"value": value, "at": func.now()})
    )
