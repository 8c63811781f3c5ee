"""The only file that knows PostgreSQL's binary COPY: rows in and out of NumPy without a Python object a row.

Wire format (documentation, "COPY", section Binary Format): a 19-byte header, then per row a count of fields
and each field behind its length, big-endian; a count of -1 ends it. A layout is a structured dtype of exactly
these bytes, so that a block of rows of fixed width is one array.
"""

import io
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import psycopg2
from numpy.typing import NDArray
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

_HEADER = b"PGCOPY\n\xff\r\n\x00" + b"\x00" * 8
_END = b"\xff\xff"
# Rows that are turned around at once: they stay in the processor's cache. A conversion of all rows at the end
# took four times as long, and held them twice (20,800 rows of 8 KiB, 2026-11).
_BLOCK_BYTES = 512 * 1024

Fields = list[Any]


def field(name: str, form: str, *before: tuple[str, str, int]) -> Fields:
    """A column of a layout: NumPy's big-endian `form`, such as `>i8` or `1024>f4`, behind its length.

    `before` are parts of the value itself that every row has alike: name, form and content.
    """
    size = np.dtype(form).itemsize + sum(np.dtype(part).itemsize for _, part, _ in before)
    return [(f"length {name}", ">i4", size), *before, (name, form, None)]


def layout(*columns: Fields) -> tuple[np.dtype[Any], dict[str, int]]:
    """The bytes of a row of these columns, and the parts of it that never change."""
    parts = [("fields", ">i2", len(columns)), *(part for column in columns for part in column)]
    dtype = np.dtype([(name, form) for name, form, _ in parts])
    return dtype, {name: constant for name, _, constant in parts if constant is not None}


def block(columns: Sequence[Fields], values: dict[str, Any], count: int) -> bytes:
    """`count` rows on the wire; `values` are arrays (count, ...) or scalars, by column."""
    dtype, constants = layout(*columns)
    rows = np.zeros(count, dtype)
    for name, value in (constants | values).items():
        rows[name] = value
    return rows.tobytes()


def send(session: Session, into: str, blocks: Iterable[bytes]) -> None:
    """Add rows to a table; `into` names it and its columns."""
    _copy(session, f"COPY {into} FROM STDIN (FORMAT binary)", io.BytesIO(b"".join((_HEADER, *blocks, _END))))


def receive(session: Session, query: str, columns: Sequence[Fields], *, most: int) -> dict[str, NDArray[Any]]:
    """The rows of `query` as arrays (n, ...) in the machine's byte order, by column; `most`: so many are expected."""
    reader = _Reader(columns, most)
    _copy(session, f"COPY ({query}) TO STDOUT (FORMAT binary)", reader)
    return reader.arrays()


class _Reader:
    """Takes COPY's bytes as they come and fills the arrays of its columns."""

    def __init__(self, columns: Sequence[Fields], most: int) -> None:
        self._dtype, constants = layout(*columns)
        names = [name for name in self._dtype.names or () if name not in constants]
        self._arrays = {name: _empty(self._dtype[name], most) for name in names}
        self._count, self._room = 0, most
        self._waiting: list[bytes] = []
        self._size, self._skip = 0, len(_HEADER)

    def write(self, piece: bytes) -> None:
        self._waiting.append(piece)
        self._size += len(piece)
        if self._size >= _BLOCK_BYTES:
            self._turn()

    def _turn(self) -> None:
        waiting = b"".join(self._waiting)
        count = max(0, (len(waiting) - self._skip) // self._dtype.itemsize)
        rows = np.frombuffer(waiting, self._dtype, count=count, offset=self._skip)
        self._make_room(self._count + count)
        for name, array in self._arrays.items():
            array[self._count : self._count + count] = rows[name]
        self._count += count
        left = waiting[self._skip + rows.nbytes :]
        self._waiting, self._size, self._skip = [left], len(left), 0

    def _make_room(self, rows: int) -> None:
        if rows > self._room:
            self._room = max(rows, 2 * self._room)
            for name, array in self._arrays.items():
                self._arrays[name] = _empty(self._dtype[name], self._room)
                self._arrays[name][: self._count] = array[: self._count]

    def arrays(self) -> dict[str, NDArray[Any]]:
        self._turn()
        assert self._waiting == [_END], "rows of another layout"
        return {name: array[: self._count] for name, array in self._arrays.items()}


def _empty(form: np.dtype[Any], rows: int) -> NDArray[Any]:
    return np.empty((rows, *form.shape), form.base.newbyteorder("="))


def _copy(session: Session, statement: str, stream: Any) -> None:
    """COPY has no SQLAlchemy form: the driver's cursor does it inside this session's transaction.

    Its errors become SQLAlchemy's, so that a lost connection is known as one.
    """
    connection = session.connection()
    driver: Any = connection.connection
    try:
        with driver.cursor() as cursor:
            cursor.copy_expert(statement, stream)
    except psycopg2.Error as error:
        raise DBAPIError.instance(
            statement, None, error, psycopg2.Error, dialect=connection.dialect,
            connection_invalidated=bool(getattr(driver, "closed", 0)),
        ) from error  # fmt: skip
