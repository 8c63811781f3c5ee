"""The registry of head versions: candidate, live, archived; promotion through a gate; rollback."""

from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session, undefer

from app import jobs
from app.errors import Conflict, HeadRefused, NotFound
from app.models import FeatureSet, FeatureStage, Head, Kind, Promotion, Stage
from app.services import audit, feature_sets, gate, replay, tasks


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


def promote(
    session: Session, head_id: UUID, *, author: str, margin: float = gate.DEFAULT_MARGIN, override: str | None = None
) -> Promoted:
    """Make a head its task's live one, if it passes the gate and was replayed; the archive is judged again by a job.

    `override` is a reason, kept in the audit trail, for which checks that a user may weigh are passed over: never
    one that says the head is broken or inverted. Raise HeadRefused with the checks that failed, Conflict for a head
    that is live already, or whose replay against the live head is missing or out of date.
    """
    head = get(session, head_id)
    tasks.named(session, head.task, lock=True)
    session.refresh(head)
    if head.stage == Stage.LIVE:
        raise Conflict(f"Version {head.version} of {head.task} is already live.")
    failed = fit(session, head, margin=margin, override=override)
    _require_live(session.get_one(FeatureSet, head.feature_set_id), head)
    standing = replay.required(session, head)
    detail: dict[str, Any] = {"replay": standing.counts if standing else None}
    if failed:
        detail["override"] = {"reason": override, "checks": [asdict(check) for check in failed]}
    return _go_live(session, head, author=author, rollback=False, **detail)


def fit(session: Session, head: Head, *, margin: float, override: str | None = None) -> list[gate.Check]:
    """The failed checks that are passed over for the reason `override`. Raise HeadRefused for any other failure."""
    failed = gate.failures(gate.checks(session, head, margin=margin))
    refusing = [check for check in failed if override is None or not check.overridable]
    if refusing:
        raise HeadRefused(_refusal(head, refusing))
    return failed


def _require_live(feature_set: FeatureSet, head: Head) -> None:
    if feature_set.stage != FeatureStage.LIVE:
        raise Conflict(
            f"Version {head.version} reads feature set {feature_set.name}, which is {feature_set.stage}: new scans "
            f"would wait for ever. Use `penumbra features switch {head.task} {feature_set.name} --head {head.version}` "
            "once it is filled."
        )


def _refusal(head: Head, failed: list[gate.Check]) -> str:
    measured = [
        check.name if check.measured is None else f"{check.name} ({check.measured:.4g}, bound {check.bound:g})"
        for check in failed
    ]
    remedy = ""
    if all(check.overridable for check in failed):
        remedy = " State a reason as `override` to promote it all the same: the audit trail keeps it."
    return (
        f"Version {head.version} of {head.task} fails {', '.join(measured)}: "
        f"{' '.join(check.says for check in failed)}{remedy}"
    )


def returning(session: Session, task_name: str) -> Head | None:
    """The head that a rollback would make live: the one that was before the present one, if any was."""
    stack: list[UUID] = []
    history = select(Promotion).where(Promotion.task == task_name).order_by(Promotion.id)
    for promotion in session.scalars(history):
        if promotion.rollback:
            stack.pop()
        else:
            stack.append(promotion.head_id)
    return get(session, stack[-2]) if len(stack) > 1 else None


def rollback(session: Session, task_name: str, *, author: str) -> Promoted:
    """Make the head live that was live before the present one, and its feature set with it.

    Raise Conflict when there was none, NotFound when its feature set was dropped.
    """
    tasks.named(session, task_name, lock=True)
    head = returning(session, task_name)
    if head is None:
        raise Conflict(f"Task {task_name} has no earlier live head to go back to.")
    former = session.get_one(FeatureSet, head.feature_set_id, with_for_update=True)
    feature_sets.require_stored(former)
    former.stage, former.paused = FeatureStage.LIVE, False  # what it has missed since is extracted at once
    return _go_live(session, head, author=author, rollback=True)


def _go_live(session: Session, head: Head, *, author: str, rollback: bool, **detail: Any) -> Promoted:
    previous = tasks.live_head(session, head.task)
    if previous is not None:
        previous.stage = Stage.ARCHIVED
        session.flush()  # before the next line: one live head a task is a unique index
    head.stage = Stage.LIVE
    tasks.named(session, head.task).feature_set_id = head.feature_set_id
    session.add(Promotion(task=head.task, head_id=head.id, author=author, rollback=rollback))
    session.flush()
    jobs.enqueue_for_head(session, Kind.RESCORE, head.id, head.feature_set_id)
    audit.record(
        session, author, "head.rollback" if rollback else "head.promote", "head", head.id,
        task=head.task, version=head.version, previous=previous.version if previous else None, **detail,
    )  # fmt: skip
    return Promoted(head, previous)
