"""An archive of simulated rows in an embedded Postgres: images, regions and vectors, but no pictures.

The vectors are written by the service's own binary COPY. The partition's HNSW index is dropped first: a million
vectors take hours to index, and neither loading nor scoring reads it.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from rich.progress import track
from sqlalchemy import text

from app import vectors
from app.cli.store import Store
from app.cli.store import opened as open_store
from app.db import transaction
from app.models import FeatureSet

FEATURE_SET = "densenet121-xray"
CHUNK = 5_000
_IMAGES = text(
    """
    INSERT INTO image (id, sha256, media_type, byte_count, width, height, bit_depth)
    SELECT uuidv7(), sha256(convert_to('row ' || i, 'UTF8')), 'image/jpeg', 1, 64, 64, 8
    FROM generate_series(CAST(:first AS int), CAST(:last AS int)) i
    """
)
_REGIONS = text(
    """
    INSERT INTO region (image_id, x, y, width, height)
    SELECT id, 0, 0, 64, 64 FROM image WHERE NOT EXISTS (SELECT FROM region WHERE region.image_id = image.id)
    ORDER BY id RETURNING id
    """
)


@contextmanager
def opened(folder: Path | None, rows: int) -> Iterator[Store]:
    """A store that holds `rows` simulated rows at least; `folder` is kept and used again, None is a temporary one."""
    with (
        tempfile.TemporaryDirectory(prefix="penumbra-bench-") as temporary,
        open_store(folder or Path(temporary)) as store,
    ):
        fill(store, rows)
        yield store


def fill(store: Store, rows: int) -> None:
    feature_set = store.feature_set(FEATURE_SET)
    with transaction(store.sessions) as session:
        session.execute(text(f"DROP INDEX IF EXISTS ix_{vectors.partition(feature_set.id)}_avg"))
        present = session.scalar(text(f"SELECT count(*) FROM {vectors.partition(feature_set.id)}")) or 0
    starts = range(present, rows, CHUNK)
    for start in track(starts, description="filling", disable=not starts, transient=True):
        _add(store, feature_set, start, min(CHUNK, rows - start))
    if starts:
        with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))
            connection.execute(text("CHECKPOINT"))


def _add(store: Store, feature_set: FeatureSet, start: int, count: int) -> None:
    with transaction(store.sessions) as session:
        session.execute(_IMAGES, {"first": start, "last": start + count - 1})
        regions = np.array(session.scalars(_REGIONS).all(), np.int64)
        avg, max_ = simulated(feature_set, count, seed=start)
        vectors.copy_in(session, feature_set, vectors.Rows(np.sort(regions), avg, max_), engine="simulated")


def simulated(feature_set: FeatureSet, count: int, *, seed: int) -> tuple[vectors.Vectors, vectors.Vectors]:
    """Features (count, dimensions) as rectified ones are: averages small, maxima some times larger."""
    rng = np.random.default_rng(seed)
    avg = rng.standard_exponential((count, feature_set.avg_dim), dtype=np.float32) * np.float32(0.3)
    max_ = rng.standard_exponential((count, feature_set.max_dim), dtype=np.float32) + np.float32(0.5)
    return avg, max_
