"""`python -m benchmarks.duplicates`: which cosine tells a copy of a film from a film of somebody else, and how fast.

Films are extracted, some of them again as other archives would have encoded them; pairs of different patients are
counted from each bound on, and the share of copies that reach it. Then 20,000 simulated rows are searched.
"""

import argparse
import io
import json
import re
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

from app.datasets import duplicates, splits
from app.features.engines.build import build_extractor
from app.features.spec import Extractor
from app.imaging.header import Limits
from app.imaging.prepare import load
from benchmarks.__main__ import CORPUS

LIMITS = Limits(1 << 28, 80_000_000, 16)
BOUNDS = (0.98, 0.99, 0.995, 0.996, 0.997, duplicates.BOUND, 0.999)
ROWS = 20_000
Film = Image.Image


def jpeg(film: Film, quality: int) -> bytes:
    stream = io.BytesIO()
    film.save(stream, "JPEG", quality=quality)
    return stream.getvalue()


def scaled(film: Film, width: int) -> Film:
    return film.resize((width, round(width * film.height / film.width)), Image.Resampling.LANCZOS)


def trimmed(film: Film, share: float) -> Film:
    x, y = round(film.width * share), round(film.height * share)
    return film.crop((x, y, film.width - x, film.height - y))


COPIES: dict[str, Callable[[Film], bytes]] = {
    "JPEG 90": lambda film: jpeg(film, 90),
    "JPEG 75": lambda film: jpeg(film, 75),
    "JPEG 50": lambda film: jpeg(film, 50),
    "512 pixels wide": lambda film: jpeg(scaled(film, 512), 80),
    "half as wide": lambda film: jpeg(scaled(film, film.width // 2), 85),
    "1 % trimmed": lambda film: jpeg(trimmed(film, 0.01), 85),
    "3 % trimmed": lambda film: jpeg(trimmed(film, 0.03), 85),
    "a tenth darker": lambda film: jpeg(film.point(lambda value: value * 0.9), 90),
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.duplicates", description=__doc__)
    parser.add_argument("--films", type=Path, default=CORPUS, help="folder of JPEG films")
    parser.add_argument("--count", type=int, default=6000, help="films to extract at most")
    parser.add_argument("--copied", type=int, default=200, help="films to encode again")
    parser.add_argument("--json", action="store_true", help="print JSON")
    given = parser.parse_args()
    speed = _speed()  # first, while the peak of memory is its own
    with tempfile.TemporaryDirectory(prefix="penumbra-bench-") as cache:
        extractor = build_extractor(
            "densenet121-xray", weights=None, engine="openvino", precision="auto", cache_dir=Path(cache)
        )
        rows = _bounds(extractor, sorted(given.films.glob("*/*.jpeg"))[: given.count], given.copied)
    if given.json:
        json.dump({"bounds": rows, "speed": speed}, sys.stdout, indent=1)
        print()
        return 0
    table = Table(box=None)
    for column in rows[0]:
        table.add_column(column)
    for row in rows:
        table.add_row(*(str(value) for value in row.values()))
    Console(width=200).print(table)
    print(json.dumps(speed))
    return 0


def _bounds(extractor: Extractor, films: list[Path], copied: int) -> list[dict[str, Any]]:
    avg = _unit(_vectors(extractor, [film.read_bytes for film in films]))
    patients = np.unique([_patient(film.name) for film in films], return_inverse=True)[1]
    first, second = np.triu_indices(len(films), 1)
    strangers = np.sort((avg @ avg.T)[first, second][patients[first] != patients[second]])
    chosen = np.random.default_rng(0).choice(len(films), copied, replace=False)
    reached = {
        name: np.einsum("ij,ij->i", avg[chosen], _unit(_vectors(extractor, [_copy(films[i], make) for i in chosen])))
        for name, make in COPIES.items()
    }
    return [
        {
            "cosine": bound,
            f"of {len(strangers):,} pairs of patients": int(len(strangers) - np.searchsorted(strangers, bound)),
            **{name: round(float((cosines >= bound).mean()), 3) for name, cosines in reached.items()},
        }
        for bound in BOUNDS
    ]


def _copy(film: Path, make: Callable[[Film], bytes]) -> Callable[[], bytes]:
    return lambda: make(Image.open(film).convert("L"))


def _vectors(extractor: Extractor, contents: list[Callable[[], bytes]]) -> np.ndarray:
    found = []
    for start in range(0, len(contents), 32):
        planes = [load(content(), LIMITS, extractor.spec.preprocessing) for content in contents[start : start + 32]]
        found.append(np.array(extractor.extract(np.stack(planes)).avg))
    return np.concatenate(found)


def _patient(name: str) -> str:
    found = re.match(r"(person\d+|(NORMAL2-)?IM-\d+)", name)
    return found.group(0) if found else name


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _speed() -> dict[str, Any]:
    """Seconds for 20,000 rows of 9,000 subjects, four fifths of them to train on."""
    rng = np.random.default_rng(0)
    avg, y = rng.random((ROWS, 1024), dtype=np.float32), rng.integers(0, 2, ROWS)
    subjects = rng.integers(0, 9_000, ROWS)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.perf_counter()
    sides = splits.by_units(y, subjects, (0.8, 0.0, 0.2), 0)
    split = time.perf_counter()
    duplicates.across(avg, sides, duplicates.BOUND)
    across = time.perf_counter()
    duplicates.joined(avg, subjects, duplicates.BOUND)
    joined = time.perf_counter()
    return {
        "rows": ROWS, "split_seconds": round(split - started, 2), "across_seconds": round(across - split, 2),
        "together_seconds": round(joined - across, 2),
        "more_memory_mib": round((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024),
    }  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
