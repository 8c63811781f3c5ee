"""Splits keep subjects whole, classes even, and draw the same lots from the same seed."""

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from app.datasets.division import Columns, divide
from app.datasets.splits import (
    SPLITS,
    TEST,
    TRAIN,
    Method,
    SplitSpec,
    by_time,
    by_units,
    merged,
    straddling,
    together,
)
from app.errors import InvalidInput

Ints = NDArray[np.int64]
SHARES = st.sampled_from([(0.8, 0.0, 0.2), (0.7, 0.1, 0.2), (0.5, 0.0, 0.5), (0.6, 0.2, 0.2)])
ROWS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 30)), min_size=1, max_size=150)


def columns(rows: list[tuple[int, int]]) -> tuple[Ints, Ints]:
    """Class and subject of each row."""
    table = np.array(rows, np.int64)
    return table[:, 0], table[:, 1]


@given(ROWS, SHARES, st.integers(0, 2**32 - 1))
def test_no_subject_is_ever_on_two_sides(rows: list[tuple[int, int]], shares: tuple[float, ...], seed: int) -> None:
    y, subjects = columns(rows)
    splits = by_units(y, subjects, shares, seed)
    assert not len(straddling(splits, subjects))
    assert all(shares[code] > 0 for code in splits)


@given(ROWS, SHARES, st.integers(0, 2**32 - 1))
def test_the_same_seed_divides_the_same_rows_alike(
    rows: list[tuple[int, int]], shares: tuple[float, ...], seed: int
) -> None:
    y, subjects = columns(rows)
    assert by_units(y, subjects, shares, seed).tolist() == by_units(y, subjects, shares, seed).tolist()


@given(st.lists(st.integers(1, 12), min_size=1, max_size=3), SHARES, st.integers(0, 99))
def test_every_class_is_on_every_side_that_it_has_subjects_for(
    subjects_of_class: list[int], shares: tuple[float, ...], seed: int
) -> None:
    y = np.repeat(np.arange(len(subjects_of_class)), subjects_of_class)
    splits = by_units(y, np.arange(len(y)), shares, seed)
    sides = [code for code, share in enumerate(shares) if share]
    for name, count in enumerate(subjects_of_class):
        if count >= len(sides):
            assert set(splits[y == name].tolist()) == set(sides)


@given(st.lists(st.integers(1, 4), min_size=60, max_size=120), st.integers(2, 40), SHARES, st.integers(0, 99))
def test_shares_are_met_within_the_largest_subject(
    sizes: list[int], every: int, shares: tuple[float, ...], seed: int
) -> None:
    """Subjects of one class, the second class at every `every`th of them."""
    subjects = np.repeat(np.arange(len(sizes)), sizes)
    y = (subjects % every == 0).astype(np.int64)
    splits = by_units(y, subjects, shares, seed)
    for code, share in enumerate(shares):
        for name in (0, 1):
            wanted = share * (y == name).sum()
            assert abs(((splits == code) & (y == name)).sum() - wanted) <= 2 * max(sizes)


def test_another_seed_draws_other_lots() -> None:
    y, subjects = np.tile([0, 1], 100), np.arange(200)
    assert by_units(y, subjects, (0.8, 0, 0.2), 0).tolist() != by_units(y, subjects, (0.8, 0, 0.2), 1).tolist()


def test_the_newest_are_tested_on() -> None:
    times = np.array([5.0, 1.0, 4.0, 2.0, 3.0])
    assert [SPLITS[code] for code in by_time(times, (0.6, 0.2, 0.2))] == [
        "test",
        "train",
        "validation",
        "train",
        "train",
    ]


@given(st.lists(st.integers(0, 9), min_size=2, max_size=60))
def test_rows_of_one_moment_are_not_parted(times: list[int]) -> None:
    moments = np.array(times, np.float64)
    try:
        splits = by_time(moments, (0.7, 0.0, 0.3))
    except InvalidInput:
        assert len(set(times)) < 4  # too few moments to cut between
        return
    train, test = moments[splits == TRAIN], moments[splits == TEST]
    assert train.max() < test.min()


def test_one_moment_cannot_be_divided() -> None:
    with pytest.raises(InvalidInput, match="1 moment"):
        by_time(np.full(10, 3.0), (0.8, 0, 0.2))


