"""Frozen datasets and requested copies, as the tests of augmentation need them."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import insert, text

from app.db import transaction
from app.models import Dataset, DatasetRow
from app.models.ids import uuid7
from app.services import augmentation
from tests.conftest import TestStore
from tests.integration.rows import regions_of


def frozen(
    store: TestStore,
    image_ids: Sequence[UUID],
    splits: Sequence[str] | str = "train",
    *,
    task: str = "empty-container",
    name: str = "port",
) -> Dataset:
    """A dataset of images, in one split or in one each."""
    splits = [splits] * len(image_ids) if isinstance(splits, str) else splits
    feature_set = store.feature_set()
    with transaction(store.sessions) as session:
        dataset = Dataset(
            id=uuid7(), name=name, version=1, task=task, feature_set_id=feature_set.id, classes=["empty", "loaded"],
            positive="loaded", digest="0" * 64, author="test",
        )  # fmt: skip
        session.add(dataset)
        session.flush()
        rows = [
            {
                "dataset_id": dataset.id, "region_id": region, "image_id": image, "sha256": bytes(32),
                "class_name": ("empty", "loaded")[number % 2], "subject": str(number), "split": split,
            }
            for number, (region, image, split) in enumerate(
                zip(regions_of(session, image_ids), image_ids, splits, strict=True)
            )
        ]  # fmt: skip
        session.execute(insert(DatasetRow), rows)
    return dataset


def ask(store: TestStore, dataset: Dataset, recipe: str = "soft", copies: int = 2) -> augmentation.Progress:
    with transaction(store.sessions) as session:
        return augmentation.request(session, dataset, recipe, copies, author="test")


def look(store: TestStore, dataset: Dataset, recipe: str = "soft") -> augmentation.Progress:
    with transaction(store.sessions) as session:
        return augmentation.of_recipe(session, dataset, recipe)


def stored_codes(store: TestStore) -> dict[UUID, list[int]]:
    """The codes of each image's vectors, ascending."""
    with transaction(store.sessions) as session:
        rows = session.execute(
            text(
                "SELECT r.image_id, array_agg(e.augmentation ORDER BY e.augmentation) AS codes FROM embedding e "
                "JOIN region r ON r.id = e.region_id GROUP BY 1"
            )
        )
        return {row.image_id: list(row.codes) for row in rows}
