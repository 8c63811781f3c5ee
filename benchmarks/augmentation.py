"""`python -m benchmarks.augmentation`: what augmented copies cost beside a plain extraction, through the real worker.

Everything is counted from the request to the last committed vector: decoding, making copies, the forward pass, COPY.
"""

import argparse
import hashlib
import json
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sqlalchemy import text

from app.cli.store import Store, opened
from app.config import Settings
from app.db import transaction
from app.features.engines import build_extractor
from app.features.spec import Extractor
from app.imaging import decode_grey
from app.imaging.augment import AUGMENTATIONS, changed, working_plane
from app.models import Dataset
from app.models.ids import uuid7
from app.services import augmentation, datasets, ingest, labelling, tasks
from app.services.ingest import Metadata, Received, limits
from benchmarks.films import films
from workers.pipeline import ExtractionWorker
from workers.roster import Roster
from workers.runner import Base, Stop

CORPUS = Path(__file__).resolve().parents[1] / "../shared/corpus/chest/train"
TASK = "pneumonia"
BATCH = 32


@dataclass(frozen=True)
class Pace:
    """Images extracted in `seconds`, the copies of which count as images of their own."""

    what: str
    images: int
    seconds: float

    @property
    def per_second(self) -> float:
        return round(self.images / self.seconds, 1)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.augmentation", description=__doc__)
    parser.add_argument("--films", type=Path, default=CORPUS, help="folder of JPEG films; simulated scans without it")
    parser.add_argument("--count", type=int, default=100, help="how many films")
    parser.add_argument("--copies", type=int, default=4, help="copies of each")
    given = parser.parse_args()
    contents = films(given.films, given.count)
    with tempfile.TemporaryDirectory(prefix="penumbra-bench-") as folder, opened(Path(folder)) as store:
        paces = [*_making(contents), *_serving(store, contents, given.copies)]
    rows = [{"what": p.what, "images": p.images, "seconds": round(p.seconds, 3), "per_second": p.per_second}
            for p in paces]  # fmt: skip
    json.dump(rows, sys.stdout, indent=1)
    print()
    return 0


def _making(contents: list[bytes]) -> list[Pace]:
    """Copies alone, one thread: the median film's seconds a copy, its decoding left out."""
    found = []
    for name in ("soft", "strong"):
        seconds = []
        for content in contents:
            plane, key = working_plane(decode_grey(content, limits(Settings()))), hashlib.sha256(content).digest()
            started = time.perf_counter()
            changed(plane, AUGMENTATIONS[name], 1, key)
            seconds.append(time.perf_counter() - started)
        found.append(Pace(f"make one {name} copy, one thread", 1, statistics.median(seconds)))
    return found


def _serving(store: Store, contents: list[bytes], copies: int) -> list[Pace]:
    settings = store.settings
    extractor = build_extractor(
        settings.feature_set, weights=None, engine="auto", precision="auto", cache_dir=settings.cache_dir
    )
    extractor.extract(np.zeros((32, 224, 224), np.float32))
    found = [_timed(store, extractor, "extract the films", len(contents), lambda: _upload(store, contents))]
    dataset = _frozen(store)
    for recipe in ("soft", "strong"):

        def ask(recipe: str = recipe) -> None:
            with transaction(store.sessions) as session:
                augmentation.request(session, dataset, recipe, copies, author="bench")

        found.append(_timed(store, extractor, f"{copies} {recipe} copies of each", copies * len(contents), ask))
    return found


def _timed(store: Store, extractor: Extractor, what: str, images: int, prepare: Callable[[], None]) -> Pace:
    """From the start of a worker on what `prepare` has queued to its last commit."""
    prepare()
    base = Base(store.settings, store.engine, store.sessions, Stop(), uuid7())
    with ThreadPoolExecutor(1) as builder:
        roster = Roster(lambda _: (extractor, BATCH), builder, only=extractor.spec.name)
        roster.open([store.feature_set()])
        worker = ExtractionWorker(base, roster, store.blobs)
        seconds = _worked(store, base, worker)
    return Pace(what, images, seconds)


def _worked(store: Store, base: Base, worker: ExtractionWorker) -> float:
    """Seconds until nothing is left to do."""
    thread = threading.Thread(target=worker.run)
    started = time.perf_counter()
    thread.start()
    while _unfinished(store):
        time.sleep(0.02)
    seconds = time.perf_counter() - started
    base.stop.ask()
    thread.join()
    return seconds


def _unfinished(store: Store) -> int:
    with transaction(store.sessions) as session:
        return int(session.scalar(text("SELECT count(*) FROM job WHERE state IN ('queued', 'running')")) or 0)


def _upload(store: Store, contents: list[bytes]) -> None:
    received = []
    for number, content in enumerate(contents):
        file = store.blobs.receive(1 << 30)
        file.write(content)
        received.append(Received(f"{number}.jpeg", file, Metadata(subject=str(number))))
    admitted, _ = ingest.admit(store.blobs, store.settings, received)
    with transaction(store.sessions) as session:
        ingest.register(session, store.blobs, admitted, author="bench")


def _frozen(store: Store) -> Dataset:
    with transaction(store.sessions) as session:
        task = tasks.named(session, TASK)
        ids = session.scalars(text("SELECT id FROM image ORDER BY id")).all()
        classes = {image: task.classes[number % 2] for number, image in enumerate(ids)}
        labelling.add_many(session, task, classes, author="bench", source="import")
        return datasets.automatic(session, task, store.feature_set(), author="bench")


if __name__ == "__main__":
    sys.exit(main())
