"""Pyramids of tiles on disk: made when a scan is first looked at, once, and let go of when their room is needed.

`CACHE/pyramids/` has one file for each frame: its tiles one behind the other, then where each lies, then the length
of that list. Safe to delete at any time, while the service runs too.
"""

import fcntl
import json
import os
import struct
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from app.blobs import BlobStore
from app.config import Settings
from app.errors import NotFound, Unavailable
from app.imaging import pyramid
from app.imaging.frames import Frame
from app.imaging.pyramid import Level, Shape
from app.models import Image
from app.services import ingest

_TAIL = struct.Struct(">I")
ABANDONED_SECONDS = 3600.0
FILL = 0.9
"""Share of the bound that is kept when room has to be made."""


@dataclass(frozen=True)
class Pyramid:
    """A frame's pyramid on disk: its shape, and the offset and length of each tile."""

    path: Path
    shape: Shape
    places: dict[str, tuple[int, int]]

    @property
    def levels(self) -> list[Level]:
        return self.shape.levels

    def tile(self, level: int, row: int, column: int) -> bytes:
        """A tile's PNG. Raise NotFound for one that the pyramid has not, FileNotFoundError when it is gone."""
        place = self.places.get(_name(level, row, column))
        if place is None:
            raise NotFound(
                f"There is no tile {level}/{row}/{column}; `GET .../pyramid` lists levels, rows and columns."
            )
        with self.path.open("rb") as stream:
            stream.seek(place[0])
            return stream.read(place[1])


class Pyramids:
    """The pyramids of a store's scans, in a folder with a bound."""

    def __init__(self, settings: Settings, blobs: BlobStore) -> None:
        self._folder = settings.cache_dir / "pyramids"
        self._most_bytes = settings.viewer_cache_bytes
        self._limits = ingest.limits(settings)
        self._blobs = blobs

    def of(self, image: Image, frame: int) -> Pyramid:
        """The pyramid of a frame, made now if it is not there; callers that come meanwhile wait for that one.

        Raise NotFound for a frame that the scan has not or an original that is lost, UnusableImage when it cannot be
        decoded, Unavailable when the folder cannot be written.
        """
        if not 0 <= frame < image.frames:
            raise NotFound(f"The scan has {image.frames} frame(s), counted from 0; there is no frame {frame}.")
        path = self._path(image.sha256, frame)
        found = _read(path)
        if found is not None:
            with suppress(OSError):
                os.utime(path)  # what is looked at stays
            return found
        original = self._blobs.existing(image.sha256)
        with self._building(image.sha256):
            found = _read(path)
            if found is None:
                self._build(original, frame, path)
                found = _read(path)
        if found is None or not original.is_file():  # deleted meanwhile
            path.unlink(missing_ok=True)
            raise NotFound(f"There is no image {image.id} any more.")
        return found

    def tile(self, image: Image, frame: int, level: int, row: int, column: int) -> bytes:
        """A tile's PNG; errors as of `of`, and NotFound for a tile that is none."""
        for _ in range(2):
            with suppress(FileNotFoundError):  # its room was needed between two looks
                return self.of(image, frame).tile(level, row, column)
        raise Unavailable("The pyramids' folder is too small for what is looked at; raise PENUMBRA_VIEWER_CACHE_BYTES.")

    def forget(self, sha256: bytes) -> None:
        """Remove the pyramids of a deleted scan."""
        for path in self._folder.glob(f"{sha256.hex()}-*"):
            path.unlink(missing_ok=True)

    def _path(self, sha256: bytes, frame: int) -> Path:
        return self._folder / f"{sha256.hex()}-{frame}.v{pyramid.VERSION}"

    @contextmanager
    def _building(self, sha256: bytes) -> Iterator[None]:
        """One at a time for a scan, among all processes on this folder; the kernel ends it with its holder."""
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(self._folder / f".{sha256[0]:02x}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise self._unwritable(error) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _build(self, original: Path, frame: int, path: Path) -> None:
        with pyramid.decoded(original, self._limits, frame) as frames:
            held = next(frames)
            try:
                descriptor, name = tempfile.mkstemp(dir=self._folder, suffix=".tmp")
                try:
                    with os.fdopen(descriptor, "wb") as stream:
                        _write(stream, held)
                    Path(name).replace(path)
                finally:
                    Path(name).unlink(missing_ok=True)
            except OSError as error:
                raise self._unwritable(error) from error
        self._make_room(path)

    def _make_room(self, newest: Path) -> None:
        """Remove what was looked at longest ago, until the bound is kept; never the one just made."""
        kept = list[tuple[float, int, Path]]()
        long_ago = time.time() - ABANDONED_SECONDS
        for entry in os.scandir(self._folder):
            with suppress(FileNotFoundError):
                used, size = entry.stat().st_mtime, entry.stat().st_size
                if not entry.name.endswith((".lock", ".tmp")):
                    kept.append((used, size, Path(entry.path)))
                elif entry.name.endswith(".tmp") and used < long_ago:  # whoever wrote it was killed
                    Path(entry.path).unlink(missing_ok=True)
        total = sum(size for _, size, _ in kept)
        if total <= self._most_bytes:
            return
        for _, size, path in sorted(kept):
            if total <= FILL * self._most_bytes:
                return
            if path != newest:
                path.unlink(missing_ok=True)
                total -= size

    def _unwritable(self, error: OSError) -> Unavailable:
        why = error.strerror or type(error).__name__
        return Unavailable(f"The folder {self._folder} cannot be written ({why}); free it, or set PENUMBRA_DATA_DIR.")


def _name(level: int, row: int, column: int) -> str:
    return f"{level}/{row}/{column}"


def _write(stream: BinaryIO, frame: Frame) -> None:
    places = {}
    for tile in pyramid.tiles(frame):
        places[_name(tile.level, tile.row, tile.column)] = (stream.tell(), len(tile.content))
        stream.write(tile.content)
    shape = Shape.of(frame)
    index = {
        "width": shape.width, "height": shape.height, "bits": shape.bits, "depth": shape.depth,
        "colour": shape.colour, "places": places,
    }  # fmt: skip
    listed = json.dumps(index).encode()
    stream.write(listed + _TAIL.pack(len(listed)))


def _read(path: Path) -> Pyramid | None:
    """The pyramid in a file; None where there is none, or one that a power cut left unfinished."""
    try:
        with path.open("rb") as stream:
            stream.seek(-_TAIL.size, os.SEEK_END)
            (length,) = _TAIL.unpack(stream.read())
            stream.seek(-_TAIL.size - length, os.SEEK_END)
            index = json.loads(stream.read(length))
    except (OSError, ValueError, struct.error):
        return None
    places = {name: (offset, size) for name, (offset, size) in index.pop("places").items()}
    return Pyramid(path, Shape(**index), places)
