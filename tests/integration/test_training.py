"""What a training is asked for on, and what it is given: the rows of a frozen dataset."""

from typing import Any

import numpy as np
import pytest

from app.db import transaction
from app.errors import InvalidInput, NotTrainable
from app.heads.recipe import HeadRecipe
from app.heads.table import TrainingTable
from app.models import Dataset, Head
from app.services import datasets, registry, tasks, training
from tests.conftest import TestStore
from tests.integration.labelled import TASK, delete, fill, label_all


def ask(store: TestStore, task: str = TASK, **recipe: Any) -> Head:
    """Request a training on all that is labelled."""
    with transaction(store.sessions) as session:
        given = HeadRecipe.from_json(recipe).to_json()
        return training.request(session, task, store.feature_set(), given, author="test")[1]


def dataset_of(store: TestStore, head: Head) -> Dataset:
    with transaction(store.sessions) as session:
        assert head.dataset_id is not None
        return datasets.get(session, head.dataset_id)


def load(store: TestStore, head: Head) -> TrainingTable:
    with transaction(store.sessions) as session:
        return training.load(session, registry.get(session, head.id))


def test_a_training_freezes_what_is_labelled(store: TestStore) -> None:
    fill(store, 20)
    dataset = dataset_of(store, ask(store))
    assert dataset.full_name == f"{TASK}-training@1"
    assert dataset.counts["train"] == {"empty": 10, "loaded": 10}
    assert sum(dataset.counts["test"].values()) == 0


def test_a_second_training_on_the_same_labels_uses_the_same_dataset(store: TestStore) -> None:
    fill(store, 20)
    assert ask(store).dataset_id == ask(store).dataset_id


def test_a_label_more_is_a_new_version_of_the_dataset(store: TestStore) -> None:
    ids = fill(store, 20)
    ask(store)
    label_all(store, {ids[0]: "loaded"}, source="review")
    dataset = dataset_of(store, ask(store))
    assert (dataset.version, dataset.counts["train"]) == (2, {"empty": 9, "loaded": 11})


def test_a_training_gets_its_rows_as_they_were_frozen(store: TestStore) -> None:
    ids = fill(store, 20, per_subject=2)
    head = ask(store)
    label_all(store, dict.fromkeys(ids, "loaded"), source="review")
    fill(store, 4, start=20)
    table = load(store, head)
    assert table.class_counts == {"empty": 10, "loaded": 10}
    assert table.image_ids is not None
    assert [str(i) for i in ids] == list(table.image_ids)
    assert len(set(table.group_codes.tolist())) == 10
    assert table.digest == dataset_of(store, head).digest
    assert table.avg.dtype == table.max.dtype == np.float32
    assert set(table.slices) == {"source", "image size", "media type"}


def test_a_training_whose_images_were_deleted_says_how_many(store: TestStore) -> None:
    ids = fill(store, 20)
    head = ask(store)
    delete(store, ids[:3])
    with pytest.raises(NotTrainable, match=f"3 of 20 rows of dataset {TASK}-training@1 were deleted; freeze it again"):
        load(store, head)


def test_a_training_on_a_dataset_that_lost_test_rows_is_refused_at_once(store: TestStore) -> None:
    ids = fill(store, 20)
    with transaction(store.sessions) as session:
        dataset = datasets.freeze(session, "port", TASK, store.feature_set(), author="test")
        tested = datasets.rows(session, dataset, limit=1, split="test")[0].image_id
    assert tested in ids
    delete(store, [tested])
    with transaction(store.sessions) as session, pytest.raises(NotTrainable, match="1 of 20 rows of dataset port@1"):
        training.request(session, TASK, store.feature_set(), {}, author="test", dataset=dataset)


def test_test_rows_are_never_among_the_rows_of_a_training(store: TestStore) -> None:
    fill(store, 40)
    with transaction(store.sessions) as session:
        dataset = datasets.freeze(session, "port", TASK, store.feature_set(), author="test")
        held = {str(row.image_id) for row in datasets.rows(session, dataset, limit=99, split="test")}
        _, head = training.request(session, TASK, store.feature_set(), {}, author="test", dataset=dataset)
    table = load(store, head)
    assert held
    assert held.isdisjoint(table.image_ids or ())
    assert len(table.y) == 40 - len(held)


def test_an_image_deleted_and_sent_again_is_frozen_anew(store: TestStore) -> None:
    ids = fill(store, 20)
    first = ask(store)
    delete(store, ids[:1])
    fill(store, 1)
    second = ask(store)
    assert dataset_of(store, first).digest == dataset_of(store, second).digest
    assert dataset_of(store, second).version == 2
    assert len(load(store, second).y) == 20


def test_a_task_with_labels_of_one_class_cannot_be_trained(store: TestStore) -> None:
    ids = fill(store, 4)
    label_all(store, dict.fromkeys(ids, "loaded"), source="review")
    with pytest.raises(NotTrainable, match="no training row of class empty"):
        ask(store)


def test_a_task_without_labels_cannot_be_trained(store: TestStore) -> None:
    with pytest.raises(NotTrainable, match="label some"):
        ask(store)


def test_a_head_is_not_trained_on_another_task_s_dataset(store: TestStore) -> None:
    fill(store, 8)
    dataset = dataset_of(store, ask(store))
    with transaction(store.sessions) as session, pytest.raises(InvalidInput, match="is of task empty-container"):
        training.request(session, "pneumonia", store.feature_set(), {}, author="test", dataset=dataset)


def test_a_long_task_name_has_a_dataset_name_that_fits(store: TestStore) -> None:
    task = "t" * 64
    with transaction(store.sessions) as session:
        tasks.create(session, task, "Is it?", ["empty", "loaded"], "loaded", author="test")
    ids = fill(store, 4)
    label_all(store, {image: ("empty", "loaded")[i % 2] for i, image in enumerate(ids)}, task=task)
    name = dataset_of(store, ask(store, task)).name
    assert len(name) <= 64
    assert name.endswith("-training")


def test_a_head_asked_for_before_there_were_datasets_gets_one(store: TestStore) -> None:
    fill(store, 8)
    head = ask(store)
    with transaction(store.sessions) as session:
        registry.get(session, head.id).dataset_id = None
    assert len(load(store, head).y) == 8
    with transaction(store.sessions) as session:
        assert registry.get(session, head.id).dataset_id == head.dataset_id
