"""Binary COPY: what arrays say arrives, however the bytes are cut into pieces."""

import numpy as np
import pytest
from sqlalchemy import text

from app import copying
from app.db import transaction
from tests.conftest import TestStore

NUMBERS = [copying.field("n", ">i8"), copying.field("half", ">f8")]


@pytest.mark.parametrize(("rows", "most"), [(0, 0), (1, 1), (100_000, 100_000), (100_000, 7), (3, 100)])
def test_rows_come_out_in_order_whether_they_were_expected_or_not(store: TestStore, rows: int, most: int) -> None:
    query = f"SELECT i::bigint, i / 2.0::float8 FROM generate_series(1, {rows}) i ORDER BY i"
    with transaction(store.sessions) as session:
        found = copying.receive(session, query, NUMBERS, most=most)
    assert found["n"].tolist() == list(range(1, rows + 1))
    assert np.array_equal(found["half"], np.arange(1, rows + 1) / 2)
    assert (found["n"].dtype, found["half"].dtype) == (np.dtype(np.int64), np.dtype(np.float64))


def test_blocks_of_different_widths_go_in_together(store: TestStore) -> None:
    blocks = [
        copying.block([copying.field("n", ">i8"), copying.field("word", f"S{len(word)}")], {"n": n, "word": word}, 2)
        for n, word in ((1, b"a"), (2, b"four"))
    ]
    with transaction(store.sessions) as session:
        session.execute(text("CREATE TEMP TABLE t (n bigint, word text)"))
        copying.send(session, "t (n, word)", blocks)
        assert session.execute(text("SELECT n, word FROM t ORDER BY n")).all() == [(1, "a")] * 2 + [(2, "four")] * 2


def test_rows_of_another_layout_are_noticed(store: TestStore) -> None:
    with pytest.raises(AssertionError, match="another layout"), transaction(store.sessions) as session:
        copying.receive(session, "SELECT 1::bigint, 2.0::float8, 3::bigint", NUMBERS, most=1)
