"""Datasets as Parquet, for pandas, Polars, DuckDB and Spark. pyarrow is loaded when it is used, and not before."""

import json
from collections.abc import Iterable
from importlib import import_module
from typing import IO, Any

import numpy as np

from app.datasets.exchange import Header, Part, check_claim, checked
from app.errors import InvalidInput

_KEY = b"penumbra"
_TEXTS = ("image_id", "sha256", "class", "split", "subject")


def write(file: IO[bytes], header: Header, parts: Iterable[Part]) -> None:
    """Write `parts`, each a row group. Columns: image_id, sha256 (hex), ordinal, class, split, subject, and avg and
    max as lists of float32 of fixed length; the header is JSON under the key `penumbra` of the file's metadata."""
    pa, pq = _arrow()
    schema = pa.schema(
        [
            *((name, pa.string()) for name in ("image_id", "sha256")), ("ordinal", pa.int16()),
            *((name, pa.string()) for name in ("class", "split", "subject")),
            ("avg", pa.list_(pa.float32(), header.avg_dim)), ("max", pa.list_(pa.float32(), header.max_dim)),
        ],
        metadata={_KEY: json.dumps(header.to_json()).encode()},
    )  # fmt: skip
    how = {"compression": "zstd", "use_dictionary": ["class", "split", "subject"], "write_page_checksum": True}
    with pq.ParquetWriter(file, schema, **how) as writer:
        for part in parts:
            columns = [
                list(part.image_ids),
                [e.sha256.hex() for e in part.entries],
                *([e[i] for e in part.entries] for i in (1, 2, 4, 3)),
            ]
            arrays = [pa.array(values, field.type) for values, field in zip(columns, schema, strict=False)]
            for matrix, field in ((part.avg, schema.field("avg")), (part.max, schema.field("max"))):
                arrays.append(pa.FixedSizeListArray.from_arrays(pa.array(matrix.ravel()), type=field.type))
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))


def read(file: IO[bytes], file_bytes: int) -> tuple[Header, Part]:
    """Read what `write` wrote. Raises InvalidInput for anything else."""
    pa, pq = _arrow()
    try:
        with pq.ParquetFile(file, page_checksum_verification=True) as source:
            header = Header.from_json(json.loads((source.schema_arrow.metadata or {}).get(_KEY, b"null")))
            _check_schema(pa, source, header, file_bytes)
            table = source.read()
        columns: dict[str, Any] = {name: _texts(table.column(name)) for name in _TEXTS}
        columns["ordinal"] = _texts(table.column("ordinal"))
        matrices = [_matrix(table.column(n), w) for n, w in (("avg", header.avg_dim), ("max", header.max_dim))]
        return header, checked(header, columns, *matrices)
    except (pa.ArrowException, ValueError, KeyError, OSError, MemoryError, RecursionError) as error:
        raise InvalidInput(f"The file is no whole dataset in Parquet: {error}") from error


def _arrow() -> tuple[Any, Any]:
    return import_module("pyarrow"), import_module("pyarrow.parquet")


def _check_schema(pa: Any, source: Any, header: Header, file_bytes: int) -> None:
    rows = source.metadata.num_rows
    if rows != header.rows:
        raise InvalidInput(f"The file says that it has {header.rows} rows, but it has {rows}.")
    check_claim(rows * 4 * (header.avg_dim + header.max_dim), file_bytes)
    groups = [source.metadata.row_group(i) for i in range(source.metadata.num_row_groups)]
    check_claim(sum(group.total_byte_size for group in groups), file_bytes)
    schema = source.schema_arrow
    wanted = dict.fromkeys(_TEXTS, pa.string()) | {"ordinal": pa.int16()}
    wanted |= {"avg": pa.list_(pa.float32(), header.avg_dim), "max": pa.list_(pa.float32(), header.max_dim)}
    for name, kind in wanted.items():
        if name not in schema.names or schema.field(name).type != kind:
            found = schema.field(name).type if name in schema.names else "missing"
            raise InvalidInput(f"Column '{name}' is {found}, not {kind}; export the dataset again.")


def _texts(column: Any) -> list[Any]:
    if column.null_count:
        raise InvalidInput("A column has rows without a value; export the dataset again.")
    return list(column.to_pylist())


def _matrix(column: Any, width: int) -> Any:
    """float32 (rows, width) of a column of lists."""
    parts = []
    for chunk in column.chunks:
        values = chunk.flatten()
        if chunk.null_count or values.null_count:
            raise InvalidInput("A vector lacks values; export the dataset again.")
        parts.append(values.to_numpy(zero_copy_only=False).reshape(len(chunk), width))
    return np.concatenate(parts) if parts else np.zeros((0, width), np.float32)
