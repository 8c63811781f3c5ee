"""Training as the database sees it: a request, a labelled matrix, a candidate head version."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import numpy as np
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from app import jobs, vectors
from app.errors import NotTrainable, Unavailable
from app.heads.table import TrainingTable
from app.models import FeatureSet, Head, Job, Kind, Stage, Task
from app.services import audit, tasks
from app.services.filters import EFFECTIVE_LABEL


def request(
    session: Session, task_name: str, feature_set: FeatureSet, recipe: dict[str, Any], *, author: str
) -> tuple[Job, Head]:
    """Queue the training of a new head version.

    Raise NotTrainable when labels of a class are missing, InvalidInput for a weight of no class of the task.
    """
    task = tasks.named(session, task_name, lock=True)
    _check_class_weight(task, recipe)
    _check_labels(session, task, feature_set)
    last = session.scalar(select(func.max(Head.version)).where(Head.task == task_name)) or 0
    head = Head(
        task=task_name, version=last + 1, stage=Stage.TRAINING, feature_set_id=feature_set.id,
        algorithm=recipe["algorithm"], recipe=recipe, author=author,
    )  # fmt: skip
    session.add(head)
    session.flush()
    job_id = jobs.enqueue_for_head(session, Kind.TRAIN, head.id, feature_set.id)
    audit.record(session, author, "head.train", "head", head.id, task=task_name, version=head.version, recipe=recipe)
    return session.get_one(Job, job_id), head


def load(session: Session, head: Head) -> TrainingTable:
    """The labelled vectors of a head's task and feature set; the subject, or else the image, is the group.

    Raise NotTrainable when they cannot train a head, Unavailable when images vanished while they were read.
    """
    feature_set = session.get_one(FeatureSet, head.feature_set_id)
    task = session.get_one(Task, head.task)
    rows = session.execute(
        text(
            f"""
            SELECT r.id, l.class_name, image.id::text AS image_id, coalesce(image.subject, image.id::text) AS subject
            FROM ({EFFECTIVE_LABEL}) l JOIN image ON image.id = l.image_id
            JOIN region r ON r.image_id = image.id
            JOIN embedding e ON e.region_id = r.id AND e.feature_set_id = :feature_set AND e.augmentation = 0
            ORDER BY r.id
            """
        ),
        {"task": task.name, "feature_set": feature_set.id},
    ).all()
    stored = vectors.copy_out(session, feature_set, [row.id for row in rows])
    if stored.region_ids.tolist() != [row.id for row in rows]:
        raise Unavailable("Images were deleted while the training matrix was read; it will be read again.")
    return TrainingTable(
        task=task.name, classes=tuple(task.classes), positive=task.positive,
        feature_set=feature_set.digest, feature_set_name=feature_set.name, avg=stored.avg, max=stored.max,
        y=np.array([task.classes.index(row.class_name) for row in rows]),
        groups=np.array([row.subject for row in rows]), image_ids=tuple(row.image_id for row in rows),
    )  # fmt: skip


def complete(
    session: Session, head_id: UUID, artifact: bytes, *, threshold: float, report: dict[str, Any], card: str
) -> Head:
    """Turn a training head into a candidate with its artifact, in the transaction that ends the job."""
    head = session.get_one(Head, head_id, with_for_update=True)
    head.artifact, head.threshold, head.report, head.card = artifact, threshold, report, card
    head.stage, head.trained_at = Stage.CANDIDATE, datetime.now(UTC)
    audit.record(session, head.author, "head.trained", "head", head_id, task=head.task, version=head.version)
    return head


def abandon(session: Session, head_id: UUID) -> None:
    """Mark a head whose training failed or was cancelled; its version number stays taken."""
    head = session.get_one(Head, head_id, with_for_update=True)
    if head.stage == Stage.TRAINING:
        head.stage = Stage.FAILED


def _check_class_weight(task: Task, recipe: dict[str, Any]) -> None:
    if isinstance(weights := recipe.get("class_weight"), dict):
        for class_name in weights:
            tasks.check_class(task, class_name)


def _check_labels(session: Session, task: Task, feature_set: FeatureSet) -> None:
    counts = {
        row.class_name: row.n
        for row in session.execute(
            text(
                f"""
                SELECT l.class_name, count(*) AS n FROM ({EFFECTIVE_LABEL}) l
                JOIN region r ON r.image_id = l.image_id
                JOIN embedding e ON e.region_id = r.id AND e.feature_set_id = :feature_set
                    AND e.augmentation = 0
                GROUP BY 1
                """
            ),
            {"task": task.name, "feature_set": feature_set.id},
        )
    }
    missing = [name for name in task.classes if not counts.get(name)]
    if missing:
        raise NotTrainable(
            f"Task {task.name} has no labelled, extracted image of class {', '.join(missing)} in feature set "
            f"{feature_set.name}; import or label some, and wait for their extraction."
        )
