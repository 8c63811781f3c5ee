"""Frozen datasets: what they hold, what crosses their splits, what becomes of them."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app import vectors
from app.datasets.splits import Method, SplitSpec
from app.db import transaction
from app.errors import Conflict, InvalidInput, NotFound
from app.models import Dataset
from app.services import datasets
from app.services.dataset_rows import Selection
from app.services.filters import ImageFilter
from tests.conftest import TestStore
from tests.integration.labelled import START, TASK, delete, embed_both, fill, label_all, vectors_like
from tests.integration.rows import add_numbered

BY_IMAGE = SplitSpec(method=Method.STRATIFIED)


def freeze(store: TestStore, name: str = "port", task: str = TASK, **asked: Any) -> Dataset:
    with transaction(store.sessions) as session:
        return datasets.freeze(session, name, task, store.feature_set(), author="test", **asked)


def splits_of(store: TestStore, dataset: Dataset) -> dict[UUID, str]:
    with transaction(store.sessions) as session:
        return {row.image_id: row.split for row in datasets.rows(session, dataset, limit=10_000)}


def given(ids: Sequence[UUID], test: Sequence[UUID], **words: Any) -> SplitSpec:
    listed = {str(image): "test" if image in test else "train" for image in ids}
    return SplitSpec(method=Method.GIVEN, given=listed, **words)


# What is frozen.


def test_a_dataset_is_split_by_subject(store: TestStore) -> None:
    ids = fill(store, 60, per_subject=3)
    dataset = freeze(store)
    splits = splits_of(store, dataset)
    assert all(len({splits[image] for image in ids[i : i + 3]}) == 1 for i in range(0, 60, 3))
    assert dataset.counts == {
        "train": {"empty": 24, "loaded": 24}, "validation": {"empty": 0, "loaded": 0},
        "test": {"empty": 6, "loaded": 6},
    }  # fmt: skip
    assert (dataset.full_name, dataset.task, dataset.findings) == ("port@1", TASK, {})


def test_freezing_the_same_again_gives_the_same_dataset(store: TestStore) -> None:
    fill(store, 20)
    assert freeze(store).id == freeze(store).id
    assert store.scalar("SELECT count(*) FROM dataset") == 1
    assert freeze(store, split=SplitSpec(seed=1)).version == 2


def test_a_dataset_never_changes(store: TestStore) -> None:
    fill(store, 4)
    freeze(store)
    with pytest.raises(DBAPIError, match="dataset"), transaction(store.sessions) as session:
        session.execute(text("UPDATE dataset_row SET split = 'train'"))


def test_two_stores_with_the_same_images_agree_on_the_digest(
    store: TestStore, server: Any, template: str, tmp_path: Any
) -> None:
    from tests.conftest import new_store

    with new_store(server, template, tmp_path / "second") as other:
        fill(other, 5, start=100)
        fill(store, 24)
        fill(other, 24)
        only = Selection(where=ImageFilter(captured_until=START + timedelta(days=50)))
        assert freeze(store, selection=only).digest == freeze(other, selection=only).digest


def test_only_labelled_images_with_vectors_are_frozen(store: TestStore) -> None:
    ids = fill(store, 8)
    unlabelled = add_numbered(store.sessions, 2, start=50)
    embed_both(store, unlabelled, *vectors_like(store, 2, seed=9))
    fill(store, 3, start=20, embedded=False)
    assert set(splits_of(store, freeze(store))) == set(ids)


def test_a_positive_label_of_an_image_with_two_regions_says_nothing_of_either(store: TestStore) -> None:
    ids = fill(store, 8)
    with transaction(store.sessions) as session:  # the first two: an empty and a loaded one
        added = session.execute(
            text(
                "INSERT INTO region (image_id, ordinal, x, y, width, height) "
                "SELECT id, 1, 0, 0, 28, 28 FROM image WHERE id = ANY (:ids) RETURNING id"
            ),
            {"ids": ids[:2]},
        ).all()
        avg, peak = vectors_like(store, 2, seed=77)
        rows = vectors.Rows(np.sort(np.array([row.id for row in added])), avg, peak)
        vectors.copy_in(session, store.feature_set(), rows, engine="test")
    dataset = freeze(store, split=SplitSpec(method=Method.NONE))
    assert dataset.counts["train"] == {"empty": 5, "loaded": 3}
    assert dataset.findings["unclear"] == 1


def test_the_label_that_counts_is_frozen(store: TestStore) -> None:
    ids = fill(store, 8)
    label_all(store, {ids[0]: "loaded"}, source="review")
    label_all(store, {ids[1]: "empty"}, source="declared")
    dataset = freeze(store, split=SplitSpec(method=Method.NONE))
    assert dataset.counts["train"] == {"empty": 3, "loaded": 5}


def test_labels_of_some_sources_can_be_frozen_as_if_there_were_no_others(store: TestStore) -> None:
    ids = fill(store, 8)
    label_all(store, {ids[0]: "loaded"}, source="review")
    everything = SplitSpec(method=Method.NONE)
    raw = freeze(store, selection=Selection(sources=("import",)), split=everything)
    assert raw.counts["train"] == {"empty": 4, "loaded": 4}
    reviewed = freeze(store, "reviewed", selection=Selection(sources=("review",)), split=everything)
    assert reviewed.counts["train"] == {"empty": 0, "loaded": 1}


def test_a_filter_chooses_the_images(store: TestStore) -> None:
    ids = fill(store, 10)
    until = START + timedelta(days=4)
    dataset = freeze(store, selection=Selection(where=ImageFilter(captured_until=until)))
    assert set(splits_of(store, dataset)) == set(ids[:4])
    assert dataset.selection == {"captured_until": until.isoformat()}


def test_a_limit_takes_the_same_sample_each_time(store: TestStore) -> None:
    fill(store, 30)
    sample = freeze(store, selection=Selection(limit=10))
    fill(store, 1, start=200)
    assert sum(sum(split.values()) for split in sample.counts.values()) == 10
    assert set(splits_of(store, sample)) <= set(splits_of(store, freeze(store, "all")))


@pytest.mark.parametrize("filled", [0, 6])
def test_nothing_to_freeze_is_said(store: TestStore, filled: int) -> None:
    if filled:
        fill(store, filled)
    nothing = Selection(where=ImageFilter(source="nowhere"))
    with pytest.raises(InvalidInput, match="widen the selection"):
        freeze(store, selection=nothing)
    assert store.scalar("SELECT count(*) FROM dataset") == 0


def test_rows_of_one_class_are_frozen_and_the_other_is_missed_aloud(store: TestStore) -> None:
    ids = fill(store, 10)
    label_all(store, dict.fromkeys(ids, "empty"), source="review")
    dataset = freeze(store)
    assert dataset.findings["missing"] == {"train": ["loaded"], "test": ["loaded"]}
    assert (
        datasets.notes(dataset) == ["No row of class loaded is in test.", "No row of class loaded is in train."][::-1]
    )


@pytest.mark.parametrize("name", ["", "Port", "a" * 65, "port@1", "-port", "pört"])
def test_a_name_that_cannot_be_written_everywhere_is_refused(store: TestStore, name: str) -> None:
    with pytest.raises(InvalidInput, match="is no name"):
        freeze(store, name)


def test_a_name_belongs_to_one_task(store: TestStore) -> None:
    ids = fill(store, 6)
    label_all(store, {image: ("normal", "pneumonia")[i % 2] for i, image in enumerate(ids)}, task="pneumonia")
    freeze(store)
    with pytest.raises(Conflict, match="belong to task empty-container"):
        freeze(store, task="pneumonia")


def test_a_dataset_is_found_by_name_and_version(store: TestStore) -> None:
    fill(store, 6)
    first, second = freeze(store), freeze(store, split=BY_IMAGE)
    with transaction(store.sessions) as session:
        assert datasets.named(session, "port").id == second.id
        assert datasets.named(session, "port@1").id == first.id
        with pytest.raises(NotFound, match="there are: port"):
            datasets.named(session, "ports")
        with pytest.raises(NotFound):
            datasets.named(session, "port@3")
        for wrong in ("port@", "port@x", "port@1@2", "port@99999999999999999999"):
            with pytest.raises(InvalidInput, match="NAME@VERSION"):
                datasets.named(session, wrong)


# What must not cross the splits.


def test_a_planted_subject_on_both_sides_is_refused(store: TestStore) -> None:
    ids = fill(store, 20, per_subject=2)
    with pytest.raises(Conflict, match=r"1 subject\(s\) .* subject 4: .*--together.*--allow-leaks"):
        freeze(store, split=given(ids, test=[ids[9], *ids[18:]]))
    assert store.scalar("SELECT count(*) FROM dataset") == 0


@pytest.mark.parametrize("how", [BY_IMAGE, SplitSpec(method=Method.TIME)])
def test_subjects_on_both_sides_of_a_split_by_image_or_time_are_refused(store: TestStore, how: SplitSpec) -> None:
    fill(store, 21, per_subject=21)
    with pytest.raises(Conflict, match="on two sides"):
        freeze(store, split=how)


def test_a_leak_that_was_allowed_is_told_for_ever(store: TestStore) -> None:
    ids = fill(store, 20, per_subject=2)
    dataset = freeze(store, split=given(ids, test=[ids[9], *ids[18:]]), allow_leaks=True)
    assert dataset.findings["leaks"] == {"subjects": 1, "rows": 2, "example": "subject 4"}
    assert "1 subjects (2 rows) are in more than one split" in datasets.notes(dataset)[0]


def test_a_subject_is_moved_together_into_the_test_rows(store: TestStore) -> None:
    ids = fill(store, 20, per_subject=2)
    dataset = freeze(store, split=given(ids, test=[ids[9], *ids[18:]]), together=True)
    splits = splits_of(store, dataset)
    assert {image for image, split in splits.items() if split == "test"} == {ids[8], ids[9], ids[18], ids[19]}
    assert dataset.findings["moved"] == 1


def copied(store: TestStore) -> list[UUID]:
    """Forty images of forty subjects; the last one's vectors are those of the first, as another encoder left them."""
    ids = fill(store, 40, embedded=False)
    avg, max_ = vectors_like(store, 40)
    avg[39] = avg[0] * (1 + np.random.default_rng(0).normal(0, 0.005, avg.shape[1])).astype(np.float32)
    embed_both(store, ids, avg, max_)
    return ids


