"""Rows that the tests of queue and vectors need, without an upload."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from uuid import UUID

import numpy as np
from sqlalchemy import event, insert, select, text
from sqlalchemy.orm import Session

from app import jobs, vectors
from app.db import Sessions, transaction
from app.features.spec import FeatureSetSpec
from app.imaging.prepare import Box, PreparedRegion
from app.imaging.preprocessing import Preprocessing
from app.models import FeatureSet, FeatureStage, Image, Kind, Region
from app.models.ids import uuid7
from app.services import feature_sets
from app.services.extraction import Prepared, Scan
from tests.conftest import TestStore

WORKER = uuid7()


def add_images(sessions: Sessions, contents: Sequence[bytes], **columns: object) -> list[UUID]:
    """Images of these bytes, each with its whole-frame region; without files, without jobs."""
    ids = [uuid7() for _ in contents]
    common = {"media_type": "image/jpeg", "width": 64, "height": 64, "bit_depth": 8, "tags": [], **columns}
    frame = {"ordinal": 0, "x": 0, "y": 0, "width": 64, "height": 64}
    with transaction(sessions) as session:
        session.execute(
            insert(Image),
            [
                {"id": i, "sha256": hashlib.sha256(c).digest(), "byte_count": len(c), **common}
                for i, c in zip(ids, contents, strict=True)
            ],
        )
        session.execute(insert(Region), [{"image_id": i, **frame} for i in ids])
    return ids


def add_numbered(sessions: Sessions, count: int, start: int = 0, **columns: object) -> list[UUID]:
    return add_images(sessions, [f"scan {start + i}".encode() for i in range(count)], **columns)


def keep_file(store: TestStore, content: bytes) -> None:
    """The original of an image, where workers look for it."""
    with store.blobs.receive(1 << 30) as file:
        file.write(content)
        store.blobs.keep([file])


def stored_images(store: TestStore, contents: Sequence[bytes]) -> list[UUID]:
    """Images with their originals and their queued extractions, as an upload leaves them."""
    for content in contents:
        keep_file(store, content)
    ids = add_images(store.sessions, contents)
    queue(store, ids)
    return ids


def queue(store: TestStore, image_ids: Sequence[UUID], *, priority: int = 0) -> int:
    feature_set = store.feature_set()
    with transaction(store.sessions) as session:
        return jobs.enqueue_extractions(session, image_ids, [feature_set.id], priority=priority)


def claimed(
    store: TestStore, limit: int = 100, *, lease_seconds: float = 60, busy: bool = False, worker: UUID = WORKER
) -> list[jobs.Claim]:
    """What one claim of extractions gets."""
    with transaction(store.sessions) as session:
        return jobs.claim(
            session, [Kind.EXTRACT], worker_id=worker, limit=limit, lease_seconds=lease_seconds, busy=busy
        )


def second_spec(spec: FeatureSetSpec, name: str = "other") -> FeatureSetSpec:
    """Another feature set of the same shape."""
    return replace(spec, name=name, weights_digest=hashlib.sha256(name.encode()).hexdigest())


def second_feature_set(
    store: TestStore, name: str = "other", stage: FeatureStage = FeatureStage.LIVE, profile: str | None = None
) -> int:
    """The id of another feature set of the same shape."""
    stored = store.feature_set()
    spec = second_spec(FeatureSetSpec.from_dict(stored.spec), name)
    if profile is not None:
        spec = replace(spec, preprocessing=Preprocessing.of_profile(profile))
    with transaction(store.sessions) as session:
        return feature_sets.ensure(session, spec, author="test", stage=stage).id


def framed(scans: Sequence[Scan]) -> list[Prepared]:
    """Claimed scans as whole frames, without their pixels."""
    nothing = np.empty((0, 0, 0), np.float32)
    return [Prepared(scan, [PreparedRegion(0, 0, Box(0, 0, 64, 64), nothing, {})]) for scan in scans]


def regions_of(session: Session, image_ids: Sequence[UUID]) -> list[int]:
    """The regions of images, in the images' order."""
    found = {
        row.image_id: row.id
        for row in session.execute(select(Region.image_id, Region.id).where(Region.image_id.in_(image_ids)))
    }
    return [found[i] for i in image_ids]


def embed(store: TestStore, feature_set: FeatureSet, image_ids: Sequence[UUID], avg: vectors.Vectors) -> list[int]:
    """Store `avg` (n, avg_dim) as the images' vectors, with zeros for `max`; the region ids."""
    with transaction(store.sessions) as session:
        regions = regions_of(session, image_ids)
        rows = vectors.Rows(np.array(regions), avg, np.zeros((len(avg), feature_set.max_dim), np.float32))
        vectors.copy_in(session, feature_set, rows, engine="test")
    return regions


def job_states(store: TestStore) -> dict[str, int]:
    with transaction(store.sessions) as session:
        rows = session.execute(text("SELECT state, count(*) AS n FROM job GROUP BY 1"))
        return {row.state: row.n for row in rows}


@contextmanager
def explained(store: TestStore) -> Iterator[list[str]]:
    """The plans of the queries and claims that are sent until the block ends, as the server made them just before."""
    plans: list[str] = []

    def explain(_: Any, cursor: Any, statement: str, parameters: Any, *__: Any) -> None:
        if statement.lstrip().startswith(("SELECT", "WITH")):
            cursor.execute(f"EXPLAIN {statement}", parameters)
            plans.append("\n".join(line for (line,) in cursor.fetchall()))

    event.listen(store.engine, "before_cursor_execute", explain)
    try:
        yield plans
    finally:
        event.remove(store.engine, "before_cursor_execute", explain)
