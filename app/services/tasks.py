"""Tasks: questions with classes. Two ship with Penumbra; more are added as data."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.errors import Conflict, InvalidInput, NotFound
from app.models import Task
from app.services import audit

SHIPPED = (
    ("empty-container", "Is this container really empty?", ("empty", "loaded"), "loaded"),
    ("pneumonia", "Does this chest film show pneumonia?", ("normal", "pneumonia"), "pneumonia"),
)


def ensure_shipped(session: Session) -> None:
    for name, question, classes, positive in SHIPPED:
        if session.get(Task, name) is None:
            # A container seen from its other side is as empty as before; a mirrored chest is another patient's.
            mirrored = name == "empty-container"
            session.add(Task(name=name, question=question, classes=list(classes), positive=positive, mirrored=mirrored))
    session.flush()


def create(session: Session, name: str, question: str, classes: list[str], positive: str, *, author: str) -> Task:
    """Add a task. Raise Conflict when the name is taken, InvalidInput when the classes make no question."""
    if len(set(classes)) != len(classes) or len(classes) != 2:
        raise InvalidInput("A task has exactly two different classes in this release.")
    if positive not in classes:
        raise InvalidInput(f"The positive class {positive} is not one of {', '.join(classes)}.")
    if session.get(Task, name) is not None:
        raise Conflict(f"There is already a task {name}.")
    task = Task(name=name, question=question, classes=classes, positive=positive)
    session.add(task)
    session.flush()
    audit.record(session, author, "task.create", "task", name, classes=classes, positive=positive)
    return task


def every(session: Session) -> list[Task]:
    return list(session.scalars(select(Task).order_by(Task.name)))


def named(session: Session, name: str, *, lock: bool = False) -> Task:
    """The task; `lock` keeps other changes to its heads out until the transaction ends. Raise NotFound."""
    task = session.get(Task, name, with_for_update=lock or None)
    if task is None:
        known = ", ".join(session.scalars(select(Task.name).order_by(Task.name)))
        raise NotFound(f"There is no task {name}; there are: {known}.")
    return task


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
