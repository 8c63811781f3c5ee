"""`python -m benchmarks.starters FILMS`: the starter heads made anew, by the recipe of docs/starter-heads.md.

In a store of its own, thrown away afterwards: films and simulated scans are imported, described by the bundled network
with plain pixels and with each task's profile, and a head is trained on each. FILMS has a folder for each class of
pneumonia. Writes artifact, report and card of every head, and prints their figures out of fold.
"""

import argparse
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
from rich.console import Console
from rich.table import Table
from sqlalchemy import select

import app
from app import vectors
from app.cli.client import Client
from app.cli.store import opened
from app.db import transaction
from app.features.weights import CURRENT
from app.features.weights.resolution import BUNDLE
from app.heads.metrics import roc_auc
from app.heads.scoring import Head as Scorer
from app.models import Image, Region
from app.services import feature_sets, labelling
from app.simulator import RANDOM, write_folder
from benchmarks.starter_cards import Origin, RealScans, data_and_licence

ROOT = Path(app.__file__).parents[1]
STARTERS = ROOT / "app/heads/starters"
PLAIN = "densenet121-xray"
SUBJECT = r"^(person\d+|(?:NORMAL2-)?IM-\d+)"
SEED, REAL = 7, "real"
SCANNERS = (None, RANDOM)
"""A day's scans, and as many by scanners drawn at random: heads that ship meet scanners that nobody here knows."""
UUID_TEXT = re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")
PENUMBRA = (sys.executable, "-c", "from app.cli import main; main()")


@dataclass(frozen=True)
class Kind:
    """A task that ships, and the feature set of its profile."""

    task: str
    prepared: str

    def stem(self, feature_set: str) -> str:
        return self.task if feature_set == PLAIN else f"{self.task}.{feature_set}"


KINDS = {
    "container": Kind("empty-container", "densenet121-container"),
    "chest": Kind("pneumonia", "densenet121-chest"),
}


@dataclass(frozen=True)
class Work:
    """A running Penumbra on `folder`, and what is asked of it."""

    folder: Path
    out: Path
    count: int

    def penumbra(self, *words: str) -> Any:
        """What a command of Penumbra prints as JSON."""
        done = subprocess.run(
            [*PENUMBRA, *words, "--data", str(self.folder), "--json"],
            cwd=ROOT, env=_environment(), stdout=subprocess.PIPE, check=True, text=True,
        )  # fmt: skip
        return json.loads(done.stdout)


@contextmanager
def running(folder: Path) -> Iterator[None]:
    """`penumbra up` on a folder of its own, on a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = [*PENUMBRA, "up", "--data", str(folder), "--port", str(port)]
    with (folder / "up.log").open("wb") as log:
        process = subprocess.Popen(words, cwd=ROOT, env=_environment(), stdout=log, stderr=log)
    try:
        with Client(f"http://127.0.0.1:{port}") as client:
            deadline = time.monotonic() + 300
            while not client.ready():
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"Penumbra did not start:\n{(folder / 'up.log').read_text()[-2000:]}")
                time.sleep(0.5)
        yield
    finally:
        process.terminate()
        process.wait(timeout=120)


def _environment() -> dict[str, str]:
    """Without settings of a store that this shell may speak to."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PENUMBRA_")}


def fill(work: Work, kind: str, source: Path | None, sets: Sequence[str]) -> int:
    """Import a task's labelled scans and have every set describe them; how many files there were."""
    if kind == "container":
        source = work.folder / "simulated"
        for scanner in SCANNERS:
            write_folder(source, work.count, SEED, scanner=scanner)
    more = ("--source", "simulator") if kind == "container" else ("--source", "kermany", "--subject-pattern", SUBJECT)
    told = work.penumbra("import", str(source), "--task", KINDS[kind].task, *more, "--no-wait")
    settle(work, sets)
    return int(told["created"] + told["known"])


def settle(work: Work, sets: Sequence[str]) -> None:
    """Return when every set describes every image that it is for."""
    for name in sets:
        if work.penumbra("features", "backfill", name, "--wait")["failed"]:
            raise RuntimeError(f"{name} could not describe every scan: see {work.folder / 'logs'}")


def trained(work: Work, task: str, feature_set: str) -> dict[str, Any]:
    """A head by the recipe of all starters: its version, and its report."""
    return dict(work.penumbra("train", task, "--class-weight", "balanced", "--feature-set", feature_set))


def exported(work: Work, head: dict[str, Any]) -> dict[str, bytes]:
    """Artifact, report and card of a head, by suffix."""
    folder = work.folder / "exported"
    written = work.penumbra("export-head", head["task"], str(head["version"]), "--out", str(folder))["written"]
    return {Path(path).suffix: Path(path).read_bytes() for path in written}


def lasting(work: Work, report: bytes) -> bytes:
    """The report with rows named by their files' SHA-256: what the store, which is thrown away, called them is lost."""
    text = report.decode()
    named = sorted(set(UUID_TEXT.findall(text)))
    with opened(work.folder) as store, transaction(store.sessions) as session:
        query = select(Image.id, Image.sha256).where(Image.id.in_([UUID(one) for one in named]))
        digests = {str(row.id): row.sha256.hex() for row in session.execute(query)}
    return UUID_TEXT.sub(lambda found: digests.get(found[0], found[0]), text).encode()


