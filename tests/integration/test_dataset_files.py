"""Datasets leave a store as files and come into another one bit for bit."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import text

from app import embedded, vectors
from app.datasets.splits import Method, SplitSpec
from app.db import transaction
from app.errors import Conflict, InvalidInput, MixedFeatureSets
from app.models import Dataset
from app.services import dataset_export, dataset_import, datasets
from app.services.dataset_export import Format
from app.services.dataset_import import Imported
from tests.conftest import TestStore, new_store
from tests.integration.labelled import TASK, delete, embed_both, fill, vectors_like
from tests.integration.rows import regions_of

FORMS = pytest.mark.parametrize("form", list(Format))


@pytest.fixture
def other(server: embedded.EmbeddedServer, template: str, tmp_path: Path) -> Iterator[TestStore]:
    """A second store."""
    with new_store(server, template, tmp_path / "other") as store:
        yield store


def frozen(store: TestStore, **asked: Any) -> Dataset:
    with transaction(store.sessions) as session:
        return datasets.freeze(session, "port", TASK, store.feature_set(), author="test", **asked)


def written(store: TestStore, dataset: Dataset, folder: Path, form: Format) -> Path:
    path = folder / f"port.{form}"
    with transaction(store.sessions) as session, path.open("wb") as file:
        dataset_export.export(session, dataset, form, file)
    return path


def taken(store: TestStore, path: Path, **asked: Any) -> Imported:
    header, part = dataset_import.read(path)
    with transaction(store.sessions) as session:
        return dataset_import.store(session, header, part, author="test", **asked)


@FORMS
def test_a_dataset_goes_to_another_store_bit_for_bit(
    store: TestStore, other: TestStore, tmp_path: Path, form: Format, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In several parts, and with the vectors: the other store has none."""
    monkeypatch.setattr(dataset_export, "ROWS_AT_ONCE", 7)
    monkeypatch.setattr(dataset_import, "ROWS_AT_ONCE", 7)
    fill(other, 5, start=500)  # so that its regions have other numbers
    fill(store, 30, per_subject=2)
    fill(other, 30, per_subject=2, embedded=False)
    dataset = frozen(store, split=SplitSpec(seed=5))
    first = written(store, dataset, tmp_path, form)
    got = taken(other, first)
    assert (got.filled, got.skipped) == (30, 0)
    same = ("digest", "classes", "positive", "counts", "findings", "split", "selection", "name", "version")
    assert [getattr(got.dataset, name) for name in same] == [getattr(dataset, name) for name in same]
    (tmp_path / "again").mkdir()
    header, part = dataset_import.read(first)
    header_again, again = dataset_import.read(written(other, got.dataset, tmp_path / "again", form))
    assert (again.entries, header_again.digest) == (part.entries, header.digest)
    assert again.avg.tobytes() == part.avg.tobytes()
    assert again.max.tobytes() == part.max.tobytes()


@FORMS
def test_a_dataset_comes_back_to_its_own_store_as_itself(store: TestStore, tmp_path: Path, form: Format) -> None:
    ids = fill(store, 20, per_subject=2)
    listed = {str(image): "test" if i in (0, 5, 7) else "train" for i, image in enumerate(ids)}
    dataset = frozen(store, split=SplitSpec(method=Method.GIVEN, given=listed), allow_leaks=True)
    assert dataset.findings
    got = taken(store, written(store, dataset, tmp_path, form))
    assert (got.dataset.id, got.filled) == (dataset.id, 0)


def test_the_file_holds_what_the_store_holds(store: TestStore, tmp_path: Path) -> None:
    ids = fill(store, 9)
    path = written(store, frozen(store), tmp_path, Format.NPZ)
    with transaction(store.sessions) as session:
        stored = vectors.copy_out(session, store.feature_set(), regions_of(session, ids))
    with np.load(path) as arrays:
        order = {image: row for row, image in enumerate(arrays["image_ids"].tolist())}
        rows = [order[str(image)] for image in ids]
        assert arrays["avg"][rows].tobytes() == stored.avg.tobytes()
        assert arrays["max"][rows].tobytes() == stored.max.tobytes()
        assert arrays["sha256"].tolist() == sorted(arrays["sha256"].tolist())