def test_a_duplicated_image_on_the_other_side_is_reported(store: TestStore) -> None:
    copied(store)
    dataset = freeze(store, split=SplitSpec(method=Method.TIME))
    found = dataset.findings["duplicates"]
    assert (found["pairs"], found["worst"][0]["splits"]) == (1, ["train", "test"])
    assert found["worst"][0]["files"] == ["scan-0.png", "scan-39.png"]
    assert found["worst"][0]["cosine"] > 0.999
    assert "1 pairs of rows" in datasets.notes(dataset)[0]


@pytest.mark.parametrize("how", [SplitSpec(method=Method.TIME), SplitSpec(), BY_IMAGE])
def test_a_duplicated_image_is_moved_together(store: TestStore, how: SplitSpec) -> None:
    ids = copied(store)
    dataset = freeze(store, split=how, together=True)
    splits = splits_of(store, dataset)
    assert splits[ids[0]] == splits[ids[39]]
    assert "duplicates" not in dataset.findings


def test_duplicates_are_not_looked_for_when_not_wanted(store: TestStore) -> None:
    copied(store)
    dataset = freeze(store, split=SplitSpec(method=Method.TIME), duplicate_bound=None)
    assert dataset.findings == {}


# Splits that are given.


def test_a_split_is_given_by_id_sha256_or_file_name(store: TestStore) -> None:
    ids = fill(store, 6)
    sha256 = store.scalar("SELECT encode(sha256, 'hex') FROM image WHERE id = :id", id=ids[1])
    listed = {str(ids[0]): "test", str(sha256): "test", "scan-2.png": "validation", "gone.png": "test"}
    dataset = freeze(store, split=SplitSpec(method=Method.GIVEN, given=listed, rest="train"))
    splits = splits_of(store, dataset)
    assert [splits[image] for image in ids[:4]] == ["test", "test", "validation", "train"]
    assert dataset.findings["unmatched"] == 1


