"""Nothing is lost: scans go in while worker, API and Postgres are killed, and each acknowledged one comes out right."""

import contextlib
import hashlib
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2 as httpx
import numpy as np
import psutil
import pytest
from sqlalchemy import text

from app import embedded, vectors
from app.blobs import BlobStore
from app.db import make_engine, make_sessions, transaction
from app.features.engines import build_extractor
from app.imaging import Limits, load
from app.models import FeatureSet
from app.services import feature_sets
from app.simulator import encode_jpeg, port_day
from tests.e2e.conftest import Up, upon
from tests.waiting import PATIENCE, eventually

SCANS, CLIENTS, SEED = 300, 3, 20_261_121
ROUNDS = ("worker", "api", "postgres", "worker", "backend", "api", "postgres", "worker")
# Engine and precision are the same; only the batch differs, and with it the order of bf16 sums.
LEAST_COSINE = 0.9999


@dataclass
class Sender:
    """A client that sends its scans in requests of varying size, each again until it is acknowledged."""

    up: Up
    scans: Sequence[bytes]
    rng: random.Random
    acknowledged: dict[str, str] = field(default_factory=dict)  # SHA-256 of the bytes sent: image id
    retries: Counter[str] = field(default_factory=Counter)
    trouble: list[BaseException] = field(default_factory=list)

    def run(self) -> None:
        try:
            with httpx.Client(timeout=30, trust_env=False) as client:
                start = 0
                while start < len(self.scans):
                    count = self.rng.choice((1, 1, 2, 5, 12))
                    self.send(client, self.scans[start : start + count])
                    start += count
                    time.sleep(self.rng.uniform(0, 0.8))
        except BaseException as error:
            self.trouble.append(error)

    def send(self, client: httpx.Client, scans: Sequence[bytes]) -> None:
        """As an inspection system would: whatever goes wrong, the same request again."""
        files = [("files", (f"{i}.jpg", scan)) for i, scan in enumerate(scans)]
        headers = {"Authorization": f"Bearer {self.up.key}"}
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                answer = client.post(f"{self.up.address}/v1/images", files=files, headers=headers)
                if answer.status_code in (200, 201):
                    return self._keep(scans, answer.json())
                self.retries[str(answer.status_code)] += 1
                assert answer.status_code in (500, 503), answer.text
            except httpx.TransportError as error:
                self.retries[type(error).__name__] += 1
            assert time.monotonic() < deadline, f"not acknowledged: {self.retries}"
            time.sleep(0.2)

    def _keep(self, scans: Sequence[bytes], answer: Any) -> None:
        assert not answer["refused"]
        for scan, image in zip(scans, answer["images"], strict=True):
            assert image["sha256"] == hashlib.sha256(scan).hexdigest()
            self.acknowledged[image["sha256"]] = image["id"]


def kill(up: Up, kind: str) -> bool:
    """SIGKILL to one process; whether there was one."""
    if kind == "backend":  # the server ends all others, recovers from its log and goes on
        postmaster = up.child("postgres")
        backends = postmaster.children() if postmaster else []
        backends = [b for b in backends if "penumbra" in " ".join(b.cmdline()).removeprefix("postgres:")]
        victim = backends[0] if backends else None
    else:
        victim = up.child(kind)
    if victim is None:
        return False
    with contextlib.suppress(psutil.NoSuchProcess):
        victim.kill()
        return True
    return False


@dataclass(frozen=True)
class Archive:
    """What a data folder holds, read without the service."""

    up: Up

    @contextlib.contextmanager
    def session(self) -> Iterator[Any]:
        engine = make_engine(embedded.ensure_running(self.up.folder / "postgres").url())
        try:
            with transaction(make_sessions(engine)) as session:
                yield session
        finally:
            engine.dispose()

    def check(self, acknowledged: dict[str, str]) -> dict[str, vectors.Vectors]:
        """Each acknowledged image is there once, with its original and one embedding; its vectors by SHA-256."""
        blobs = BlobStore(self.up.folder / "blobs")
        with self.session() as session:
            stored = {row.sha256.hex(): str(row.id) for row in session.execute(text("SELECT id, sha256 FROM image"))}
            assert stored == acknowledged
            for digest in stored:
                content = blobs.existing(bytes.fromhex(digest)).read_bytes()
                assert hashlib.sha256(content).hexdigest() == digest
            unfinished = "SELECT count(*) FROM job WHERE kind = 'extract' AND state <> 'succeeded'"
            assert session.scalar(text(unfinished)) == 0
            live = [each for each in feature_sets.every(session) if each.stage == "live"]
            assert len(live) == 1
            return self._vectors(session, live[0])

    def _vectors(self, session: Any, feature_set: FeatureSet) -> dict[str, vectors.Vectors]:
        rows = vectors.copy_out(session, feature_set)
        owners = dict(
            session.execute(
                text("SELECT r.id, image.sha256 FROM region r JOIN image ON image.id = r.image_id")
            ).all()
        )  # fmt: skip
        assert sorted(rows.region_ids.tolist()) == sorted(owners)
        assert session.scalar(text("SELECT count(*) FROM embedding")) == len(owners)
        heads = session.scalar(text("SELECT count(*) FROM head WHERE stage = 'live'"))
        assert session.scalar(text("SELECT count(*) FROM prediction")) == heads * len(owners)
        return {
            owners[region].hex(): np.stack([avg, longest])
            for region, avg, longest in zip(rows.region_ids.tolist(), rows.avg, rows.max, strict=True)
        }


