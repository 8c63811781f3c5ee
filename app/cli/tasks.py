"""The command `task`: what a task asks, and what its heads decide by."""

from typing import Annotated, Any

import typer

from app.cli.output import DataOption, JsonOption, print_json, print_table
from app.cli.store import actor, opened
from app.db import transaction
from app.errors import InvalidInput
from app.models import Task
from app.services import tasks


def register(app: typer.Typer) -> None:
    app.command("task")(show_or_change)


def show_or_change(
    task: Annotated[str | None, typer.Argument(help="A task; none for all of them.")] = None,
    policy: Annotated[str | None, typer.Option(help="Such as 'recall>=0.99@0.95'; '' takes it back.")] = None,
    abstain: Annotated[str | None, typer.Option(help="Such as 'review<=0.05'; '' takes it back.")] = None,
    prevalence: Annotated[
        float | None, typer.Option(help="Share of the positive class where the heads work; 0 takes it back.")
    ] = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show tasks, or set what a task's next heads decide by. Heads that exist keep their thresholds."""
    given = {"policy": policy, "abstain": abstain, "prevalence": prevalence}
    changes = {name: value or None for name, value in given.items() if value is not None}
    with opened(data) as store, transaction(store.sessions) as session:
        if changes and task is None:
            raise InvalidInput("Name the task that is to decide by this, such as empty-container.")
        if task is None:
            rows = [_row(one) for one in tasks.every(session)]
        else:
            rows = [_row(tasks.decide(session, task, changes, author=actor()))]
    if as_json:
        print_json(rows if task is None else rows[0])
    else:
        print_table(list(rows[0]), [[_cell(value) for value in row.values()] for row in rows])


def _row(task: Task) -> dict[str, Any]:
    return {
        "name": task.name, "question": task.question, "classes": list(task.classes), "positive": task.positive,
        "policy": task.policy, "abstain": task.abstain, "prevalence": task.prevalence,
    }  # fmt: skip


def _cell(value: object) -> object:
    return ", ".join(value) if isinstance(value, list) else value
