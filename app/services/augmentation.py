"""Augmented copies of a dataset's training rows: asked for, made by the extraction worker, loaded for training.

What is to be made is derived from what is missing: a training row of a dataset with a request whose copies are not
all stored. Rows of the other splits have no way in.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from sqlalchemy import bindparam, select, text
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session

from app import vectors
from app.claims import Priority
from app.db import JOBS_CHANNEL, notify
from app.errors import InvalidInput, NotFound, NotTrainable
from app.heads.table import AugmentedRows
from app.imaging import augment
from app.models import AugmentationRequest, Dataset, DatasetRow, FeatureSet, Kind, Split, Task
from app.services import audit

_MOST_AT_ONCE = 10_000
_SUFFIX = "-mirrored"

# The rows that a request is about, each with the number of its stored copies: the one place that says `train`.
_ROWS = """
    SELECT a.id AS request_id, a.dataset_id, a.recipe, a.copies, d.feature_set_id, r.image_id,
        (SELECT count(*) FROM embedding e WHERE e.region_id = r.id AND e.feature_set_id = d.feature_set_id
            AND e.augmentation BETWEEN known.base + 1 AND known.base + a.copies) AS stored
    FROM augmentation_request a
    JOIN unnest(CAST(:recipes AS text[]), CAST(:bases AS int[])) AS known (recipe, base) ON known.recipe = a.recipe
    JOIN dataset d ON d.id = a.dataset_id
    JOIN dataset_row row ON row.dataset_id = a.dataset_id AND row.split = 'train'
    JOIN region r ON r.id = row.region_id
