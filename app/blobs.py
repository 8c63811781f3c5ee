"""Original files, addressed by the SHA-256 of their bytes, in one folder.

`ROOT/ab/cd/abcd...` holds a file; `ROOT/incoming/` holds what is still being received.
A file appears under its name only when all its bytes are on disk.
"""

import hashlib
import os
import tempfile
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from app.errors import ConfigurationError, NotFound, Unusable, UnusableImage


class Incoming:
    """A file being received: written to disk and hashed at once, refused past its bound.

    Use it as a context manager: unless it was kept, its bytes are gone at the end.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        descriptor, name = tempfile.mkstemp(dir=folder)
        self._file: IO[bytes] = os.fdopen(descriptor, "wb")
        self._hash = hashlib.sha256()
        self._max_bytes = max_bytes
        self.path = Path(name)
        self.byte_count = 0

    def write(self, chunk: bytes) -> None:
        """Append `chunk`; raise UnusableImage past the bound."""
        self.byte_count += len(chunk)
        if self.byte_count > self._max_bytes:
            raise UnusableImage(
                Unusable.TOO_MANY_BYTES,
                f"The file has more than {self._max_bytes:,} bytes; send a smaller one, "
                "or raise PENUMBRA_MAX_FILE_BYTES.",
            )
        self._hash.update(chunk)
        self._file.write(chunk)

    def close(self) -> None:
        self._file.close()

    @property
    def sha256(self) -> bytes:
        return self._hash.digest()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        self.path.unlink(missing_ok=True)


class BlobStore:
    """The folder of originals. Files are written once and never changed."""

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()
        self._incoming = self._root / "incoming"
        try:
            # Scans are for the service alone, whatever the umask.
            self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._incoming.mkdir(exist_ok=True)
        except OSError as error:
            raise ConfigurationError(
                f"The blob folder {self._root} cannot be made ({error.strerror}); set PENUMBRA_BLOB_DIR."
            ) from error

    def receive(self, max_bytes: int) -> Incoming:
        return Incoming(self._incoming, max_bytes)

    def forget_abandoned(self, *, older_than_seconds: float = 86_400.0) -> int:
        """Remove what processes that were killed had begun to receive; how many files."""
        newest, count = time.time() - older_than_seconds, 0
        for path in self._incoming.iterdir():
            with suppress(FileNotFoundError):  # kept or refused meanwhile
                if path.stat().st_mtime < newest:
                    path.unlink()
                    count += 1
        return count

    def keep(self, files: Iterable[Incoming]) -> None:
        """Make received files durable under their names; returns when all are on disk.

        The syncs run side by side, so that the file system's journal can group them.
        """
        files = list(files)
        if len(files) <= 1:
            folders = [self._keep(file) for file in files]
        else:
            with ThreadPoolExecutor(max_workers=8) as pool:
                folders = list(pool.map(self._keep, files))
        # Also of files that were there: whoever wrote them may not have come this far. And the folders
        # above, which may be new; a clean one costs 20 microseconds.
        for path in {above for folder in folders for above in (folder, folder.parent, self._root)}:
            _sync(path)

    def path(self, sha256: bytes) -> Path:
        name = sha256.hex()
        return self._root / name[:2] / name[2:4] / name

    def existing(self, sha256: bytes) -> Path:
        """The file's path; raise NotFound when the folder has lost it."""
        path = self.path(sha256)
        if not path.is_file():
            raise NotFound(
                f"The original {sha256.hex()} is not in {self._root}; restore the blob folder from its backup."
            )
        return path

    def delete(self, sha256: bytes) -> None:
        self.path(sha256).unlink(missing_ok=True)

    def every(self, *, older_than_seconds: float = 0.0) -> Iterator[bytes]:
        """SHA-256 of each original in the folder that has lain there so long."""
        newest = time.time() - older_than_seconds
        for path in self._root.glob("[0-9a-f][0-9a-f]/[0-9a-f][0-9a-f]/*"):
            with suppress(FileNotFoundError, ValueError):  # deleted meanwhile; not ours
                if path.stat().st_mtime < newest:
                    yield bytes.fromhex(path.name)

    def _keep(self, file: Incoming) -> Path:
        """Link the file under its name; the folder it is in."""
        file.close()
        target = self.path(file.sha256)
        if target.exists():
            return target.parent
        _sync(file.path)
        target.parent.mkdir(parents=True, exist_ok=True)
        # A hard link, not a rename: the temporary name stays for its owner to remove.
        with suppress(FileExistsError):
            os.link(file.path, target)
        return target.parent


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
