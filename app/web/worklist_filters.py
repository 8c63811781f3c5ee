"""Which scans of a worklist somebody wants to see: read from an address or from what they saved."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from app.services.filters import ImageFilter
from app.services.worklist import Order, State, WorklistFilter
from app.services.worklist_sql import PILES

TEXTS = ("source", "subject", "tag")
TIMES = ("received_from", "received_until", "captured_from", "captured_until")
SHARES = ("risk_from", "risk_until")
HOURS = (1, 8, 24, 168)
MOST_AT_ONCE = 200
_LONGEST_TEXT = 256


@dataclass(frozen=True, kw_only=True)
class DeskFilter:
    """Conditions of a worklist as the desk keeps them: `within` hours of now instead of a time that grows old, and
    `count`, how many scans somebody can open today."""

    pile: tuple[str, ...] = ()
    source: str | None = None
    subject: str | None = None
    tag: str | None = None
    within: int | None = None
    received_from: datetime | None = None
    received_until: datetime | None = None
    captured_from: datetime | None = None
    captured_until: datetime | None = None
    risk_from: float | None = None
    risk_until: float | None = None
    state: State = State.OPEN
    count: int | None = None

    @classmethod
    def read(cls, values: Mapping[str, Sequence[str]]) -> "DeskFilter":
        """What can be read; the rest is left out: an old bookmark should open a list, not an error."""
        first = {name: texts[0].strip() for name, texts in values.items() if texts and texts[0].strip()}
        found: dict[str, Any] = {name: first[name] for name in TEXTS if _keepable(first.get(name, ""))}
        found |= {name: at for name in TIMES if (at := _time(first.get(name))) is not None}
        found |= {name: share for name in SHARES if (share := _share(first.get(name))) is not None}
        count = _whole(first.get("count"))
        return cls(
            pile=tuple(pile for pile in PILES if pile in values.get("pile", ())),
            within=hours if (hours := _whole(first.get("within"))) in HOURS else None,
            state=State(first["state"]) if first.get("state") in set(State) else State.OPEN,
            count=count if count in range(1, MOST_AT_ONCE + 1) else None,
            **found,
        )

    @classmethod
    def saved(cls, value: Any) -> "DeskFilter":
        """As a preference keeps it: names with a text, or a list of texts."""
        if not isinstance(value, dict):
            return cls()
        lists = {name: one if isinstance(one, list) else [one] for name, one in value.items()}
        return cls.read({name: [str(text) for text in texts] for name, texts in lists.items()})

    @property
    def order(self) -> Order:
        return Order.FINDINGS if self.count else Order.PILES

    def wanted(self, now: datetime) -> WorklistFilter:
        received_from = now - timedelta(hours=self.within) if self.within else self.received_from
        where = ImageFilter(
            source=self.source, subject=self.subject, tag=self.tag, received_from=received_from,
            received_until=self.received_until, captured_from=self.captured_from, captured_until=self.captured_until,
        )  # fmt: skip
        return WorklistFilter(
            where=where, piles=self.pile, risk_from=self.risk_from, risk_until=self.risk_until, state=self.state,
            order=self.order,
        )  # fmt: skip

    def values(self) -> dict[str, Any]:
        """What is set, as addresses and scripts have it."""
        found: dict[str, Any] = {"pile": list(self.pile)} if self.pile else {}
        found |= {name: value for name in (*TEXTS, "within", *SHARES) if (value := getattr(self, name)) is not None}
        found |= {name: at.isoformat() for name in TIMES if (at := getattr(self, name)) is not None}
        if self.state is not State.OPEN:
            found["state"] = str(self.state)
        return found | ({"count": self.count} if self.count else {})

    def query(self, **more: object) -> str:
        """For an address, with the question mark; empty where nothing is set."""
        text = urlencode(self.values() | {name: value for name, value in more.items() if value}, doseq=True)
        return f"?{text}" if text else ""

    def of_pile(self, *piles: str) -> "DeskFilter":
        """The same for other piles, by pile."""
        return replace(self, pile=piles, count=None)

    def blinded(self) -> "DeskFilter":
        """Without what would tell the hidden answers: piles and scores."""
        return replace(self, pile=(), risk_from=None, risk_until=None)

    @property
    def narrows(self) -> bool:
        """Whether something beside the pile leaves scans out."""
        return bool(set(self.values()) - {"pile", "count"})


def _keepable(text: str) -> bool:
    return 0 < len(text) < _LONGEST_TEXT and text.isprintable()


def _time(text: str | None) -> datetime | None:
    try:
        found = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _share(text: str | None) -> float | None:
    try:
        found = float(text or "")
    except ValueError:
        return None
    return found if 0 <= found <= 1 else None


def _whole(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 6 else None
