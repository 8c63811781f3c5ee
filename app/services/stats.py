"""Figures of the store, and whether it is fit to serve."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from app import vectors
from app.blobs import BlobStore
from app.models import FeatureSet, FeatureStage, Head, Image, Stage, Worker
from app.services import unjudgeable


@dataclass(frozen=True)
class Stats:
    images: int
    pending: int
    failed: int
    oldest_pending_seconds: float | None
    jobs: dict[str, dict[str, int]]
    embeddings: dict[str, int]
    live_heads: dict[str, int]
    cannot_judge: dict[str, int]  # regions, by the reason's code
    workers: list[Worker]


def alive_workers(session: Session, *, within_seconds: float) -> list[Worker]:
    cutoff = func.now() - text(f"interval '{float(within_seconds)} seconds'")
    return list(session.scalars(select(Worker).where(Worker.seen_at > cutoff).order_by(Worker.started_at)))


def gather(session: Session, *, within_seconds: float) -> Stats:
    """Counts as of now. Queue figures are those of unfinished and failed jobs."""
    jobs: dict[str, dict[str, int]] = {}
    oldest: datetime | None = None
    rows = session.execute(
        text(
            "SELECT kind, state, count(*) AS n, min(created_at) AS oldest FROM job "
            "WHERE state IN ('queued', 'running', 'failed') GROUP BY 1, 2"
        )
    )
    for row in rows:
        jobs.setdefault(row.kind, {})[row.state] = row.n
        if row.kind == "extract" and row.state != "failed":
            oldest = min(filter(None, (oldest, row.oldest)))
    extract = jobs.get("extract", {})
    now = session.scalar(select(func.now()))
    live = select(Head.task, Head.version).where(Head.stage == Stage.LIVE)
    return Stats(
        images=session.scalar(select(func.count()).select_from(Image)) or 0,
        pending=extract.get("queued", 0) + extract.get("running", 0),
        failed=extract.get("failed", 0),
        oldest_pending_seconds=(now - oldest).total_seconds() if oldest and now else None,
        jobs=jobs,
        embeddings=_embeddings(session),
        live_heads={row.task: row.version for row in session.execute(live)},
        cannot_judge=unjudgeable.counts(session),
        workers=alive_workers(session, within_seconds=within_seconds),
    )


def _embeddings(session: Session) -> dict[str, int]:
    """Regions with vectors, by feature set; augmented copies are not counted."""
    counted = "SELECT count(*) FROM {} WHERE augmentation = 0"
    return {
        feature_set.name: session.scalar(text(counted.format(vectors.partition(feature_set.id)))) or 0
        for feature_set in session.scalars(select(FeatureSet).where(FeatureSet.stage != FeatureStage.DROPPED))
    }


def readiness(session: Session, *, within_seconds: float) -> dict[str, Any]:
    """What `/readyz` reports: the database answers, a nearest-neighbour query works, a worker is alive.

    `feature_sets` names the live ones that no worker serves.
    """
    live = session.scalars(select(FeatureSet).where(FeatureSet.stage == FeatureStage.LIVE)).all()
    workers = alive_workers(session, within_seconds=within_seconds)
    extracting = [w for w in workers if w.kind == "extract"]
    return {
        "database": "ok",
        "search": "ok" if live and all(_probe(session, each) for each in live) else "no feature set",
        "workers": "ok" if extracting else "no extraction worker has reported lately",
        "feature_sets": _unserved(live, extracting) or "ok",
    }


def _unserved(live: Sequence[FeatureSet], extracting: Sequence[Worker]) -> str:
    """Which live feature sets no worker serves, and why, as far as one has said."""
    served = {number for worker in extracting for number in worker.serves}
    trouble = {name: why for worker in extracting for name, why in worker.stages.get("trouble", {}).items()}
    return "; ".join(
        f"{each.name}: {trouble.get(each.name, 'no worker serves it')}" for each in live if each.id not in served
    )


def _probe(session: Session, feature_set: FeatureSet) -> bool:
    query = vectors.unit_vector(feature_set.avg_dim)
    vectors.nearest(session, feature_set, query, limit=1)
    return True


def missing_originals(session: Session, blobs: BlobStore) -> list[bytes]:
    """SHA-256 of images whose original the blob folder has lost."""
    digests = session.scalars(select(Image.sha256).execution_options(yield_per=10_000))
    return [sha256 for sha256 in digests if not blobs.path(sha256).exists()]
