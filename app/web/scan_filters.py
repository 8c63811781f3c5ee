"""Which scans the archive or a search shows: read from an address."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from app.heads.policy_words import UNDECIDED
from app.models import Task
from app.services.filters import ImageFilter

TEXTS = ("source", "subject", "tag")
TIMES = ("captured_from", "captured_until", "received_from", "received_until")
STATES = ("pending", "ready", "failed")
_LONGEST_TEXT = 256


@dataclass(frozen=True)
class ScanFilter:
    """Conditions as an address has them, and the task that outcomes are told for."""

    wanted: ImageFilter
    task: Task | None

    @classmethod
    def read(cls, values: Mapping[str, str], tasks: list[Task]) -> "ScanFilter":
        """What can be read; the rest is left out: an old bookmark should open a list, not an error.

        A blind task is not filtered by decision, which would tell what it keeps.
        """
        found: dict[str, Any] = {name: text for name in TEXTS if _keepable(text := values.get(name, "").strip())}
        found |= {name: at for name in TIMES if (at := _time(values.get(name, ""))) is not None}
        if values.get("state") in STATES:
            found["state"] = values["state"]
        task = next((one for one in tasks if one.name == values.get("task")), None)
        if task is not None:
            if values.get("label") in task.classes:
                found["label"] = values["label"]
            if not task.blind and values.get("decision") in {*task.classes, *UNDECIDED}:
                found["decision"] = values["decision"]
            found |= {"task": task.name, "kind": task.profile}
        return cls(ImageFilter(**found), task)

    def values(self) -> dict[str, str]:
        """What is set, as addresses and forms have it."""
        names = ("task", "state", *TEXTS, "label", "decision")
        found = {name: str(value) for name in names if (value := getattr(self.wanted, name))}
        return found | {name: at.isoformat() for name in TIMES if (at := getattr(self.wanted, name)) is not None}

    def query(self, **more: object) -> str:
        """For an address, with the question mark; empty where nothing is set. None among `more` takes a value out."""
        every: dict[str, object] = {**self.values(), **more}
        text = urlencode({name: value for name, value in every.items() if value})
        return f"?{text}" if text else ""

    @property
    def narrows(self) -> bool:
        return self.wanted != ImageFilter(task=self.wanted.task, kind=self.wanted.kind)


def identity(text: str | None) -> UUID | None:
    """The id that an address names; None where it is none."""
    try:
        return UUID(text or "")
    except ValueError:
        return None


def _keepable(text: str) -> bool:
    return 0 < len(text) <= _LONGEST_TEXT and text.isprintable()


def _time(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    found = found if found.tzinfo else found.replace(tzinfo=UTC)
    return found if 1895 <= found.year < 9999 else None
