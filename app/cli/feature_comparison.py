"""Commands that hold feature sets against each other: features compare, features switch."""

import sys
import time
from typing import Annotated, Any

import typer

from app.cli import recipe_options as options
from app.cli import recipes as words
from app.cli.features import NameArgument, features
from app.cli.follow import follow
from app.cli.output import DataOption, JsonOption, console, note, print_json, print_table
from app.cli.store import Store, actor, opened
from app.db import transaction
from app.errors import InvalidInput
from app.models import Job
from app.services import replay, set_comparison, switching
from app.services.set_comparison import Compared, Row
from app.services.switching import State, Step, Wish

LOOK_SECONDS = 1.0


def register(_: typer.Typer) -> None:
    """The commands are on `features` already."""


@features.command()
def compare(
    task: options.TaskArgument,
    feature_sets: Annotated[str, typer.Option(help="Two or more, with commas between.")],
    algorithm: options.AlgorithmOption = None,
    pooling: options.PoolingOption = None,
    param: options.ParamOption = None,
    recipe: options.RecipeOption = None,
    dataset: options.DatasetOption = None,
    search: options.SearchOption = None,
    tries: options.TrialsOption = None,
    seconds: options.SecondsOption = None,
    ensemble: options.EnsembleOption = None,
    class_weight: options.ClassWeightOption = None,
    folds: options.FoldsOption = None,
    policy: options.PolicyOption = None,
    abstain: options.AbstainOption = None,
    calibration: options.CalibrationOption = None,
    prevalence: options.PrevalenceOption = None,
    seed: options.SeedOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train the same head on several feature sets, on the same images in the same folds, and print one table."""
    budget = {"method": search, "trials": tries, "seconds": seconds}
    given = {
        "ensemble": ensemble, "class_weight": words.class_weight(class_weight), "folds": folds, "policy": policy,
        "abstain": abstain, "calibration": calibration, "prevalence": prevalence, "seed": seed,
        "search": words.without_none(budget) or None,
    }  # fmt: skip
    whole = words.whole(given, recipe, algorithm, pooling, param)
    names = [name.strip() for name in feature_sets.split(",") if name.strip()]
    with opened(data) as store:
        found = _compared(store, task, names, whole, dataset)
    if as_json:
        print_json(_plain(found))
    else:
        _print_compared(found)


def _compared(store: Store, task: str, names: list[str], recipe: dict[str, Any], dataset: str | None) -> Compared:
    while True:
        with transaction(store.sessions) as session:
            found = set_comparison.compare(session, task, names, recipe, dataset=dataset, author=actor())
            waiting: list[Job] = set_comparison.jobs_of(session, found)
        if not found.pending:
            return found
        for job, head in zip(waiting, found.pending, strict=False):
            follow(store, job, f"training version {head.version}")


def _print_compared(found: Compared) -> None:
    counted = f"{found.images:,} images that all the sets describe"
    left = [(found.missing, "lacking in a set"), (found.unclear, "with several regions and a positive label")]
    said = ", ".join(f"{n:,} {what}" for n, what in left if n)
    console.print(f"{found.task.name}: {counted}{f'; left out: {said}' if said else ''}", style="bold")
    columns = ["feature set", "head", "AUC", "balanced", f"recall of {found.task.positive}", "false alarms",
               "train s", "dims", "images/s"]  # fmt: skip
    print_table(columns, [_cells(row, row.out_of_fold, found.task.positive) for row in found.rows])
    if any(row.test for row in found.rows):
        console.print("On test rows:", style="bold")
        print_table(columns, [_cells(row, row.test, found.task.positive) for row in found.rows])
    for contest in found.contests:
        console.print(_sentence(contest))
    same = "the same folds" if found.same_folds else "folds that differ, since the sets cut images differently"
    console.print(f"Figures are out of fold, by image, in {same}; 95 % intervals; each recall at its head's policy.")


def _cells(row: Row, told: dict[str, Any] | None, positive: str) -> list[object]:
    if told is None:
        return [row.feature_set.name, f"v{row.head.version}"]
    rates = told["per_class"][positive]
    speed = "" if row.images_per_second is None else f"{row.images_per_second:.0f}"
    return [
        row.feature_set.name, f"v{row.head.version}", _with_interval(told["auc"], told["auc_interval"]),
        _figure(told["balanced_accuracy"]), _with_interval(rates["recall"], rates["intervals"]["recall"]),
        _figure(rates["false_positive_rate"]), "" if row.seconds is None else f"{row.seconds:.1f}",
        f"{row.feature_set.avg_dim} + {row.feature_set.max_dim}", speed,
    ]  # fmt: skip


def _with_interval(value: float | None, interval: dict[str, Any] | None) -> str:
    if value is None or interval is None:
        return _figure(value)
    return f"{value:.4f} ({interval['low']:.4f} to {interval['high']:.4f})"


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _sentence(contest: dict[str, Any]) -> str:
    first, second = contest["heads"]
    change = contest["auc_difference"]
    area = ""
    if change is not None:
        area = f"AUC {change['value']:+.4f} ({change['low']:+.4f} to {change['high']:+.4f}); "
    return (
        f"{first} against {second}, {contest['rows']:,} {contest['rows_of']}: {area}only {first} right "
        f"{contest['only_first_right']}, only {second} right {contest['only_second_right']}, McNemar's exact p = "
        f"{contest['mcnemar_p']:.4g}."
    )


def _plain(found: Compared) -> dict[str, Any]:
    return {
        "task": found.task.name, "images": found.images, "missing": found.missing, "unclear": found.unclear,
        "same_folds": found.same_folds, "contests": found.contests,
        "rows": [
            {"feature_set": row.feature_set.name, "dataset": row.dataset.full_name, "version": row.head.version,
             "dimensions": [row.feature_set.avg_dim, row.feature_set.max_dim], "lacking": row.lacking,
             "images_per_second": row.images_per_second, "seconds": row.seconds, "out_of_fold": row.out_of_fold,
             "test": row.test}
            for row in found.rows
        ],
    }  # fmt: skip


@features.command()
def switch(
    task: options.TaskArgument,
    name: NameArgument,
    head: Annotated[
        int | None, typer.Option(min=1, help="A candidate trained on the set, instead of a new one.")
    ] = None,
    allow_incomplete: Annotated[
        str | None, typer.Option(help="Why a set that lacks images is accepted; the audit trail keeps it.")
    ] = None,
    override: Annotated[
        str | None, typer.Option(help="Why to go on although a check fails that may be weighed.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Go live without asking.")] = False,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a task use a feature set: its live head's recipe trained there, through the gate, replayed, then live.

    The former set stays, and `penumbra rollback TASK` brings it back.
    """
    if as_json and not yes:
        raise InvalidInput("--json cannot ask whether to go on: say --yes as well.")
    wish = Wish(task, name, head, allow_incomplete, override)
    with opened(data) as store:
        step = ready(store, wish)
        if step.state is State.READY:
            if not yes:
                ask(step)
            step = step_of(store, Wish(task, name, head, allow_incomplete, override, agreed=True))
    version = step.head.version if step.head else None
    if as_json:
        print_json({"task": task, "feature_set": name, "state": step.state, "live": version, "left_out": step.left_out})
        return
    console.print(f"{task} uses {name}{f': version {version} is live' if version else ''}.")
    if step.left_out:
        console.print(f"{step.left_out:,} images of the former head's dataset are not in {name}, and taught nothing.")


def ready(store: Store, wish: Wish) -> Step:
    """Everything that can be done before somebody agrees."""
    while True:
        step = step_of(store, wish)
        if step.state in (State.READY, State.SWITCHED):
            return step
        if step.job is not None:
            what = "training" if step.state is State.TRAINING else "replay"
            follow(store, step.job, f"{what} of version {step.head.version if step.head else '?'}")
        else:
            done, total = step.progress or (0, 0)
            note(f"Augmented copies: {done} of {total} training rows.")
            time.sleep(LOOK_SECONDS)


def step_of(store: Store, wish: Wish) -> Step:
    with transaction(store.sessions) as session:
        return switching.advance(session, wish, margin=store.settings.promotion_margin, author=actor())


def ask(step: Step) -> None:
    if step.standing is not None:
        found = step.standing.replay
        console.print(f"{found.flipped} of {found.regions} decisions would flip.", style="bold")
        rows = [[b, a, count] for b, row in found.flips.items() for a, count in row.items() if b != replay.UNJUDGED]
        print_table(["before", "after", "regions"], rows)
    if not sys.stdin.isatty():
        raise InvalidInput("Nobody is here to agree to this: look at the counts, then say --yes.")
    typer.confirm("Go live?", abort=True)
