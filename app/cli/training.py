"""The command `train`, and how its report is printed."""

import time
from typing import Annotated, Any

import typer

from app.cli.output import DataOption, JsonOption, console, print_json, print_table, progress_bar
from app.cli.store import Store, actor, opened
from app.db import transaction
from app.errors import HeadRefused, InvalidInput, Unavailable
from app.heads.recipe import HeadRecipe
from app.models import Head, Job, JobState
from app.services import registry, stats, training

TaskArgument = Annotated[str, typer.Argument(help="A task, such as empty-container.")]


def register(app: typer.Typer) -> None:
    app.command()(train)


def train(
    task: TaskArgument,
    algorithm: Annotated[
        str, typer.Option(help="logistic-regression, rbf-svm or keras-network.")
    ] = "logistic-regression",
    pooling: Annotated[str, typer.Option(help="avg, max or both.")] = "both",
    class_weight: Annotated[
        str | None, typer.Option(help="balanced, or CLASS=WEIGHT,CLASS=WEIGHT; what is left out weighs 1.")
    ] = None,
    param: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE, or NAME=VALUE,VALUE for a grid; repeat for more.")
    ] = None,
    folds: Annotated[int, typer.Option(min=2, max=20, help="Folds of the cross-validation, by subject.")] = 5,
    policy: Annotated[str | None, typer.Option(help="Threshold policy, such as recall>=0.95.")] = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    feature_set: Annotated[str | None, typer.Option(help="Feature set to train on.")] = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train a new head version on the stored vectors and print its report. It becomes a candidate, not live."""
    given: dict[str, Any] = {
        "algorithm": algorithm, "pooling": pooling, "folds": folds, "seed": seed,
        "params": dict(_parameter(text) for text in param or []), "class_weight": _class_weight(class_weight),
    }  # fmt: skip
    recipe = HeadRecipe.from_json({**given, **({"policy": policy} if policy else {})})
    with opened(data) as store:
        chosen = store.feature_set(feature_set)
        with transaction(store.sessions) as session:
            job, head = training.request(session, task, chosen, recipe.to_json(), author=actor())
        _follow(store, job)
        with transaction(store.sessions) as session:
            report = registry.report(session, head.id)
    if as_json:
        print_json({"head": str(head.id), "task": task, "version": head.version, "report": report})
    else:
        print_report(head, report)


def _parameter(text: str) -> tuple[str, Any]:
    name, found, values = text.partition("=")
    try:
        numbers = [float(value) if "." in value or "e" in value.lower() else int(value) for value in values.split(",")]
    except ValueError as error:
        raise InvalidInput(f"--param {text}: give NAME=NUMBER or NAME=NUMBER,NUMBER.") from error
    if not found:
        raise InvalidInput(f"--param {text}: give NAME=NUMBER.")
    return name, numbers


def _class_weight(text: str | None) -> Any:
    if text is None or text == "balanced":
        return text
    try:
        return {name: float(weight) for name, weight in (pair.split("=") for pair in text.split(","))}
    except ValueError as error:
        raise InvalidInput("--class-weight: give balanced, or CLASS=WEIGHT,CLASS=WEIGHT.") from error


def _follow(store: Store, job: Job) -> None:
    """Return when the job has succeeded. Raise what it failed with, or Unavailable when no trainer is alive."""
    patience = time.monotonic() + store.settings.alive_seconds
    with progress_bar("training") as (bar, line):
        while True:
            with transaction(store.sessions) as session:
                now = session.get_one(Job, job.id)
                alive = stats.alive_workers(session, within_seconds=store.settings.alive_seconds)
            bar.update(line, completed=now.done, total=now.total)
            if now.state == JobState.SUCCEEDED:
                return
            if now.state in (JobState.FAILED, JobState.CANCELLED):
                raise HeadRefused(f"The training {now.state}: {(now.error or {}).get('message', 'no reason given')}")
            if not any(worker.kind == "train" for worker in alive) and time.monotonic() > patience:
                raise Unavailable(
                    f"Job {job.id} waits, but no training worker runs on this store; "
                    "start `penumbra up` (or `penumbra worker train`): the job stays queued."
                )
            time.sleep(0.2)


def print_report(head: Head, report: dict[str, Any]) -> None:
    figures = report["out_of_fold"]
    interval = figures["auc_interval"]
    console.print(f"{head.task} version {head.version} (candidate), id {head.id}", style="bold")
    console.print(
        f"{report['algorithm']}, {report['pooling']}, {report['rows']} rows of {report['groups']} subjects, "
        f"{report['folds']} folds; figures are out of fold, subjects apart."
    )
    console.print(
        f"AUC {figures['auc']:.4f} (95 % interval {interval['low']:.4f} to {interval['high']:.4f}), "
        f"accuracy {figures['accuracy']:.4f}, balanced {figures['balanced_accuracy']:.4f}, "
        f"threshold {report['threshold']:.4f} ({report['policy']})"
    )
    rows = [
        [name, f"{c['precision']:.4f}", f"{c['recall']:.4f}", f"{c['f1']:.4f}", c["support"]]
        for name, c in figures["per_class"].items()
    ]
    print_table(["class", "precision", "recall", "F1", "rows"], rows)
    console.print(f"Promote it with `penumbra promote {head.task} {head.version}`.")
