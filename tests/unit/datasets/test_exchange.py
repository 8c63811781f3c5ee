"""Files of datasets come back bit for bit; anything else is refused in words."""

import io
import json
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from app.datasets import npz, parquet
from app.datasets.content import Entry, digest
from app.datasets.exchange import Header, Part
from app.errors import InvalidInput

FORMS = pytest.mark.parametrize("form", [npz, parquet], ids=["npz", "parquet"])
CLASSES = ("empty", "loaded")
FEATURES = "f" * 64
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=8)


def header(entries: list[Entry], **changes: Any) -> Header:
    said: dict[str, Any] = {
        "name": "port", "version": 3, "task": "empty-container", "classes": CLASSES, "positive": "loaded",
        "feature_set": FEATURES, "feature_set_name": "densenet121-xray", "avg_dim": 4, "max_dim": 3,
        "digest": digest(entries, feature_set=FEATURES, classes=CLASSES, positive="loaded"), "rows": len(entries),
        "selection": {"source": "Übersee"}, "split": {"method": "subject"}, "findings": {}, "author": "test",
        "created_at": "2026-01-01T00:00:00+00:00",
    }  # fmt: skip
    return Header(**{**said, **changes})


def rows(count: int = 5) -> tuple[list[Entry], Part]:
    entries = [Entry(bytes([i]) * 32, 0, CLASSES[i % 2], f"subject {i}", "train") for i in range(count)]
    rng = np.random.default_rng(0)
    avg, max_ = rng.random((count, 4), dtype=np.float32), rng.random((count, 3), dtype=np.float32)
    return entries, Part(image_ids=[f"id {i}" for i in range(count)], entries=entries, avg=avg, max=max_)


def written(form: Any, head: Header, *parts: Part) -> io.BytesIO:
    file = io.BytesIO()
    form.write(file, head, parts)
    file.seek(0)
    return file


def read(form: Any, file: io.BytesIO) -> tuple[Header, Part]:
    return form.read(file, len(file.getvalue()))  # type: ignore[no-any-return]


FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)


@FORMS
@settings(deadline=None)
@given(
    subjects=st.lists(TEXT, min_size=1, max_size=6), cut=st.integers(0, 5), data=st.data(),
)  # fmt: skip
def test_what_was_written_is_read_bit_for_bit(form: Any, subjects: list[str], cut: int, data: st.DataObject) -> None:
    """Also minus zero and the smallest numbers, in however many parts."""
    count = len(subjects)
    entries = [Entry(bytes([i]) * 32, i, CLASSES[i % 2], s, "test" if i else "train") for i, s in enumerate(subjects)]
    avg = data.draw(hnp.arrays(np.float32, (count, 4), elements=FLOATS))
    max_ = data.draw(hnp.arrays(np.float32, (count, 3), elements=FLOATS))
    ids = [f"id {i}" for i in range(count)]
    parts = [
        Part(image_ids=ids[some], entries=entries[some], avg=avg[some], max=max_[some])
        for some in (slice(0, cut), slice(cut, None))
        if ids[some]
    ]
    head, part = read(form, written(form, header(entries), *parts))
    assert head == header(entries)
    assert (list(part.entries), list(part.image_ids)) == (entries, ids)
    assert part.avg.tobytes() == avg.tobytes()
    assert part.max.tobytes() == max_.tobytes()


def test_anyone_can_read_the_npz() -> None:
    entries, part = rows()
    with np.load(written(npz, header(entries), part), allow_pickle=False) as arrays:
        assert arrays["avg"].tolist() == part.avg.tolist()
        assert arrays["class_names"].tolist() == [entry.class_name for entry in entries]
        assert json.loads(str(arrays["header"]))["digest"] == header(entries).digest


def test_anyone_can_read_the_parquet() -> None:
    import pyarrow.parquet as pq

    entries, part = rows()
    table = pq.read_table(written(parquet, header(entries), part))
    assert table.column_names == ["image_id", "sha256", "ordinal", "class", "split", "subject", "avg", "max"]
    assert table.column("subject").to_pylist() == [entry.subject for entry in entries]
    assert np.array(table.column("max").to_pylist(), np.float32).tolist() == part.max.tolist()


# Files that nobody should send.


