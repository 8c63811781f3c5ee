"""The only file that knows pgvector.

On the wire a vector is int16 dimensions, int16 zero, then float32 values.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import text
from sqlalchemy.orm import Session

from app import copying
from app.errors import InvalidInput, MixedFeatureSets
from app.models import FeatureSet

# HNSW build and search widths: recall against time; see docs/decisions.
HNSW_M, HNSW_EF_CONSTRUCTION, HNSW_EF_SEARCH, HNSW_MOST_EF_SEARCH = 16, 64, 100, 1000
EXACT_BELOW_ROWS = 2_000
RERANK_FACTOR = 4

Vectors = NDArray[np.float32]
Codes = NDArray[np.int16]


@dataclass(frozen=True)
class Rows:
    """Stored vectors: `region_ids` int64 (n,), `avg` float32 (n, avg_dim), `max` float32 (n, max_dim)."""

    region_ids: NDArray[np.int64]
    avg: Vectors
    max: Vectors

    def __len__(self) -> int:
        return len(self.region_ids)


@dataclass(frozen=True)
class Neighbour:
    image_id: UUID
    region_id: int
    distance: float


@dataclass(frozen=True)
class Neighbours:
    """Nearest first. `approximate`: found by the index; `exhausted`: fewer match than were asked for."""

    found: list[Neighbour]
    approximate: bool
    exhausted: bool


def partition(feature_set_id: int) -> str:
    return f"embedding_fs{int(feature_set_id)}"


def create_partition(session: Session, feature_set: FeatureSet) -> None:
    """Make the feature set's own partition: dimensions checked, `avg` indexed for cosine distance.

    An HNSW index holds at most 2,000 dimensions as `vector` and 4,000 as `halfvec`, and
    halfvec(2048) fits one element a page; so `avg` is indexed as halfvec and reranked exactly.
    Augmented copies stay out of the index: they are trained on, never found.
    """
    table, avg_dim, max_dim = (
        partition(feature_set.id),
        int(feature_set.avg_dim),
        int(feature_set.max_dim),
    )
    for statement in (
        f"CREATE TABLE IF NOT EXISTS {table} PARTITION OF embedding FOR VALUES IN ({int(feature_set.id)})",
        f"ALTER TABLE {table} ADD CONSTRAINT ck_{table}_dim "
        f"CHECK (vector_dims(avg) = {avg_dim} AND vector_dims(max) = {max_dim})",
        f"CREATE INDEX ix_{table}_avg ON {table} USING hnsw ((avg::halfvec({avg_dim})) halfvec_cosine_ops) "
        f"WITH (m = {HNSW_M}, ef_construction = {HNSW_EF_CONSTRUCTION}) WHERE augmentation = 0",
    ):
        session.execute(text(statement))


def copy_in(
    session: Session, feature_set: FeatureSet, rows: Rows, *, engine: str, augmentation: int | Codes = 0
) -> None:
    """Store vectors by one binary COPY. Raise MixedFeatureSets when dimensions differ.

    `augmentation`: the code of all rows, or int16 (n,) of each; 0 is the scan as it is.
    """
    _check_dimensions(feature_set, rows.avg.shape[1], rows.max.shape[1])
    name = engine.encode()
    columns = [
        copying.field("region", ">i8"), copying.field("set", ">i4"), copying.field("augmentation", ">i2"),
        *_vector_fields(feature_set), copying.field("engine", f"S{len(name)}"),
    ]  # fmt: skip
    values = {
        "region": rows.region_ids, "set": feature_set.id, "augmentation": augmentation,
        "avg": rows.avg, "max": rows.max, "engine": name,
    }  # fmt: skip
    into = f"{partition(feature_set.id)} (region_id, feature_set_id, augmentation, avg, max, engine)"
    copying.send(session, into, [copying.block(columns, values, len(rows))])


def copy_out(session: Session, feature_set: FeatureSet, region_ids: Sequence[int] | None = None) -> Rows:
    """Load vectors (of all regions, or of `region_ids`) in ascending region order, augmented copies left out."""
    where = "augmentation = 0"
    if region_ids is not None:
        return _read(session, feature_set, f"{where} AND {_among(region_ids)}", most=len(region_ids))[0]
    most = session.scalar(text(f"SELECT count(*) FROM {partition(feature_set.id)} WHERE {where}")) or 0
    return _read(session, feature_set, where, most=most)[0]


def copy_out_next(session: Session, feature_set: FeatureSet, *, after: int, limit: int, where: str = "TRUE") -> Rows:
    """Load the next `limit` vectors behind region `after` in ascending region order, augmented copies left out.

    `where` is SQL over the embedding `e`, without parameters.
    """
    where = f"augmentation = 0 AND region_id > {int(after)} AND ({where})"
    return _read(session, feature_set, where, most=limit, limited=True)[0]


def copy_out_augmented(
    session: Session, feature_set: FeatureSet, region_ids: Sequence[int], codes: range
) -> tuple[Rows, Codes]:
    """Load those augmented copies of `region_ids` that exist, and their codes int16 (n,).

    In ascending order of region, then code; a region comes once a copy. Raise InvalidInput for the code 0, which is
    no copy.
    """
    if codes.start < 1 or codes.step != 1:
        raise InvalidInput(f"Codes {codes}: augmented copies have consecutive codes from 1.")
    where = f"augmentation BETWEEN {codes.start} AND {codes.stop - 1} AND {_among(region_ids)}"
    return _read(session, feature_set, where, most=len(region_ids) * len(codes))


def _among(region_ids: Sequence[int]) -> str:
    return f"region_id = ANY ('{{{','.join(str(int(r)) for r in region_ids)}}}'::bigint[])"


def _read(
    session: Session, feature_set: FeatureSet, where: str, *, most: int, limited: bool = False
) -> tuple[Rows, Codes]:
    query = (
        f"SELECT region_id, augmentation, avg, max FROM {partition(feature_set.id)} e WHERE {where} "
        f"ORDER BY region_id, augmentation{f' LIMIT {int(most)}' if limited else ''}"
    )
    columns = [copying.field("region", ">i8"), copying.field("code", ">i2"), *_vector_fields(feature_set)]
    found = copying.receive(session, query, columns, most=most)
    return Rows(found["region"], found["avg"], found["max"]), found["code"]


def nearest(
    session: Session,
    feature_set: FeatureSet,
    query: Vectors,
    *,
    limit: int,
    where: str = "TRUE",
    parameters: dict[str, Any] | None = None,
    matching: int | None = None,
    exact: bool = False,
) -> Neighbours:
    """The images nearest to `query` (avg_dim,) by cosine distance, of those that `where` keeps.

    `where` is SQL over `image`, with `parameters`. `matching` is how many rows it is known to keep:
    a selective filter is searched exactly, because an index that filters afterwards under-returns. So is
    one for which the index finds too few.
    Raise MixedFeatureSets when the query has another feature set's dimensions.
    """
    _check_dimensions(feature_set, len(query), feature_set.max_dim)
    if not np.isfinite(query).all() or not query.any():
        raise InvalidInput("The query vector must be finite and not all zeros.")
    bind = {**(parameters or {}), "query": vector_text(query), "limit": limit}
    if not exact and (matching is None or matching >= EXACT_BELOW_ROWS):
        found = _search_index(session, feature_set, where, bind)
        # Fewer: nothing else matches, or the index gave up early. Only a look at every row can tell.
        if len(found) == limit:
            return Neighbours(found, approximate=True, exhausted=False)
    found = _search_rows(session, feature_set, where, bind)
    return Neighbours(found, approximate=False, exhausted=len(found) < limit)


def _search_index(session: Session, feature_set: FeatureSet, where: str, bind: dict[str, Any]) -> list[Neighbour]:
    # Strict order would drop candidates that the index meets late; the rerank sorts anyway.
    session.execute(text("SET LOCAL hnsw.iterative_scan = relaxed_order"))
    width = min(max(HNSW_EF_SEARCH, bind["limit"] * 2), HNSW_MOST_EF_SEARCH)
    session.execute(text(f"SET LOCAL hnsw.ef_search = {width}"))
    return _neighbours(session, _indexed(feature_set, where), {**bind, "candidates": bind["limit"] * RERANK_FACTOR})


def _search_rows(session: Session, feature_set: FeatureSet, where: str, bind: dict[str, Any]) -> list[Neighbour]:
    session.execute(text("SET LOCAL enable_indexscan = off"))
    found = _neighbours(session, _scanned(feature_set, where), bind)
    session.execute(text("SET LOCAL enable_indexscan = on"))
    return found


def _neighbours(session: Session, statement: str, bind: dict[str, Any]) -> list[Neighbour]:
    return [
        Neighbour(row.image_id, row.region_id, float(row.distance)) for row in session.execute(text(statement), bind)
    ]


def vector_text(values: Vectors) -> str:
    """pgvector's text form, with every digit a float32 has."""
    return "[" + ",".join(np.format_float_positional(v, unique=True) for v in values) + "]"