def on_real_scans(work: Work, feature_set: str, artifact: bytes) -> RealScans:
    """What a container head says of real scans; a scan is as loaded as its most loaded region."""
    scorer = Scorer.load(artifact)
    known = scorer.metadata
    with opened(work.folder) as store, transaction(store.sessions) as session:
        described = feature_sets.named(session, feature_set)
        query = select(Region.id, Region.image_id).join(Image).where(Image.source == REAL, Region.cut == described.cut)
        owners = {row.id: row.image_id for row in session.execute(query)}
        classes = labelling.effective(session, known.task, list(set(owners.values())))
        rows = vectors.copy_out(session, described, sorted(owners))
    worst: dict[UUID, float] = {}
    scores = scorer.probabilities(rows.avg, rows.max)[:, known.positive_index]
    for region, score in zip(rows.region_ids.tolist(), scores.tolist(), strict=True):
        worst[owners[region]] = max(score, worst.get(owners[region], 0.0))
    positive = np.array([classes[image] == known.positive for image in worst])
    said = np.array(list(worst.values()))
    counts = {name: sum(classes[image] == name for image in worst) for name in known.classes}
    return RealScans(counts, float(roc_auc(positive, said)), int(((said >= known.threshold) != positive).sum()))


def make(work: Work, kind: str, source: Path | None, sets: Sequence[str], real: Path | None) -> list[list[str]]:
    """The heads of a task on each of the feature sets; their rows of the table."""
    task, rows, plain_auc = KINDS[kind].task, [], None
    files = fill(work, kind, source, sets)
    heads = {name: trained(work, task, name) for name in sets}
    looked = real if kind == "container" else None
    if looked is not None:  # after the trainings: they must not learn from them
        work.penumbra("import", str(looked), "--task", task, "--source", REAL, "--no-wait")
        settle(work, sets)
    for name, head in heads.items():
        parts = exported(work, head)
        found = on_real_scans(work, name, parts[".onnx"]) if looked is not None else None
        origin = Origin(
            task, head["report"], files, (BUNDLE / CURRENT.file).with_suffix(".md"),
            simulated_by(work.count), name != PLAIN, plain_auc, found,
        )  # fmt: skip
        parts[".json"] = lasting(work, parts[".json"])
        parts[".md"] += data_and_licence(origin).encode()
        for suffix, content in parts.items():
            (work.out / f"{KINDS[kind].stem(name)}{suffix}").write_bytes(content)
        plain_auc = head["report"]["out_of_fold"]["auc"] if name == PLAIN else plain_auc
        rows.append(_row(name, head, found))
    return rows


def simulated_by(count: int) -> tuple[str, ...]:
    """The commands that simulate what `fill` does."""
    command = f"penumbra simulate --count {count} --seed {SEED} --out SCANS"
    return tuple(f"{command} --scanner {scanner}" if scanner else command for scanner in SCANNERS)


def _row(name: str, head: dict[str, Any], real: RealScans | None) -> list[str]:
    report = head["report"]
    figures, positive = report["out_of_fold"], report["positive"]
    interval, rates = figures["auc_interval"], figures["per_class"][positive]
    seen = "" if real is None else f"AUC {real.auc:.3f}, {real.errors} of {sum(real.counts.values())} wrong"
    auc = f"{figures['auc']:.4f} ({interval['low']:.4f}-{interval['high']:.4f})"
    return [
        head["task"], name, f"{report['rows']:,}", auc,
        f"{figures['balanced_accuracy']:.4f}", f"{rates['recall']:.4f}", f"{rates['false_positive_rate']:.4f}", seen,
    ]  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.starters", description=__doc__)
    parser.add_argument("films", type=Path, nargs="?", help="folder of films; not needed with --only container")
    parser.add_argument("--only", choices=tuple(KINDS), help="one task")
    parser.add_argument("--feature-set", action="append", help="one of a task's feature sets; may be repeated")
    parser.add_argument(
        "--count", type=int, default=3000, help="simulated scans of known scanners, and as many of random ones"
    )
    parser.add_argument("--containers", type=Path, help="real scans in class folders, to be looked at afterwards")
    parser.add_argument("--out", type=Path, default=STARTERS)
    parser.add_argument("--work", type=Path, help="keep the store here, and go on where it was")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what was started is stopped
    kinds = [given.only] if given.only else list(KINDS)
    if "chest" in kinds and given.films is None:
        parser.error("name the folder of films, or say --only container")
    with tempfile.TemporaryDirectory(prefix="penumbra-starters-") as scratch:
        work = Work((given.work or Path(scratch)).resolve(), given.out.resolve(), given.count)
        for folder in (work.folder, work.out):
            folder.mkdir(parents=True, exist_ok=True)
        rows = _made(work, kinds, given)
    table = Table("task", "feature set", "rows", "AUC, out of fold", "balanced", "recall", "false alarms", "real scans")
    for row in rows:
        table.add_row(*row)
    Console(width=160).print(table)
    return 0


def _made(work: Work, kinds: Sequence[str], given: argparse.Namespace) -> list[list[str]]:
    rows = []
    with running(work.folder):
        for kind in kinds:
            sets = [name for name in (PLAIN, KINDS[kind].prepared) if name in (given.feature_set or [name])]
            for name in sets:
                work.penumbra("features", "add", name)
            rows += make(work, kind, given.films, sets, given.containers)
    return rows


if __name__ == "__main__":
    sys.exit(main())
