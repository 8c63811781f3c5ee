"""Simulated scans as files: class folders of JPEGs and a `truth.jsonl`."""

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from app.errors import InvalidInput
from app.simulator.simulation import port_day
from app.simulator.truth import Scan

Record = dict[str, Any]


@dataclass(frozen=True)
class Summary:
    """What `write_folder` found and did; `empty` and `loaded` count all scans, written or kept."""

    written: int
    kept: int
    empty: int
    loaded: int


def encode_jpeg(scan: Scan, quality: int = 90) -> bytes:
    """The scan as a grey JPEG; the same scan gives the same bytes with the same Pillow build."""
    buffer = BytesIO()
    Image.fromarray(scan.pixels).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def write_folder(out: Path, count: int, seed: int, *, on_progress: Callable[[int, int], None] | None = None) -> Summary:
    """Write a day of scans to `out/empty` and `out/loaded`, with one line of truth each in `out/truth.jsonl`.

    Scans whose file has the recorded digest are kept, so a second run, or one after a kill, only adds what is
    missing. `on_progress(done, count)` is called after every scan. Raises InvalidInput for negative numbers.
    """
    if count < 0 or seed < 0:
        raise InvalidInput(f"count {count} and seed {seed} must not be negative")
    for class_name in ("empty", "loaded"):
        (out / class_name).mkdir(parents=True, exist_ok=True)
    records = _intact_records(out)
    _replace(out / "truth.jsonl", _lines(records.values()))
    kept, classes = 0, {"empty": 0, "loaded": 0}
    with (out / "truth.jsonl").open("a", encoding="utf-8") as lines:
        for index in range(count):
            record = records.get((seed, index))
            kept += record is not None
            if record is None:
                record = _write(out, seed, index)
                lines.write(json.dumps(record) + "\n")
                lines.flush()
            classes[record["class_name"]] += 1
            if on_progress:
                on_progress(index + 1, count)
    return Summary(written=count - kept, kept=kept, **classes)


def _write(out: Path, seed: int, index: int) -> Record:
    """File before line: a kill between the two leaves a file that the next run writes again, alike."""
    scan = next(port_day(index + 1, seed, start=index))
    content = encode_jpeg(scan)
    name = f"{scan.truth.class_name}/scan-{seed}-{index:06d}.jpg"
    _replace(out / name, content)
    digest = hashlib.sha256(content).hexdigest()
    return {"file": name, "sha256": digest, "seed": seed, "index": index} | scan.truth.as_dict()


def _replace(path: Path, content: bytes) -> None:
    partial = path.with_suffix(".partial")
    partial.write_bytes(content)
    partial.replace(path)


def _lines(records: Iterable[Record]) -> bytes:
    return "".join(json.dumps(record) + "\n" for record in records).encode()


def _intact_records(out: Path) -> dict[tuple[int, int], Record]:
    """The lines of truth that can be read and whose file is there with the recorded digest."""
    path, records = out / "truth.jsonl", dict[tuple[int, int], Record]()
    for line in path.read_bytes().splitlines() if path.exists() else ():
        try:
            record = json.loads(line)
            content = (out / record["file"]).read_bytes()
            intact = hashlib.sha256(content).hexdigest() == record["sha256"]
            key = (int(record["seed"]), int(record["index"]))
        except (ValueError, KeyError, TypeError, OSError):
            continue
        if intact:
            records[key] = record
    return records