def unit_vector(dimensions: int) -> Vectors:
    """A vector (dimensions,) that any index can be asked for."""
    vector = np.zeros(dimensions, np.float32)
    vector[0] = 1.0
    return vector


def _indexed(feature_set: FeatureSet, where: str) -> str:
    half = f"halfvec({int(feature_set.avg_dim)})"
    return f"""
        WITH candidate AS MATERIALIZED (
            SELECT e.region_id, r.image_id, e.avg
            FROM {partition(feature_set.id)} e
            JOIN region r ON r.id = e.region_id JOIN image ON image.id = r.image_id
            WHERE e.augmentation = 0 AND ({where})
            ORDER BY e.avg::{half} <=> CAST(:query AS {half})
            LIMIT :candidates
        )
        SELECT region_id, image_id, avg <=> CAST(:query AS vector) AS distance
        FROM candidate ORDER BY distance, region_id LIMIT :limit
    """


def _scanned(feature_set: FeatureSet, where: str) -> str:
    return f"""
        SELECT e.region_id, r.image_id, e.avg <=> CAST(:query AS vector) AS distance
        FROM {partition(feature_set.id)} e
        JOIN region r ON r.id = e.region_id JOIN image ON image.id = r.image_id
        WHERE e.augmentation = 0 AND ({where})
        ORDER BY distance, e.region_id LIMIT :limit
    """


def _vector_fields(feature_set: FeatureSet) -> list[copying.Fields]:
    return [
        copying.field(name, f"({width},)>f4", (f"dimensions {name}", ">i2", width), (f"unused {name}", ">i2", 0))
        for name, width in (("avg", feature_set.avg_dim), ("max", feature_set.max_dim))
    ]


def _check_dimensions(feature_set: FeatureSet, avg_dim: int, max_dim: int) -> None:
    if (avg_dim, max_dim) != (feature_set.avg_dim, feature_set.max_dim):
        raise MixedFeatureSets(
            f"Vectors of {avg_dim} and {max_dim} dimensions do not belong to feature set "
            f"{feature_set.name} ({feature_set.avg_dim} and {feature_set.max_dim})."
        )