def test_images_that_the_store_has_not_are_refused_or_left_out(
    store: TestStore, other: TestStore, tmp_path: Path
) -> None:
    fill(store, 10)
    fill(other, 7)
    path = written(store, frozen(store), tmp_path, Format.NPZ)
    with pytest.raises(Conflict, match=r"3 of 10 images are not in this store, such as [0-9a-f]{64}.*penumbra import"):
        taken(other, path)
    assert other.scalar("SELECT count(*) FROM dataset") == 0
    got = taken(other, path, skip_unknown=True)
    assert (got.skipped, got.filled, got.dataset.findings["skipped"]) == (3, 0, 3)
    assert sum(sum(split.values()) for split in got.dataset.counts.values()) == 7


def test_a_file_of_which_the_store_has_no_image_makes_no_dataset(
    store: TestStore, other: TestStore, tmp_path: Path
) -> None:
    fill(store, 4)
    path = written(store, frozen(store), tmp_path, Format.NPZ)
    with pytest.raises(InvalidInput):
        taken(other, path, skip_unknown=True)


@FORMS
def test_stored_vectors_that_are_not_the_file_s_are_refused(
    store: TestStore, other: TestStore, tmp_path: Path, form: Format
) -> None:
    fill(store, 10)
    ids = fill(other, 10, embedded=False)
    avg, max_ = vectors_like(other, 10)
    avg[3, 100] = np.nextafter(avg[3, 100], np.float32(2))
    embed_both(other, ids[1:], avg[1:], max_[1:])
    with pytest.raises(Conflict, match="1 stored vectors are not the file's"):
        taken(other, written(store, frozen(store), tmp_path, form))
    assert other.scalar("SELECT count(*) FROM embedding") == 9


def test_vectors_of_an_unknown_feature_set_are_not_mixed_in(store: TestStore, other: TestStore, tmp_path: Path) -> None:
    fill(store, 6)
    fill(other, 6, embedded=False)
    path = written(store, frozen(store), tmp_path, Format.PARQUET)
    with transaction(other.sessions) as session:
        session.execute(text("UPDATE feature_set SET digest = :digest"), {"digest": "0" * 64})
    with pytest.raises(MixedFeatureSets, match="run its extractor here first"):
        taken(other, path)


def test_a_task_with_other_classes_or_none_is_refused(store: TestStore, other: TestStore, tmp_path: Path) -> None:
    fill(store, 6)
    fill(other, 6)
    path = written(store, frozen(store), tmp_path, Format.NPZ)
    with transaction(other.sessions) as session:
        session.execute(text("UPDATE task SET positive = 'empty' WHERE name = :task"), {"task": TASK})
    with pytest.raises(InvalidInput, match="positive: empty"):
        taken(other, path)
    with transaction(other.sessions) as session:
        session.execute(text("DELETE FROM label"))
        for table in ("prediction", "promotion", "job", "head"):
            session.execute(text(f"DELETE FROM {table}"))
        session.execute(text("DELETE FROM task WHERE name = :task"), {"task": TASK})
    with pytest.raises(InvalidInput, match="no task empty-container"):
        taken(other, path)


def test_a_dataset_that_lost_rows_is_not_exported(store: TestStore, tmp_path: Path) -> None:
    ids = fill(store, 10)
    dataset = frozen(store)
    delete(store, ids[:2])
    with pytest.raises(Conflict, match="2 of 10 rows of dataset port@1 were deleted; freeze it again"):
        written(store, dataset, tmp_path, Format.PARQUET)


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("Dear sir")
    with pytest.raises(InvalidInput, match="neither Parquet nor"):
        dataset_import.read(path)


def test_a_file_may_be_given_another_name(store: TestStore, tmp_path: Path) -> None:
    fill(store, 6)
    path = written(store, frozen(store), tmp_path, Format.NPZ)
    assert taken(store, path, name="harbour").dataset.full_name == "harbour@1"
    with pytest.raises(InvalidInput, match="is no name"):
        taken(store, path, name="Port")