@given(ROWS, st.lists(st.integers(0, 2), min_size=150, max_size=150))
def test_what_is_moved_together_ends_in_the_most_protected_split(rows: list[tuple[int, int]], codes: list[int]) -> None:
    _, subjects = columns(rows)
    before = np.array(codes[: len(rows)], np.int64)
    after = together(before, subjects)
    assert not len(straddling(after, subjects))
    assert (after >= before).all()
    assert (after[before == TEST] == TEST).all()


@given(st.lists(st.tuples(st.integers(0, 19), st.integers(0, 19)), max_size=40))
def test_merged_units_are_those_that_links_connect(links: list[tuple[int, int]]) -> None:
    reached = {unit: {unit} for unit in range(20)}
    for first, second in links:
        union = reached[first] | reached[second]
        for unit in union:
            reached[unit] = union
    units = merged(np.arange(20), links)
    for first in range(20):
        for second in range(20):
            assert (units[first] == units[second]) == (second in reached[first])


# The statement of a split.


@pytest.mark.parametrize(
    "wrong",
    [
        {"train": -0.1},
        {"train": 0.0},
        {"test": 1.5},
        {"train": float("nan")},
        {"seed": -1},
        {"seed": 2**32},
        {"cut": datetime(2026, 1, 1, tzinfo=UTC)},
        {"method": Method.TIME, "cut": datetime(2026, 1, 1)},
        {"method": Method.GIVEN},
        {"given": {"a": "train"}},
        {"method": Method.GIVEN, "given": {"a": "exam"}},
        {"rest": "somewhere"},
    ],
)
def test_a_split_that_cannot_be_meant_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(InvalidInput):
        SplitSpec(**wrong)  # type: ignore[arg-type]


def test_shares_need_not_sum_to_one() -> None:
    assert SplitSpec(train=0.4, validation=0, test=0.1).shares == pytest.approx((0.8, 0, 0.2))


# Division.


def rows_of(subjects: list[int], avg: NDArray[np.float32] | None = None) -> Columns:
    count = np.arange(len(subjects))
    return Columns(y=count % 2, images=count, subjects=np.array(subjects), times=count.astype(float), avg=avg)


@settings(deadline=None)
@given(st.lists(st.integers(0, 8), min_size=8, max_size=40), st.sampled_from(list(Method)), st.integers(0, 9))
def test_together_leaves_no_subject_and_no_copy_on_two_sides(subjects: list[int], method: Method, seed: int) -> None:
    rng = np.random.default_rng(seed)
    avg = rng.random((len(subjects), 16), dtype=np.float32)
    avg[-1] = avg[0] * 2  # a copy, brighter
    rows = rows_of(subjects, avg)
    listed = {"given": {"x": "test"}} if method is Method.GIVEN else {}
    if listed:
        rows = Columns(**{**vars(rows), "given": rng.integers(0, 3, len(subjects))})
    found = divide(rows, SplitSpec(method=method, seed=seed, **listed), together=True, bound=0.9999)
    assert not len(found.leaking)
    assert found.duplicates is None or found.duplicates.pairs == 0
    assert found.splits[0] == found.splits[-1]


def test_a_subject_on_both_sides_of_a_split_by_image_is_found() -> None:
    found = divide(rows_of([0] * 10), SplitSpec(method=Method.STRATIFIED), together=False, bound=1.0)
    assert found.leaking.tolist() == [0]


def test_a_copy_on_the_other_side_is_found() -> None:
    avg = np.random.default_rng(0).random((40, 16), dtype=np.float32)
    avg[39] = avg[0]
    found = divide(rows_of(list(range(40)), avg), SplitSpec(method=Method.TIME), together=False, bound=0.9999)
    assert found.duplicates is not None
    assert (found.duplicates.pairs, found.duplicates.worst.tolist()) == (1, [[0, 39]])


def test_a_cut_divides_by_time() -> None:
    cut = datetime.fromtimestamp(7, UTC)
    found = divide(rows_of(list(range(10))), SplitSpec(method=Method.TIME, cut=cut), together=False, bound=1.0)
    assert found.splits.tolist() == [TRAIN] * 7 + [TEST] * 3
