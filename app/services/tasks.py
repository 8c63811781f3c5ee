"""Tasks: questions with classes. Two ship with Penumbra; more are added as data."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.errors import Conflict, InvalidInput, NotFound
from app.heads import policy_words
from app.heads.policy_words import DEFAULT_POLICY, UNDECIDED, ThresholdPolicy
from app.models import Head, Stage, Task
from app.services import audit

DECIDED_BY = ("policy", "abstain", "prevalence")


class Shipped(NamedTuple):
    """A task that every store has; `feature_set` is what a new store describes its scans by."""

    name: str
    question: str
    classes: tuple[str, str]
    positive: str
    profile: str
    feature_set: str
    # A container seen from its other side is as empty as before; a mirrored chest is another patient's.
    mirrored: bool


SHIPPED = (
    Shipped(
        "empty-container", "Is this container really empty?", ("empty", "loaded"), "loaded", "container",
        "densenet121-container", mirrored=True,
    ),
    Shipped(
        "pneumonia", "Does this chest film show pneumonia?", ("normal", "pneumonia"), "pneumonia", "chest",
        "densenet121-chest", mirrored=False,
    ),
)  # fmt: skip


def ensure_shipped(session: Session) -> None:
    for shipped in SHIPPED:
        if session.get(Task, shipped.name) is None:
            session.add(
                Task(
                    name=shipped.name, question=shipped.question, classes=list(shipped.classes),
                    positive=shipped.positive, profile=shipped.profile, mirrored=shipped.mirrored,
                )
            )  # fmt: skip
    session.flush()


def create(session: Session, name: str, question: str, classes: list[str], positive: str, *, author: str) -> Task:
    """Add a task. Raise Conflict when the name is taken, InvalidInput when the classes make no question."""
    if len(set(classes)) != len(classes) or len(classes) != 2:
        raise InvalidInput("A task has exactly two different classes in this release.")
    if taken := UNDECIDED.intersection(classes):
        raise InvalidInput(f"No class can be named {min(taken)}: that is what is said of a scan left to a person.")
    if positive not in classes:
        raise InvalidInput(f"The positive class {positive} is not one of {', '.join(classes)}.")
    if session.get(Task, name) is not None:
        raise Conflict(f"There is already a task {name}.")
    task = Task(name=name, question=question, classes=classes, positive=positive)
    session.add(task)
    session.flush()
    audit.record(session, author, "task.create", "task", name, classes=classes, positive=positive)
    return task


def decide(session: Session, name: str, changes: Mapping[str, Any], *, author: str) -> Task:
    """Set what a task's next heads decide by: `policy`, `abstain`, `prevalence`; None takes one back.

    Raise InvalidInput where a text cannot be read, names another class, or the two contradict each other.
    """
    task = named(session, name, lock=True)
    if not changes:
        return task
    whole = {key: changes.get(key, getattr(task, key)) for key in DECIDED_BY}
    policy = ThresholdPolicy.parse(whole["policy"]) if whole["policy"] is not None else DEFAULT_POLICY
    policy_words.read(policy, whole["abstain"], task.classes, task.positive)
    if whole["prevalence"] is not None and not 0 < whole["prevalence"] < 1:
        raise InvalidInput(f"A prevalence of {whole['prevalence']}: give a share above 0 and below 1.")
    if whole["policy"] is not None:
        whole["policy"] = str(policy)
    before = {key: getattr(task, key) for key in changes}
    for key in changes:
        setattr(task, key, whole[key])
    session.flush()
    after = {key: whole[key] for key in changes}
    audit.record(session, author, "task.decide", "task", name, before=before, after=after)
    return task


def set_blind(session: Session, name: str, blind: bool, *, author: str) -> Task:
    """Whether whoever works the task's worklist sees no answer of a head before an opinion of their own."""
    task = named(session, name, lock=True)
    if task.blind != blind:
        task.blind = blind
        session.flush()
        audit.record(session, author, "task.blind", "task", name, blind=blind)
    return task


def decide_by(task: Task, recipe: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe as it was given, with the task's own policy, abstention and prevalence where it says nothing of them.

    A recipe with a policy of its own leaves the task's abstention away, which was made for another policy. Raise
    InvalidInput where the policy does not fit the task's classes.
    """
    filled = dict(recipe)
    own = {key: getattr(task, key) for key in DECIDED_BY if getattr(task, key) is not None}
    if filled.get("policy") is not None:
        own.pop("abstain", None)
    filled |= {key: value for key, value in own.items() if filled.get(key) is None}
    given = filled.get("policy")
    policy = ThresholdPolicy.parse(given) if isinstance(given, str) else DEFAULT_POLICY
    if filled.get("abstain") is None or isinstance(filled["abstain"], str):
        policy_words.read(policy, filled.get("abstain"), task.classes, task.positive)
    return filled


def every(session: Session) -> list[Task]:
    return list(session.scalars(select(Task).order_by(Task.name)))


def named(session: Session, name: str, *, lock: bool = False) -> Task:
    """The task; `lock` keeps other changes to its heads out until the transaction ends. Raise NotFound."""
    task = session.get(Task, name, with_for_update=lock or None)
    if task is None:
        known = ", ".join(session.scalars(select(Task.name).order_by(Task.name)))
        raise NotFound(f"There is no task {name}; there are: {known}.")
    return task


def live_head(session: Session, name: str) -> Head | None:
    """The head that answers the task now, if one does."""
    return session.scalar(select(Head).where(Head.task == name, Head.stage == Stage.LIVE))


def answered(session: Session) -> set[str]:
    """The tasks that a live head answers."""
    return set(session.scalars(select(Head.task).where(Head.stage == Stage.LIVE)))


def check_class(task: Task, class_name: str) -> None:
    """Raise InvalidInput when `class_name` is none of the task's classes."""
    if class_name not in task.classes:
        raise InvalidInput(f"{class_name} is no class of {task.name}; it has: {', '.join(task.classes)}.")


def check_declared(session: Session, declared: dict[str, str]) -> None:
    """Raise InvalidInput unless every declared task and class exists."""
    for name, class_name in declared.items():
        task = session.get(Task, name)
        if task is None:
            raise InvalidInput(f"The declaration names an unknown task {name}.")
        check_class(task, class_name)
