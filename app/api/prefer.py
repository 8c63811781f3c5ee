"""`Prefer: wait=SECONDS` (RFC 7240)."""

import re
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Header

from app.deps import SettingsDep

_WAIT = re.compile(r"(?:^|[,;\s])wait\s*=\s*\"?(\d{1,6})\"?\s*(?:$|[,;])", re.IGNORECASE)


@dataclass(frozen=True)
class Preference:
    wait_seconds: float

    @property
    def applied(self) -> str:
        return f"wait={self.wait_seconds:g}"


def get_preference(
    settings: SettingsDep,
    prefer: Annotated[
        str | None, Header(description="`wait=SECONDS`: answer when predictions are ready", max_length=1024)
    ] = None,
) -> Preference:
    """The preference that will be honoured; one that cannot be read is ignored, as the RFC asks."""
    match = _WAIT.search(prefer or "")
    return Preference(min(float(match.group(1)), settings.max_wait_seconds) if match else 0.0)


PreferDep = Annotated[Preference, Depends(get_preference)]
