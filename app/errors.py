"""The error tree. It knows no HTTP: `app.api.errors` maps each class to a status.

A message names the thing and the remedy, in one sentence a user can act on.
"""

from datetime import datetime
from enum import StrEnum
from typing import ClassVar


class AppError(Exception):
    """The root of every error that Penumbra raises on purpose."""

    code: ClassVar[str] = "error"

    @property
    def message(self) -> str:
        return str(self)


class NotFound(AppError):
    code = "not-found"


class Conflict(AppError):
    """The request contradicts the present state."""

    code = "conflict"


class InvalidInput(AppError):
    """A value that the caller sent cannot be used."""

    code = "invalid-input"


class Unauthenticated(AppError):
    code = "unauthenticated"


class Forbidden(AppError):
    code = "forbidden"


class TooLarge(AppError):
    """A request or file exceeds a stated bound."""

    code = "too-large"


class Unavailable(AppError):
    """A component that the request needs cannot answer now; trying again later is right."""

    code = "unavailable"


class Unusable(StrEnum):
    """Why bytes are not a scan that can be stored or extracted."""

    EMPTY = "empty-file"
    UNKNOWN_FORMAT = "unknown-format"
    TOO_MANY_BYTES = "too-many-bytes"
    TOO_MANY_PIXELS = "too-many-pixels"
    TOO_SMALL = "too-small"
    MULTIPLE_FRAMES = "multiple-frames"
    TOO_MANY_FRAMES = "too-many-frames"
    IDENTIFYING_PIXELS = "identifying-pixels"
    CORRUPT = "corrupt"


class UnusableImage(InvalidInput):
    """The bytes are no scan that Penumbra can read; `reason` says why."""

    code = "unusable-image"

    def __init__(self, reason: Unusable, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class MixedFeatureSets(InvalidInput):
    """Vectors of different feature sets were about to be compared or mixed."""

    code = "mixed-feature-sets"


class NotTrainable(InvalidInput):
    """The stored rows cannot train a head (one class only, too few rows, values that are not finite)."""

    code = "not-trainable"


class Taken(Conflict):
    """Somebody else looks at the scan, or has decided on it: `author`, until or since `at`."""

    code = "taken"

    def __init__(self, message: str, *, author: str, at: datetime) -> None:
        super().__init__(message)
        self.author = author
        self.at = at


class HeadRefused(Conflict):
    """A head failed a gate: parity with its trainer, polarity, or compatibility."""

    code = "head-refused"


class Cancelled(Conflict):
    """The job was cancelled while it ran."""

    code = "cancelled"


class LeaseLost(Conflict):
    """A worker reported on a job that is no longer its own."""

    code = "lease-lost"


class ConfigurationError(AppError):
    """A setting, or what it points at, is wrong; the process cannot start."""

    code = "configuration"


class GoldenCheckFailed(ConfigurationError):
    """The extractor does not reproduce its pinned vectors: wrong weights, preprocessing or engine."""

    code = "golden-check-failed"


class DatabaseUnusable(ConfigurationError):
    """The database is missing, too old, or lacks pgvector."""

    code = "database-unusable"
