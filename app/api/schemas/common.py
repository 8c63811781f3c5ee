"""Types and rules that all bodies share."""

import re
from datetime import datetime
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    StrictFloat,
    StrictInt,
    StringConstraints,
)

from app.heads.policy_words import CANNOT_JUDGE


def _storable(value: str) -> str:
    if "\x00" in value:
        raise ValueError("must not contain a NUL character")
    return value


_DATE_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]")


def _written_out(value: object) -> object:
    """Refuse numbers, which would pass as seconds since 1970."""
    if not isinstance(value, str) or not _DATE_TIME.match(value):
        raise ValueError("must be an ISO 8601 time with a time zone, such as 2026-05-01T10:00:00Z")
    return value


def _photographable(value: datetime) -> datetime:
    """Between the discovery of X-rays and the last year that every time zone can write."""
    if not 1895 <= value.year < 9999:
        raise ValueError("must lie between the years 1895 and 9998")
    return value


Moment = Annotated[AwareDatetime, BeforeValidator(_written_out), AfterValidator(_photographable)]
Text = Annotated[str, StringConstraints(max_length=256), AfterValidator(_storable)]
KeyName = Annotated[str, StringConstraints(min_length=1, max_length=128), AfterValidator(_storable)]
LongText = Annotated[str, StringConstraints(max_length=4096), AfterValidator(_storable)]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?$")]
# A class, or a word that leaves a scan to a person: review, cannot_judge.
Decision = Annotated[str, StringConstraints(pattern=rf"^({CANNOT_JUDGE}|[a-z0-9]([a-z0-9-]{{0,62}}[a-z0-9])?)$")]
State = Literal["pending", "ready", "failed"]
Profile = Literal["container", "chest"]
Number = StrictInt | StrictFloat


class Body(BaseModel):
    """A request body: an unknown field is an error, not a guess."""

    model_config = ConfigDict(extra="forbid")


class ConditionsIn(Body):
    """Which images are meant; all conditions must hold."""

    source: Text | None = None
    subject: Text | None = None
    tag: Text | None = None
    captured_from: Moment | None = None
    captured_until: Moment | None = None
    received_from: Moment | None = None
    received_until: Moment | None = None
    state: State | None = None


class Problem(BaseModel):
    """Problem details (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    reason: str | None = None
