"""`Prefer: wait=SECONDS` (RFC 7240)."""

import re
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Header

from app.deps import SettingsDep

_WAIT = re.compile(r"(?:^|[,;\s])wait\s*=\s*\"?(\d{1,6})\"?\s*(?:$|[,;])", re.IGNORECASE)

# A new file waits this long for its extraction when the caller states no preference.
DEFAULT_WAIT_SECONDS = 30.0


@dataclass(frozen=True)
class Preference:
    """What the caller prefers; `stated` is whether it said anything at all."""

    wait_seconds: float
    stated: bool

    @property
    def applied(self) -> str:
        return f"wait={self.wait_seconds:g}"

    @property
    def wait_for_new_file_seconds(self) -> float:
        """For calls whose answer needs the extraction of the file that came with them."""
        return self.wait_seconds if self.stated else DEFAULT_WAIT_SECONDS


def get_preference(
    settings: SettingsDep,
    prefer: Annotated[
        str | None, Header(description="`wait=SECONDS`: answer when predictions are ready", max_length=1024)
    ] = None,
) -> Preference:
    """The preference that will be honoured; one that cannot be read is ignored, as the RFC asks."""
    match = _WAIT.search(prefer or "")
    wait_seconds = min(float(match.group(1)), settings.max_wait_seconds) if match else 0.0
    return Preference(wait_seconds, stated=prefer is not None)


PreferDep = Annotated[Preference, Depends(get_preference)]
