"""Starter heads: bundled with the project, so that a fresh machine can answer at once."""

import json
from datetime import UTC, datetime
from importlib.resources import files

from sqlalchemy import func, select
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
        head = _register(session, task, feature_set, Stage.LIVE)
        if head is not None:
            session.add(Promotion(task=task.name, head_id=head.id, author="penumbra"))
            made.append(head)
    return made


def is_starter(head: Head) -> bool:
    """Whether a head came with Penumbra."""
    return bool(head.recipe.get("starter"))


def candidate(session: Session, task: Task, feature_set: FeatureSet) -> Head | None:
    """The bundled head of a task that reads a feature set, registered as its next version when it is new.

    None where none comes with Penumbra. Asked again, the same head: also one that was live since.
    """
    found = bundled(task.name, feature_set.name)
    if found is None:
        return None
    known = select(Head).where(
        Head.task == task.name, Head.feature_set_id == feature_set.id, Head.artifact == found[".onnx"]
    )
    return session.scalar(known.limit(1)) or _register(session, task, feature_set, Stage.CANDIDATE)


def bundled(task: str, feature_set: str) -> dict[str, bytes] | None:
    """The files of a task's starter by their suffix: `TASK.FEATURESET.*`, else `TASK.*`, if there is one."""
    folder = files("app.heads.starters")
    for stem in (f"{task}.{feature_set}", task):
        if folder.joinpath(f"{stem}.onnx").is_file():
            return {suffix: folder.joinpath(f"{stem}{suffix}").read_bytes() for suffix in (".onnx", ".json", ".md")}
    return None


def _register(session: Session, task: Task, feature_set: FeatureSet, stage: Stage) -> Head | None:
    """None where no starter comes with Penumbra that reads this feature set."""
    found = bundled(task.name, feature_set.name)
    if found is None or (scorer := Scorer.load(found[".onnx"])).metadata.feature_set != feature_set.digest:
        return None
    scorer.self_check()
    last = session.scalar(select(func.max(Head.version)).where(Head.task == task.name)) or 0
    head = Head(
        task=task.name, version=last + 1, stage=stage, feature_set_id=feature_set.id, artifact=found[".onnx"],
        algorithm=scorer.metadata.algorithm, threshold=scorer.metadata.threshold, report=json.loads(found[".json"]),
        card=found[".md"].decode(), recipe={"starter": True}, author="penumbra", trained_at=datetime.now(UTC),
    )  # fmt: skip
    session.add(head)
    session.flush()
    audit.record(session, "penumbra", "head.starter", "head", head.id, task=task.name)
    return head
