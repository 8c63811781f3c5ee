"""The registry of head versions: candidate, live, archived; promotion through a gate; rollback."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session, undefer

from app import jobs, vectors
from app.errors import Conflict, HeadRefused, NotFound
from app.heads.gates import polarity_ok
from app.heads.scoring import Head as Scorer
from app.models import FeatureSet, Head, Kind, Promotion, Region, Stage, Task
from app.services import audit, labelling, tasks

# A gate on more labelled rows than this would cost more than it tells.
_GATE_ROWS = 2_000


@dataclass(frozen=True)
class Promoted:
    head: Head
    previous: Head | None


def versions(session: Session, task: str) -> list[Head]:
    """Every head version of a task, newest first."""
    query = select(Head).options(undefer(Head.report)).where(Head.task == task).order_by(Head.version.desc())
    return list(session.scalars(query))


def get(session: Session, head_id: UUID) -> Head:
    head = session.get(Head, head_id)
    if head is None:
        raise NotFound(f"There is no head {head_id}.")
    return head


def numbered(session: Session, task: str, version: int) -> Head:
    head = session.scalar(select(Head).where(Head.task == task, Head.version == version))
    if head is None:
        raise NotFound(f"Task {task} has no head version {version}.")
    return head


def artifact(session: Session, head_id: UUID) -> bytes:
    """A head's ONNX file. Raise Conflict while it has none."""
    content = get(session, head_id).artifact
    if content is None:
        raise Conflict(f"Head {head_id} has no artifact; its training has not succeeded.")
    return content


def report(session: Session, head_id: UUID) -> dict[str, Any]:
    head = get(session, head_id)
    if head.report is None:
        raise Conflict(f"Head {head_id} has no report; its training has not succeeded.")
    return head.report


def promote(session: Session, head_id: UUID, *, author: str) -> Promoted:
    """Make a head its task's live one, if it passes the gate; the archive is judged again by a job.

    Raise HeadRefused when the artifact does not reproduce its own golden rows, knows other classes,
    or separates the stored labels the wrong way round.
    """
    head = get(session, head_id)
    task = tasks.named(session, head.task, lock=True)
    session.refresh(head)
    if head.stage == Stage.LIVE:
        raise Conflict(f"Version {head.version} of {head.task} is already live.")
    _gate(session, task, head)
    return _go_live(session, head, author=author, rollback=False)


def rollback(session: Session, task_name: str, *, author: str) -> Promoted:
    """Make the head live that was live before the present one. Raise Conflict when there was none."""
    tasks.named(session, task_name, lock=True)
    stack: list[UUID] = []
    history = select(Promotion).where(Promotion.task == task_name).order_by(Promotion.id)
    for promotion in session.scalars(history):
        if promotion.rollback:
            stack.pop()
        else:
            stack.append(promotion.head_id)
    if len(stack) < 2:
        raise Conflict(f"Task {task_name} has no earlier live head to go back to.")
    return _go_live(session, get(session, stack[-2]), author=author, rollback=True)


def _go_live(session: Session, head: Head, *, author: str, rollback: bool) -> Promoted:
    previous = session.scalar(select(Head).where(Head.task == head.task, Head.stage == Stage.LIVE))
    if previous is not None:
        previous.stage = Stage.ARCHIVED
        session.flush()  # before the next line: one live head a task is a unique index
    head.stage = Stage.LIVE
    session.add(Promotion(task=head.task, head_id=head.id, author=author, rollback=rollback))
    session.flush()
    jobs.enqueue_for_head(session, Kind.RESCORE, head.id, head.feature_set_id)
    audit.record(
        session, author, "head.rollback" if rollback else "head.promote", "head", head.id,
        task=head.task, version=head.version, previous=previous.version if previous else None,
    )  # fmt: skip
    return Promoted(head, previous)


def _gate(session: Session, task: Task, head: Head) -> None:
    scorer = Scorer.load(artifact(session, head.id))
    scorer.self_check()
    feature_set = session.get_one(FeatureSet, head.feature_set_id)
    scorer.require_feature_set(feature_set.digest)
    metadata = scorer.metadata
    if (list(metadata.classes), metadata.positive) != (list(task.classes), task.positive):
        raise HeadRefused(
            f"The head knows {', '.join(metadata.classes)} (positive: {metadata.positive}), but {task.name} has "
            f"{', '.join(task.classes)} (positive: {task.positive})."
        )
    _check_against_labels(session, task, feature_set, scorer)


def _check_against_labels(session: Session, task: Task, feature_set: FeatureSet, scorer: Scorer) -> None:
    """A head that ranks the stored labels the wrong way round must not go live."""
    labels = labelling.effective(session, task.name)
    regions = session.execute(select(Region.id, Region.image_id).where(Region.image_id.in_(labels))).all()
    owners = {row.id: row.image_id for row in _spread(regions)}
    rows = vectors.copy_out(session, feature_set, sorted(owners))
    names = np.array([labels[owners[region]] for region in rows.region_ids.tolist()])
    if len(set(names.tolist())) == len(task.classes):
        polarity_ok(scorer, rows.avg, rows.max, names.tolist())


def _spread(regions: Any) -> Any:
    """At most `_GATE_ROWS` of them, evenly over the whole archive."""
    return regions[:: max(1, len(regions) // _GATE_ROWS)]
