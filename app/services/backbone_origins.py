"""What a trained network has seen: by it, figures on held-out rows are refused or read with care."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import text
from sqlalchemy.orm import Session

from app.errors import Conflict
from app.models import BackboneTraining, Dataset, FeatureSet, Split


@dataclass(frozen=True)
class Seen:
    """How many images and subjects of some rows a network learned from, or was stopped and chosen by."""

    images: int
    subjects: int


def told(training: BackboneTraining, parent: FeatureSet, dataset: Dataset, report: dict[str, Any]) -> dict[str, Any]:
    """What a feature set says of its making: `datasets` are all whose training and validation rows it has seen."""
    scratch = training.recipe["scratch"]
    before = [] if scratch else parent.origin.get("datasets", [])
    return {
        "kind": "from-scratch" if scratch else "fine-tuned",
        "training": training.name,
        "task": training.task,
        "architecture": training.recipe["architecture"],
        "parent": None if scratch else parent.name,
        "dataset": dataset.full_name,
        "dataset_digest": dataset.digest,
        "datasets": [*before, str(dataset.id)],
        "rows": report["rows"],
        "subjects": report["subjects"],
        "best_epoch": report["best_epoch"],
    }


def seen(session: Session, feature_set: FeatureSet, dataset: Dataset, split: Split) -> Seen:
    """How much of a dataset's split the network behind a feature set has seen."""
    learned = feature_set.origin.get("datasets", [])
    if not learned:
        return Seen(0, 0)
    row = session.execute(
        text(
            """
            WITH learned AS (
                SELECT sha256, subject FROM dataset_row
                WHERE dataset_id = ANY (CAST(:learned AS uuid[])) AND split IN ('train', 'validation'))
            SELECT count(DISTINCT h.sha256) FILTER (WHERE h.sha256 IN (SELECT sha256 FROM learned)) AS images,
                count(DISTINCT h.subject) FILTER (WHERE h.subject IN (SELECT subject FROM learned)) AS subjects
            FROM dataset_row h WHERE h.dataset_id = :held AND h.split = :split
            """
        ),
        {"learned": learned, "held": dataset.id, "split": split},
    ).one()
    return Seen(row.images, row.subjects)


def seen_regions(session: Session, feature_set_ids: Sequence[int]) -> NDArray[np.int64]:
    """Regions of the images that the networks behind feature sets learned from, or were chosen by."""
    rows = session.scalars(
        text(
            """
            SELECT DISTINCT r.id FROM feature_set fs
            CROSS JOIN LATERAL jsonb_array_elements_text(fs.origin -> 'datasets') AS learned (id)
            JOIN dataset_row d ON d.dataset_id = CAST(learned.id AS uuid) AND d.split IN ('train', 'validation')
            JOIN image ON image.sha256 = d.sha256 JOIN region r ON r.image_id = image.id
            WHERE fs.id = ANY (:feature_sets) AND jsonb_exists(fs.origin, 'datasets')
            """
        ),
        {"feature_sets": list(feature_set_ids)},
    )
    return np.array(list(rows), np.int64)


def check_test_rows(session: Session, feature_set: FeatureSet, dataset: Dataset) -> None:
    """Raise Conflict when a network has learned from images that a dataset would test on."""
    found = seen(session, feature_set, dataset, Split.TEST)
    if found.images:
        raise Conflict(
            f"The network of feature set {feature_set.name} was trained on {found.images:,} of the test images of "
            f"{dataset.full_name}, so a test on them tells nothing. Freeze the rows with the splits that it was "
            f"trained under: --like {feature_set.origin['dataset']}."
        )


def notes(session: Session, feature_set: FeatureSet, dataset: Dataset) -> list[str]:
    """What a report on a dataset's rows must say of the network behind their vectors."""
    origin = feature_set.origin
    if not origin.get("datasets"):
        return []
    said = []
    learned = seen(session, feature_set, dataset, Split.TRAIN)
    made = "trained" if origin["kind"] == "from-scratch" else "fine-tuned"
    if learned.images:
        said.append(
            f"The network of feature set {feature_set.name} was itself {made} on labels of {learned.images:,} of the "
            f"training images (dataset {origin['dataset']}): out-of-fold figures, and a threshold chosen by them, are "
            "too good, and the figure to trust is that of test rows, which it never saw."
        )
    held = seen(session, feature_set, dataset, Split.TEST)
    if held.subjects:
        said.append(
            f"That network learned from other images of {held.subjects:,} of the test subjects: figures on test rows "
            "are too good."
        )
    return said
