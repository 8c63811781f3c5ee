"""Starter heads: bundled with the project, so that a fresh machine can answer at once."""

import json
from datetime import UTC, datetime
from importlib.resources import files

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.heads.scoring import Head as Scorer
from app.models import FeatureSet, Head, Promotion, Stage, Task
from app.services import audit


def ensure(session: Session, feature_set: FeatureSet) -> list[Head]:
    """Register and promote the bundled head of each task that has no head at all; those registered.

    A starter for other features than `feature_set` is passed over: its scores would mean nothing.
    """
    made = []
    for task in session.scalars(select(Task).order_by(Task.name).with_for_update()):
        folder = files("app.heads.starters")
        artifact = folder.joinpath(f"{task.name}.onnx")
        if not artifact.is_file() or session.scalar(select(Head.id).where(Head.task == task.name).limit(1)):
            continue
        scorer = Scorer.load(artifact.read_bytes())
        if scorer.metadata.feature_set != feature_set.digest:
            continue
        scorer.self_check()
        report = json.loads(folder.joinpath(f"{task.name}.json").read_text())
        card = folder.joinpath(f"{task.name}.md").read_text()
        made.append(_register(session, task, feature_set, scorer, artifact.read_bytes(), report, card))
    return made


def _register(
    session: Session, task: Task, feature_set: FeatureSet, scorer: Scorer, artifact: bytes,
    report: dict[str, object], card: str,
) -> Head:  # fmt: skip
    head = Head(
        task=task.name, version=1, stage=Stage.LIVE, feature_set_id=feature_set.id, artifact=artifact,
        algorithm=scorer.metadata.algorithm, threshold=scorer.metadata.threshold, report=report, card=card,
        recipe={"starter": True}, author="penumbra", trained_at=datetime.now(UTC),
    )  # fmt: skip
    session.add(head)
    session.flush()
    session.add(Promotion(task=task.name, head_id=head.id, author="penumbra"))
    audit.record(session, "penumbra", "head.starter", "head", head.id, task=task.name)
    return head
