"""The same labelled images in another feature set: same classes, same subjects, same splits, other vectors."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.datasets.content import Entry
from app.errors import NotTrainable
from app.models import Dataset, FeatureSet, Split, Task
from app.services import dataset_versions
from app.services.filters import EFFECTIVE_LABEL


class Labelled(NamedTuple):
    """An image with the class that it was given, and the split that it is in."""

    image_id: UUID
    sha256: bytes
    class_name: str
    subject: str
    split: str


class Place(NamedTuple):
    """Where a feature set has an image's vectors."""

    region_id: int
    ordinal: int


@dataclass(frozen=True)
class Shared:
    """Images that several feature sets all describe, and where. `lacking` counts, by set, those that it does not.

    Left out are `missing` images that one set or another lacks, and `unclear` ones, positive with several regions in
    some set: nobody said which of them is meant.
    """

    images: list[Labelled]
    places: dict[int, dict[UUID, list[Place]]]
    lacking: dict[int, int]
    missing: int
    unclear: int


def of_dataset(session: Session, dataset: Dataset) -> list[Labelled]:
    """The images of a dataset, as they were frozen."""
    rows = session.execute(
        text(
            "SELECT DISTINCT ON (image_id) image_id, sha256, class_name, subject, split FROM dataset_row "
            "WHERE dataset_id = :id ORDER BY image_id, ordinal"
        ),
        {"id": dataset.id},
    )
    return [Labelled(row.image_id, bytes(row.sha256), *row[2:]) for row in rows]


def of_task(session: Session, task: Task) -> list[Labelled]:
    """Every labelled image of a task by the label that counts, all to train on."""
    rows = session.execute(
        text(
            f"""
            SELECT image.id, image.sha256, l.class_name, coalesce(image.subject, encode(image.sha256, 'hex')) AS subject
            FROM ({EFFECTIVE_LABEL}) l JOIN image ON image.id = l.image_id ORDER BY image.id
            """
        ),
        {"task": task.name},
    )
    return [Labelled(row.id, bytes(row.sha256), row.class_name, row.subject, Split.TRAIN) for row in rows]


def shared(session: Session, images: Sequence[Labelled], feature_sets: Iterable[FeatureSet], positive: str) -> Shared:
    """Those of the images that all of the sets describe, and where. Raise NotTrainable when there is none."""
    ids = [one.image_id for one in images]
    places = {one.id: _places(session, one, ids) for one in feature_sets}
    lacking = {key: len(ids) - len(found) for key, found in places.items()}
    everywhere = [one for one in images if all(one.image_id in found for found in places.values())]
    clear = [one for one in everywhere if one.class_name != positive or _is_one(places, one.image_id)]
    if not clear:
        raise NotTrainable("No labelled image has vectors in all of these feature sets; fill them first.")
    return Shared(clear, places, lacking, len(ids) - len(everywhere), len(everywhere) - len(clear))


def _is_one(places: Mapping[int, Mapping[UUID, Sequence[Place]]], image_id: UUID) -> bool:
    return all(len(found[image_id]) == 1 for found in places.values())


def _places(session: Session, feature_set: FeatureSet, image_ids: Sequence[UUID]) -> dict[UUID, list[Place]]:
    rows = session.execute(
        text(
            """
            SELECT r.image_id, r.id, r.ordinal FROM region r
            JOIN embedding e ON e.region_id = r.id AND e.feature_set_id = :fs AND e.augmentation = 0
            WHERE r.image_id = ANY (:ids) AND r.cut = :cut ORDER BY r.image_id, r.ordinal
            """
        ),
        {"fs": feature_set.id, "ids": list(image_ids), "cut": feature_set.cut},
    )
    found: dict[UUID, list[Place]] = {}
    for row in rows:
        found.setdefault(row.image_id, []).append(Place(row.id, row.ordinal))
    return found


def freeze(
    session: Session, name: str, task: Task, feature_set: FeatureSet, found: Shared, *, author: str,
    base: Dataset | None = None,
) -> Dataset:  # fmt: skip
    """Freeze shared images in one of their sets: a version of `name`, or the one that says the same already.

    `base`: the dataset that they were taken from; what was found in it is as true of its copy.
    """
    places, entries = [], []
    for one in found.images:
        for region_id, ordinal in found.places[feature_set.id][one.image_id]:
            places.append((region_id, one.image_id))
            entries.append(Entry(one.sha256, ordinal, one.class_name, one.subject, one.split))
    return dataset_versions.keep(
        session, name, task, feature_set, places, entries, author=author,
        selection={"as": base.full_name} if base else {}, split={"method": "as" if base else "none"},
        findings=dict(base.findings) if base else {},
    )  # fmt: skip