def worst_cosine(up: Up, stored: dict[str, vectors.Vectors]) -> float:
    """Least likeness of a stored vector to the one that the extractor makes of its original now."""
    extractor = build_extractor("densenet121-xray", weights=None, engine="auto", precision="auto",
                                cache_dir=up.folder / "cache")  # fmt: skip
    blobs, limits = BlobStore(up.folder / "blobs"), Limits(1 << 30, 10**8, 16)
    digests = sorted(stored)
    worst = 1.0
    for start in range(0, len(digests), 32):
        some = digests[start : start + 32]
        paths = [blobs.existing(bytes.fromhex(digest)) for digest in some]
        features = extractor.extract(np.stack([load(p, limits, extractor.spec.preprocessing) for p in paths]))
        for pooling, fresh in enumerate((features.avg, features.max)):
            kept = np.stack([stored[digest][pooling] for digest in some])
            lengths = np.linalg.norm(fresh, axis=1) * np.linalg.norm(kept, axis=1)
            worst = min(worst, float(((fresh * kept).sum(axis=1) / lengths).min()))
    return worst


@pytest.fixture(scope="module")
def day() -> list[bytes]:
    return [encode_jpeg(scan) for scan in port_day(SCANS, SEED)]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_acknowledged_scan_survives_the_death_of_any_process(
    day: list[bytes], graphs: Path, tmp_path: Path
) -> None:
    rng = random.Random(SEED)
    # Kills that we aim at the worker are no fault of the scans it holds: they must not park one.
    # One feature set, whose vectors are those of whole frames: they are made again below to compare.
    settings = {"MAX_ATTEMPTS": "25", "BATCH_SIZE": "8", "FEATURE_SET": "densenet121-xray"}
    with upon(tmp_path / "data", graphs, **{f"PENUMBRA_{name}": value for name, value in settings.items()}) as up:
        up.start().ready()
        senders = [Sender(up, day[i::CLIENTS], random.Random(SEED + i)) for i in range(CLIENTS)]
        threads = [threading.Thread(target=sender.run) for sender in senders]
        started = time.monotonic()
        for thread in threads:
            thread.start()
        kills: Counter[str] = Counter()
        for kind in ROUNDS:
            time.sleep(rng.uniform(0.3, 2.5))
            if kind == "worker":
                when(lambda: running(up), seconds=1.5)
            eventually(lambda k=kind: kill(up, k), what=f"a {kind} to kill", every=0.02)  # type: ignore[misc]
            kills[kind] += 1
            assert up.process is not None
            assert up.process.poll() is None, up.log
        for thread in threads:
            thread.join(timeout=PATIENCE)
        acknowledged: dict[str, str] = {}
        for sender in senders:
            assert not sender.trouble, sender.trouble
            acknowledged |= sender.acknowledged
        sent = time.monotonic() - started
        up.ready()
        eventually(lambda: settled(up), what="an empty queue", every=0.2)
        assert set(acknowledged) == {hashlib.sha256(scan).hexdigest() for scan in day}
        stored = Archive(up).check(acknowledged)
        cosine = worst_cosine(up, stored)
        retries = sum((sender.retries for sender in senders), Counter())
        with Archive(up).session() as session:
            lost = session.scalar(text("SELECT count(*) FROM job WHERE losses > 0"))
        print(
            f"\n{SCANS} scans in {sent:.0f} s, settled after {time.monotonic() - started:.0f} s; "
            f"kills {dict(kills)}, retries {dict(retries)}, "
            f"{lost} extractions lost with their worker, worst cosine {cosine:.6f}"
        )
        assert cosine > LEAST_COSINE

        # And all at once, supervisor included, the moment that more is acknowledged.
        last = Sender(up, [encode_jpeg(scan) for scan in port_day(SCANS + 30, SEED, start=SCANS)], rng)
        with httpx.Client(timeout=30, trust_env=False) as client:
            last.send(client, last.scans)
        killed = up.kill_everything()
        acknowledged |= last.acknowledged
        print(f"{killed} processes killed at once")
        assert killed >= 5
        assert up.child("postgres") is None
        up.start().ready()
        eventually(lambda: settled(up), what="an empty queue", every=0.2)
        again = Archive(up).check(acknowledged)
        assert len(again) == SCANS + 30
        assert all(np.array_equal(again[digest], stored[digest]) for digest in stored)
        assert up.stop() == 0


def when(condition: Callable[[], object], *, seconds: float) -> None:
    """Wait for a good moment, but not for ever."""
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)


def running(up: Up) -> int:
    """Extractions that a worker has in hand; 0 also while nobody can tell."""
    try:
        return int(up.get("/v1/stats")["jobs"].get("extract", {}).get("running", 0))
    except Exception:
        return 0


def settled(up: Up) -> bool:
    """Nothing is queued or runs, and each scan has its vectors. While a process restarts, nothing can be said."""
    try:
        stats = up.get("/v1/stats")
    except Exception:
        return False
    unfinished = [state for states in stats["jobs"].values() for state in states if state != "failed"]
    return not unfinished and sum(stats["embeddings"].values()) == stats["images"]
