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

    A task that is trained on another feature set waits for that one. A starter for other features than
    `feature_set` is passed over: its scores would mean nothing.
    """
    made = []
    for task in session.scalars(select(Task).order_by(Task.name).with_for_update()):
        if task.feature_set_id not in (None, feature_set.id):
            continue
        if session.scalar(select(Head.id).where(Head.task == task.name).limit(1)):
            continue
        found = bundled(task.name, feature_set.name)
        if found is None or (scorer := Scorer.load(found[".onnx"])).metadata.feature_set != feature_set.digest:
            continue
        scorer.self_check()
        report, card = json.loads(found[".json"]), found[".md"].decode()
        made.append(_register(session, task, feature_set, scorer, found[".onnx"], report, card))
    return made


def bundled(task: str, feature_set: str) -> dict[str, bytes] | None:
    """The files of a task's starter by their suffix: `TASK.FEATURESET.*`, else `TASK.*`, if there is one."""
    folder = files("app.heads.starters")
    for stem in (f"{task}.{feature_set}", task):
        if folder.joinpath(f"{stem}.onnx").is_file():
            return {suffix: folder.joinpath(f"{stem}{suffix}").read_bytes() for suffix in (".onnx", ".json", ".md")}
    return None


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