def test_rows_that_a_list_leaves_out_are_refused_or_omitted(store: TestStore) -> None:
    ids = fill(store, 6)
    with pytest.raises(InvalidInput, match="no split for 2 of 6 rows"):
        freeze(store, split=given(ids[:4], test=ids[:2]))
    dataset = freeze(store, split=given(ids[:4], test=ids[:2], rest="omit"))
    assert set(splits_of(store, dataset)) == set(ids[:4])


def test_a_list_of_other_images_is_refused(store: TestStore) -> None:
    fill(store, 6)
    with pytest.raises(InvalidInput, match="none of the selected"):
        freeze(store, split=SplitSpec(method=Method.GIVEN, given={"other.png": "test"}, rest="omit"))


def test_a_cleaned_dataset_is_split_as_the_raw_one(store: TestStore) -> None:
    ids = fill(store, 40)
    raw = freeze(store)
    label_all(store, {ids[0]: "loaded", ids[7]: "empty"}, source="review")
    with transaction(store.sessions) as session:
        same = SplitSpec(method=Method.GIVEN, given=datasets.splits_of(session, raw))
    cleaned = freeze(store, "cleaned", split=same)
    assert splits_of(store, cleaned) == splits_of(store, raw)
    assert cleaned.digest != raw.digest


def test_a_dataset_outlives_its_images(store: TestStore) -> None:
    ids = fill(store, 10)
    dataset = freeze(store)
    delete(store, ids[:4])
    assert len(splits_of(store, dataset)) == 10
    assert freeze(store).version == 2


def test_freezing_at_once_numbers_every_content_once(store: TestStore) -> None:
    from concurrent.futures import ThreadPoolExecutor

    fill(store, 30)
    with ThreadPoolExecutor(5) as pool:
        found = list(pool.map(lambda seed: freeze(store, split=SplitSpec(seed=seed % 10)), range(20)))
    assert len({dataset.id for dataset in found}) == len({dataset.digest for dataset in found})
    assert sorted({dataset.version for dataset in found}) == list(range(1, len({d.id for d in found}) + 1))
