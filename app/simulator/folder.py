"""Simulated scans as files: class folders of JPEGs and a `truth.jsonl`."""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from PIL import Image

from app.errors import InvalidInput
from app.simulator.order import check_order
from app.simulator.simulation import port_day
from app.simulator.truth import Case, Scan

Record = dict[str, Any]
CHUNK = 16
"""Scans that a process makes in one go."""
ALONE_BELOW = 4 * CHUNK
"""Fewer scans than that are made faster than further processes start (a second each)."""


@dataclass(frozen=True)
class Summary:
    """What `write_folder` found and did; `empty` and `loaded` count all scans, written or kept."""

    written: int
    kept: int
    empty: int
    loaded: int


@dataclass(frozen=True)
class Wish:
    """What is asked of every scan of a folder; a file's name says it, so that wishes do not overwrite one another."""

    scanner: str | None = None
    case: Case | None = None
    mass_kg: float | None = None

    @property
    def tag(self) -> str:
        said = [self.scanner, self.case and str(self.case), None if self.mass_kg is None else f"{self.mass_kg:g}kg"]
        return "".join(f"-{one}" for one in said if one)


def encode_jpeg(scan: Scan, quality: int = 90) -> bytes:
    """The scan as a JPEG, grey or in colours; the same scan gives the same bytes with the same Pillow build."""
    buffer = BytesIO()
    Image.fromarray(scan.pixels).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def write_folder(
    out: Path,
    count: int,
    seed: int,
    *,
    on_progress: Callable[[int, int], None] | None = None,
    scanner: str | None = None,
    case: Case | None = None,
    mass_kg: float | None = None,
    processes: int | None = None,
) -> Summary:
    """Write a day of scans to `out/empty` and `out/loaded`, with one line of truth each in `out/truth.jsonl`.

    Scans whose file has the recorded digest are kept, so a second run, or one after a kill, only adds what is
    missing. `on_progress(done, count)` is called for those kept and then after every scan. `processes`, as many as
    there are cores without it, change the speed alone. Raises InvalidInput for negative numbers, and as `port_day`.
    """
    if count < 0 or seed < 0:
        raise InvalidInput(f"count {count} and seed {seed} must not be negative")
    check_order(loaded=None, scanner=scanner, case=case, mass_kg=mass_kg)
    wish, records = Wish(scanner, case, mass_kg), _opened(out)
    missing = [index for index in range(count) if (seed, index, wish.tag) not in records]
    there = [record for index in range(count) if (record := records.get((seed, index, wish.tag)))]
    kept = len(there)
    if on_progress and kept:
        on_progress(kept, count)
    with (out / "truth.jsonl").open("a", encoding="utf-8") as lines:
        for record in _written(out, seed, missing, wish, processes or len(os.sched_getaffinity(0))):
            lines.write(json.dumps(record) + "\n")
            lines.flush()
            there.append(record)
            if on_progress:
                on_progress(len(there), count)
    loaded = sum(record["class_name"] == "loaded" for record in there)
    return Summary(written=len(missing), kept=kept, empty=count - loaded, loaded=loaded)


def _opened(out: Path) -> dict[tuple[int, int, str], Record]:
    """Make the folders, and leave in `truth.jsonl` the lines that hold true, which are returned."""
    for class_name in ("empty", "loaded"):
        (out / class_name).mkdir(parents=True, exist_ok=True)
    records = _intact_records(out)
    _replace(out / "truth.jsonl", _lines(records.values()))
    return records


def _written(out: Path, seed: int, indices: Sequence[int], wish: Wish, processes: int) -> Iterator[Record]:
    """Their records in order of index."""
    if processes < 2 or len(indices) < ALONE_BELOW:
        yield from (_write(out, seed, index, wish) for index in indices)
        return
    chunks = [(out, seed, indices[at : at + CHUNK], wish) for at in range(0, len(indices), CHUNK)]
    # Spawned, not forked: the caller may run threads.
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        try:
            for records in pool.map(_write_chunk, chunks):
                yield from records
        finally:
            pool.shutdown(cancel_futures=True)


def _write_chunk(chunk: tuple[Path, int, Sequence[int], Wish]) -> list[Record]:
    out, seed, indices, wish = chunk
    return [_write(out, seed, index, wish) for index in indices]


def _write(out: Path, seed: int, index: int, wish: Wish) -> Record:
    """File before line: a kill between the two leaves a file that the next run writes again, alike."""
    scan = next(
        port_day(index + 1, seed, start=index, scanner=wish.scanner, case=wish.case, mass_kg=wish.mass_kg),
    )
    content = encode_jpeg(scan)
    name = f"{scan.truth.class_name}/scan-{seed}-{index:06d}{wish.tag}.jpg"
    _replace(out / name, content)
    digest = hashlib.sha256(content).hexdigest()
    return {"file": name, "sha256": digest, "seed": seed, "index": index, "tag": wish.tag} | scan.truth.as_dict()


def _replace(path: Path, content: bytes) -> None:
    partial = path.with_suffix(".partial")
    partial.write_bytes(content)
    partial.replace(path)


def _lines(records: Iterable[Record]) -> bytes:
    return "".join(json.dumps(record) + "\n" for record in records).encode()


def _intact_records(out: Path) -> dict[tuple[int, int, str], Record]:
    """The lines of truth that can be read and whose file is there with the recorded digest."""
    path, records = out / "truth.jsonl", dict[tuple[int, int, str], Record]()
    for line in path.read_bytes().splitlines() if path.exists() else ():
        try:
            record = json.loads(line)
            content = (out / record["file"]).read_bytes()
            intact = hashlib.sha256(content).hexdigest() == record["sha256"]
            key = (int(record["seed"]), int(record["index"]), str(record.get("tag", "")))
        except (ValueError, KeyError, TypeError, OSError):
            continue
        if intact:
            records[key] = record
    return records