"""
_KNOWN: dict[str, Any] = {
    "recipes": list(augment.AUGMENTATIONS), "bases": [known.base for known in augment.AUGMENTATIONS.values()],
}  # fmt: skip
_JOB = "FROM job j WHERE j.image_id = w.image_id AND j.feature_set_id = w.feature_set_id AND j.augmentation = w.recipe"


@dataclass(frozen=True)
class Progress:
    """How far a request is: `rows` training rows, of which `done` have all their copies and `failed` (parked or
    cancelled) will stay without; `present` copies are stored."""

    recipe: str
    mirrored: bool
    copies: int
    rows: int
    done: int
    failed: int
    present: int
    author: str
    created_at: datetime

    @property
    def pending(self) -> int:
        """Rows that are still to be done."""
        return self.rows - self.done - self.failed

    @property
    def codes(self) -> range:
        return augment.codes(self.recipe, self.mirrored, self.copies)


def request(session: Session, dataset: Dataset, recipe: str, copies: int, *, author: str) -> Progress:
    """Ask for copies of a dataset's training rows. Asked again, the larger number of copies counts.

    Flips are made where the task's scans may be mirrored. What is stored stays, what was cancelled is queued again.
    Raise InvalidInput for an unknown recipe, a number of copies, or a dataset without training rows.
    """
    how = _variant(session, dataset, recipe)
    how.codes(copies)
    wanted = upsert(AugmentationRequest).values(
        dataset_id=dataset.id, recipe=how.name, copies=copies, author=author
    )  # fmt: skip
    larger = {"copies": text("greatest(augmentation_request.copies, excluded.copies)")}
    session.execute(wanted.on_conflict_do_update(index_elements=["dataset_id", "recipe"], set_=larger))
    _queue(session, "a.dataset_id = :dataset AND a.recipe = :recipe", {"dataset": dataset.id, "recipe": how.name})
    audit.record(session, author, "augmentation.request", "dataset", dataset.full_name, recipe=how.name, copies=copies)
    found = of_recipe(session, dataset, recipe)
    if not found.rows:
        raise InvalidInput(f"Dataset {dataset.full_name} has no training row to copy; freeze one that has.")
    return found


def withdraw(session: Session, dataset: Dataset, recipe: str, *, author: str) -> None:
    """Forget a request and cancel its waiting jobs, unless another dataset asks for the same. Stored copies stay.

    Raise NotFound when it was not asked for.
    """
    found = of_recipe(session, dataset, recipe)
    how = augment.named(found.recipe, mirrored=found.mirrored)
    given = {"dataset": dataset.id, "recipe": how.name, "feature_set": dataset.feature_set_id}
    session.execute(text("DELETE FROM augmentation_request WHERE dataset_id = :dataset AND recipe = :recipe"), given)
    session.execute(
        text(
            f"""
            WITH wanted AS ({_ROWS})
            UPDATE job SET state = 'cancelled', lease_token = NULL, lease_until = NULL, finished_at = now()
            WHERE kind = 'augment' AND state IN ('queued', 'running') AND augmentation = :recipe
            AND feature_set_id = :feature_set AND NOT EXISTS (
                SELECT FROM wanted w WHERE w.image_id = job.image_id AND w.feature_set_id = :feature_set
                AND w.recipe = :recipe)
            """
        ),
        {**given, **_KNOWN},
    )
    audit.record(session, author, "augmentation.withdraw", "dataset", dataset.full_name, recipe=how.name)


def queue_missing(session: Session) -> int:
    """Queue what any request still misses and nobody cancelled; how many jobs were made."""
    extracted = "d.feature_set_id IN (SELECT id FROM feature_set WHERE stage IN ('live', 'filling'))"
    return _queue(session, extracted, {}, settled=("queued", "running", "failed", "cancelled"), limit=_MOST_AT_ONCE)


def _queue(
    session: Session,
    condition: str,
    given: dict[str, Any],
    *,
    settled: Sequence[str] = ("queued", "running", "failed"),
    limit: int | None = None,
) -> int:
    """Queue rows that miss copies and have no `settled` job for as many; a waiting job for fewer gets more."""
    made = session.execute(
        text(
            f"""
            INSERT INTO job (id, kind, image_id, feature_set_id, augmentation, copies, priority)
            SELECT gen_random_uuid(), 'augment', w.image_id, w.feature_set_id, w.recipe, w.copies,
                {int(Priority.COPIES)}
            FROM (
                SELECT image_id, feature_set_id, recipe, max(copies) AS copies FROM ({_ROWS} WHERE {condition}) found
                WHERE stored < copies GROUP BY 1, 2, 3) w
            WHERE NOT EXISTS (SELECT {_JOB} AND j.state IN :settled AND j.copies >= w.copies)
            LIMIT :limit
            ON CONFLICT (image_id, feature_set_id, augmentation)
                WHERE kind = 'augment' AND state IN ('queued', 'running', 'failed')
                DO UPDATE SET copies = excluded.copies WHERE job.copies < excluded.copies
            RETURNING id
            """
        ).bindparams(bindparam("settled", expanding=True)),
        {**_KNOWN, **given, "settled": list(settled), "limit": limit},
    ).all()
    if made:
        notify(session, JOBS_CHANNEL, Kind.AUGMENT)
    return len(made)


def progress(session: Session, dataset: Dataset) -> list[Progress]:
    """How far each request of a dataset is."""
    rows = session.execute(
        text(
            f"""
            SELECT a.recipe, a.copies, a.author, a.created_at, count(w.image_id) AS rows,
                count(*) FILTER (WHERE w.stored = a.copies) AS done, coalesce(sum(w.stored), 0) AS present,
                count(*) FILTER (WHERE w.stored < a.copies
                    AND EXISTS (SELECT {_JOB} AND j.state IN ('failed', 'cancelled'))
                    AND NOT EXISTS (SELECT {_JOB} AND j.state IN ('queued', 'running'))) AS failed
            FROM augmentation_request a
            LEFT JOIN ({_ROWS} WHERE a.dataset_id = :dataset) w ON w.request_id = a.id
            WHERE a.dataset_id = :dataset GROUP BY a.id ORDER BY a.recipe
            """
        ),
        {"dataset": dataset.id, **_KNOWN},
    )
    return [
        Progress(
            row.recipe.removesuffix(_SUFFIX), row.recipe.endswith(_SUFFIX), row.copies, row.rows, row.done,
            row.failed, int(row.present), row.author, row.created_at,
        )
        for row in rows
    ]  # fmt: skip


def of_recipe(session: Session, dataset: Dataset, recipe: str) -> Progress:
    """How far the request for `soft` or `strong` is. Raise InvalidInput for another recipe, NotFound without one."""
    how = _variant(session, dataset, recipe)
    for found in progress(session, dataset):
        if (found.recipe, found.mirrored) == (recipe, how.mirrored):
            return found
    raise NotFound(
        f"Nobody has asked for {recipe} copies of {dataset.full_name}; "
        f"say penumbra augment {dataset.full_name} --recipe {recipe}."
    )


def check_ready(session: Session, dataset: Dataset, recipe: str) -> Progress:
    """The request for `recipe`, all of whose copies are stored but for rows that failed. Raise NotTrainable."""
    try:
        found = of_recipe(session, dataset, recipe)
    except NotFound as error:
        raise NotTrainable(error.message) from error
    if found.pending or not found.present:
        raise NotTrainable(
            f"{found.rows - found.done} of {found.rows} training rows of {dataset.full_name} have no {recipe} copies "
            f"yet ({found.failed} of them failed or were cancelled); wait for the extraction worker, then train."
        )
    return found


def load(session: Session, dataset: Dataset, recipe: str, region_ids: Sequence[int]) -> AugmentedRows:
    """The copies of training rows; `of` are positions in `region_ids`, given in any order.

    Raise InvalidInput for a region that is no training row of the dataset, NotTrainable while copies are missing.
    """
    codes = check_ready(session, dataset, recipe).codes
    feature_set = session.get_one(FeatureSet, dataset.feature_set_id)
    wanted = np.asarray(region_ids, np.int64)
    learned_from = select(DatasetRow.region_id).where(
        DatasetRow.dataset_id == dataset.id, DatasetRow.split == Split.TRAIN
    )
    strangers = np.setdiff1d(wanted, np.array(session.scalars(learned_from).all(), np.int64))
    if len(strangers):
        raise InvalidInput(
            f"Region {strangers[0]} is no training row of {dataset.full_name}; only those have augmented copies."
        )
    rows, _ = vectors.copy_out_augmented(session, feature_set, wanted.tolist(), codes)
    order = np.argsort(wanted, kind="stable")
    of = order[np.searchsorted(wanted, rows.region_ids, sorter=order)]
    return AugmentedRows(rows.avg, rows.max, of)


def _variant(session: Session, dataset: Dataset, recipe: str) -> augment.Augmentation:
    return augment.named(recipe, mirrored=session.get_one(Task, dataset.task).mirrored)
