"""Labelled images with vectors, for what is frozen, trained on and exported."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import numpy as np
from sqlalchemy import text

from app import vectors
from app.db import transaction
from app.services import labelling, tasks
from tests.conftest import TestStore
from tests.integration.rows import add_numbered, regions_of

TASK = "empty-container"
CLASSES = ("empty", "loaded")
START = datetime(2026, 1, 1, tzinfo=UTC)


def vectors_like(store: TestStore, count: int, seed: int = 0) -> tuple[vectors.Vectors, vectors.Vectors]:
    """`avg` and `max` at random, all positive, no two rows alike; of more rows, the first are the same."""
    feature_set = store.feature_set()
    return (
        np.random.default_rng([seed, 0]).random((count, feature_set.avg_dim), dtype=np.float32),
        np.random.default_rng([seed, 1]).random((count, feature_set.max_dim), dtype=np.float32),
    )


def embed_both(store: TestStore, ids: Sequence[UUID], avg: vectors.Vectors, max_: vectors.Vectors) -> None:
    with transaction(store.sessions) as session:
        rows = vectors.Rows(np.array(regions_of(session, ids)), avg, max_)
        vectors.copy_in(session, store.feature_set(), rows, engine="test")


def label_all(store: TestStore, classes: dict[UUID, str], *, source: str = "import", task: str = TASK) -> None:
    with transaction(store.sessions) as session:
        labelling.add_many(session, tasks.named(session, task), classes, author="test", source=source)


def fill(
    store: TestStore, count: int = 40, *, start: int = 0, per_subject: int = 1, embedded: bool = True
) -> list[UUID]:
    """Images of alternating class, `per_subject` of each subject, a day apart; the ids, in order."""
    ids = add_numbered(store.sessions, count, start)
    with transaction(store.sessions) as session:
        session.execute(
            text("UPDATE image SET subject = :subject, captured_at = :at, file_name = :name WHERE id = :id"),
            [
                {
                    "id": image, "subject": f"subject {(start + i) // per_subject}",
                    "at": START + timedelta(days=start + i), "name": f"scan-{start + i}.png",
                }
                for i, image in enumerate(ids)
            ],
        )  # fmt: skip
    if embedded:
        embed_both(store, ids, *vectors_like(store, count, seed=start))
    label_all(store, {image: CLASSES[(start + i) // per_subject % 2] for i, image in enumerate(ids)})
    return ids


def delete(store: TestStore, image_ids: Sequence[UUID]) -> None:
    with transaction(store.sessions) as session:
        session.execute(text("DELETE FROM image WHERE id = ANY (:ids)"), {"ids": list(image_ids)})
