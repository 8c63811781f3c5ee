"""Sets of scans as the network sees them: made once, in all cores, kept on disk, and shared by all backbones."""

import hashlib
import json
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from app.errors import InvalidInput

SIDE = 224
LEVELS = 65535  # pixels are kept as whole numbers of 16 bits: within 8e-6 of what `app.imaging` prepares

T = TypeVar("T")
Facts = dict[str, Any]
Picture = tuple[NDArray[np.float32], Facts]


class Job(Protocol):
    """What makes one picture or more; sent to another process, so a frozen dataclass of plain values."""

    @property
    def key(self) -> str:
        """Everything that the pictures depend on, beside the code."""
        ...

    @property
    def count(self) -> int:
        """How many pictures it makes."""
        ...

    def make(self) -> list[Picture]:
        """Prepared pixels float32 (224, 224) in [0, 1], each with what is known of it."""
        ...


@dataclass(frozen=True, eq=False)
class Prepared:
    """A set of scans: uint16 (n, 224, 224), 65,535 is white, and what is known of each; digest is of the pixels.

    code is the digest of the code that made them, if it matters.
    """

    name: str
    pixels: NDArray[np.uint16]
    facts: list[Facts]
    digest: str
    code: str = ""

    def column(self, name: str) -> NDArray[Any]:
        return np.array([one.get(name) for one in self.facts])


def no_code() -> str:
    """Of scans that no code but their preprocessing makes."""
    return ""


def prepare(
    name: str, jobs: Sequence[Job], cache: Path, *, code: Callable[[], str] = no_code, keep: bool = False
) -> Prepared:
    """The set that `jobs` make, from `cache` if the same jobs made it there.

    It is made anew where `code`, the digest of what makes it, is another than it was; `keep` takes it all the same.
    Raises InvalidInput where that changes meanwhile: half a set would be of one simulator, half of another.
    """
    key = hashlib.sha256("\n".join(f"{type(job).__name__} {job.key}" for job in jobs).encode()).hexdigest()
    folder = cache / "scans" / f"{name}-{key[:24]}"
    found = _known(folder)
    if found is None or (found["code"] != code() and not keep):
        found = _make(name, jobs, folder, code)
    return Prepared(name, np.load(folder / "pixels.npy", mmap_mode="r"), found["facts"], found["digest"], found["code"])


def _known(folder: Path) -> dict[str, Any] | None:
    file = folder / "facts.json"
    return dict(json.loads(file.read_text())) if file.is_file() else None


def _make(name: str, jobs: Sequence[Job], folder: Path, code: Callable[[], str]) -> dict[str, Any]:
    """Whole or not at all."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial, before = Path(tempfile.mkdtemp(dir=folder.parent, prefix="partial-")), code()
    try:
        shape = (sum(job.count for job in jobs), SIDE, SIDE)
        pixels = np.lib.format.open_memmap(partial / "pixels.npy", "w+", np.uint16, shape)
        facts: list[Facts] = []
        for picture, known in told(_pictures(jobs), shape[0], f"preparing {name}"):
            pixels[len(facts)] = picture
            facts.append(known)
        assert len(facts) == shape[0], f"{name}: {len(facts)} pictures of {shape[0]}"
        if code() != before:
            raise InvalidInput(f"The simulator's code changed while {name} was prepared: run it again.")
        digest = hashlib.sha256(pixels.data).hexdigest()
        del pixels
        found = {"code": before, "digest": digest, "facts": facts}
        (partial / "facts.json").write_text(json.dumps(found))
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
        return found
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def _pictures(jobs: Sequence[Job]) -> Iterator[tuple[NDArray[np.uint16], Facts]]:
    # Spawned, not forked: the engine's threads may be running.
    context, cores = multiprocessing.get_context("spawn"), os.cpu_count() or 1
    with ProcessPoolExecutor(cores, mp_context=context) as pool:
        for made in pool.map(_made, jobs, chunksize=8):
            yield from made


def _made(job: Job) -> list[tuple[NDArray[np.uint16], Facts]]:
    return [(np.rint(pixels * LEVELS).astype(np.uint16), facts) for pixels, facts in job.make()]


def told(found: Iterable[T], count: int, doing: str) -> Iterator[T]:
    """The same, with a line on standard error at the end and every ten seconds."""
    began = last = time.perf_counter()
    for number, one in enumerate(found, start=1):
        yield one
        now = time.perf_counter()
        if now - last > 10 and number < count:
            last = now
            print(f"{doing}: {number} of {count}", file=sys.stderr, flush=True)
    print(f"{doing}: {count} in {time.perf_counter() - began:.1f} s", file=sys.stderr, flush=True)