@FORMS
@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"rows": 9}, "9 rows"),
        ({"digest": "0" * 64}, "altered"),
        ({"avg_dim": 5}, "avg"),
        ({"classes": ("empty", "full")}, "does not describe"),
        ({"positive": "empty"}, "altered"),
        ({"version": "one"}, "damaged at 'version'"),
        ({"classes": [1, 2]}, "damaged"),
        ({"findings": []}, "damaged at 'findings'"),
        ({"author": "nul \x00"}, "no text"),
        ({"selection": {"a": float("nan")}}, "JSON"),
    ],
)
def test_a_header_that_does_not_fit_its_rows_is_refused(
    form: Any, changes: dict[str, Any], why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries, part = rows()
    true = header(entries)
    lie = {**true.to_json(), **changes}
    monkeypatch.setattr(Header, "to_json", lambda _: lie)
    file = written(form, true, part)
    monkeypatch.undo()
    with pytest.raises(InvalidInput, match=why):
        read(form, file)


def altered(**arrays: Any) -> Callable[[], io.BytesIO]:
    """An .npz of which some arrays are others; None leaves one out."""

    def make() -> io.BytesIO:
        entries, part = rows()
        with np.load(written(npz, header(entries), part)) as true:
            content = {name: arrays.get(name, true[name]) for name in true.files if arrays.get(name, 1) is not None}
        file = io.BytesIO()
        np.savez(file, **content)
        file.seek(0)
        return file

    return make


def pickled() -> io.BytesIO:
    return altered(subjects=np.array([{}] * 5, dtype=object))()


def claiming(name: str, shape: tuple[int, ...]) -> Callable[[], io.BytesIO]:
    """An .npz of which one array's header promises more than there is."""

    def make() -> io.BytesIO:
        source, file = altered()(), io.BytesIO()
        with zipfile.ZipFile(source) as old, zipfile.ZipFile(file, "w") as new:
            for member in old.namelist():
                content = old.read(member)
                if member == f"{name}.npy":
                    stream = io.BytesIO()
                    np.lib.format.write_array_header_1_0(
                        stream, {"descr": "<f4", "fortran_order": False, "shape": shape}
                    )
                    content = stream.getvalue() + content[-16:]
                new.writestr(member, content)
        file.seek(0)
        return file

    return make


def bomb() -> io.BytesIO:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("header", "ordinals", "avg", "max", "image_ids", "sha256", "class_names", "splits", "subjects"):
            archive.writestr(f"{name}.npy", bytes(10_000_000))
    file.seek(0)
    return file


NAN = np.full((5, 4), np.nan, np.float32)


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (pickled, "pickled"),
        (bomb, "claims to unpack"),
        (claiming("avg", (10**12, 1024)), "claims the shape"),
        (claiming("avg", (2**62, 2**62)), "claims the shape"),
        (altered(avg=NAN), "not finite"),
        (altered(max=np.zeros((5, 3), np.float64)), "not float32"),
        (altered(avg=np.zeros((4, 5), np.float32)), "rows, but its columns"),
        (altered(avg=np.zeros(5, np.float32)), "not float32"),
        (altered(header=None), "lacks header"),
        (altered(header=np.array("no JSON")), "no dataset"),
        (altered(header=np.array('{"format": "another"}')), "does not say"),
        (altered(subjects=np.arange(5)), "column of texts"),
        (altered(ordinals=np.array([0.5] * 5)), "ordinals are"),
        (altered(ordinals=np.array([-1] * 5)), "SHA-256 and ordinal"),
        (altered(sha256=np.array(["zz"] * 5)), "SHA-256 and ordinal"),
        (altered(sha256=np.array(["00" * 32] * 5)), "twice"),
        (altered(splits=np.array(["exam"] * 5)), "split 'exam'"),
        (altered(class_names=np.array(["full"] * 5)), "class 'full'"),
        (altered(subjects=np.array(["someone else"] * 5)), "altered"),
        (altered(subjects=np.array(["a\ud800"] * 5)), "SHA-256 and ordinal"),
        (lambda: io.BytesIO(b"PK\x03\x04 and nothing"), "no whole"),
        (lambda: io.BytesIO(altered()().getvalue()[:-100]), "no whole"),
    ],
)
def test_a_hostile_npz_is_refused(make: Callable[[], io.BytesIO], why: str) -> None:
    with pytest.raises(InvalidInput, match=why):
        read(npz, make())


def table(**columns: Any) -> Callable[[], io.BytesIO]:
    """A Parquet file of which some columns are others; None leaves one out."""

    def make() -> io.BytesIO:
        import pyarrow as pa
        import pyarrow.parquet as pq

        entries, part = rows()
        true = pq.read_table(written(parquet, header(entries), part))
        kept = {name: columns.get(name, true.column(name)) for name in true.column_names}
        arrays = {name: values for name, values in kept.items() if values is not None}
        file = io.BytesIO()
        pq.write_table(pa.table(arrays).replace_schema_metadata(true.schema.metadata), file)
        file.seek(0)
        return file

    return make


def vectors(values: Any, width: int = 4) -> Any:
    import pyarrow as pa

    return pa.array(values, pa.list_(pa.float32(), width))


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (table(avg=None), "'avg' is missing"),
        (table(avg=vectors([[float("nan")] * 4] * 5)), "not finite"),
        (table(avg=vectors([[0.0] * 4] * 4 + [None])), "lacks values"),
        (table(avg=vectors([[0.0, None, 0.0, 0.0]] * 5)), "lacks values"),
        (table(avg=vectors([[0.0] * 5] * 5, 5)), "'avg' is"),
        (table(subject=["a"] * 5, split=["exam"] * 5), "split 'exam'"),
        (table(subject=[None] * 4 + ["x"]), "without a value"),
        (table(ordinal=["0"] * 5), "'ordinal' is string"),
        (lambda: io.BytesIO(b"PAR1 and nothing"), "no whole dataset"),
        (lambda: io.BytesIO(table()().getvalue()[:-50]), "no whole dataset"),
        (lambda: io.BytesIO(table()().getvalue()[:200] + table()().getvalue()[260:]), "Parquet|altered|damaged"),
    ],
)
def test_a_hostile_parquet_file_is_refused(make: Callable[[], io.BytesIO], why: str) -> None:
    with pytest.raises(InvalidInput, match=why):
        read(parquet, make())


def test_a_parquet_file_of_other_things_is_refused() -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = io.BytesIO()
    pq.write_table(pa.table({"a": [1]}), file)
    with pytest.raises(InvalidInput, match="does not say"):
        read(parquet, file)


@FORMS
@settings(deadline=None, max_examples=150)
@given(at=st.integers(0, 10_000), value=st.integers(0, 255))
def test_a_changed_byte_is_refused_or_changes_nothing(form: Any, at: int, value: int) -> None:
    entries, part = rows()
    content = bytearray(written(form, header(entries), part).getvalue())
    content[at % len(content)] = value
    try:
        head, found = read(form, io.BytesIO(bytes(content)))
    except InvalidInput:
        return
    assert list(found.entries) == entries
    assert head.digest == header(entries).digest
    assert (found.avg.tobytes(), found.max.tobytes()) == (part.avg.tobytes(), part.max.tobytes())
