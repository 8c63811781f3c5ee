"""What is kept of a DICOM file: itself without identifying attributes, unless a setting says otherwise."""

import os
import secrets
import tempfile
from contextlib import ExitStack, suppress
from pathlib import Path

from app.blobs import BlobStore, Incoming
from app.config import Settings
from app.errors import ConfigurationError
from app.imaging import Limits
from app.imaging.deidentify import Origin, deidentify, origin

_KEY_BYTES = 32


def rewritten(
    blobs: BlobStore, settings: Settings, limits: Limits, file: Incoming, stack: ExitStack
) -> tuple[Incoming, Origin]:
    """The file to keep instead of a received DICOM file, until `stack` closes, and what may be told of its origin.

    Raises UnusableImage as `deidentify` does, ConfigurationError when the key cannot be read or made.
    """
    if settings.keep_dicom_identity:
        with file.path.open("rb") as stream:
            return file, origin(stream, limits)
    made = stack.enter_context(blobs.receive(settings.max_file_bytes))
    with file.path.open("rb") as stream:
        found = deidentify(stream, made, pseudonym_key(settings), limits)
    made.close()
    return made, found


def pseudonym_key(settings: Settings) -> bytes:
    """The key that pseudonyms are made with: the setting's, else that of the data folder, made at its first use."""
    if settings.pseudonym_key is not None:
        return settings.pseudonym_key.get_secret_value().encode()
    path = settings.pseudonym_key_file
    try:
        if not path.exists():
            _create(path)
        return bytes.fromhex(path.read_text().strip())
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"The key of pseudonyms {path} cannot be used ({error}): restore it, or set PENUMBRA_PSEUDONYM_KEY."
        ) from error


def _create(path: Path) -> None:
    """Whole or not at all, and once: of two processes that begin together, one makes the key of both."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent)  # for its owner alone
    try:
        with os.fdopen(descriptor, "w") as stream:
            stream.write(secrets.token_hex(_KEY_BYTES) + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        with suppress(FileExistsError):
            os.link(name, path)
    finally:
        Path(name).unlink()
