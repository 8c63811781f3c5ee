"""The command that compares two head versions on the same test rows."""

from typing import Annotated, Any

import typer

from app.cli.output import DataOption, JsonOption, console, print_json, print_table
from app.cli.recipe_options import TaskArgument
from app.cli.store import actor, opened
from app.db import transaction
from app.services import comparison
from app.services.comparison import Compared


def register(app: typer.Typer) -> None:
    app.command()(compare)


def compare(
    task: TaskArgument,
    first: Annotated[int, typer.Argument(min=1, help="A head version.")],
    second: Annotated[int, typer.Argument(min=1, help="Another head version.")],
    dataset: Annotated[
        list[str] | None, typer.Option(help="NAME@VERSION; repeat for more. The heads' own datasets without it.")
    ] = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare two head versions on the test rows of datasets, such as the raw and the cleaned one."""
    with opened(data) as store, transaction(store.sessions) as session:
        found = comparison.compare(session, task, first, second, dataset or [], author=actor())
    if as_json:
        print_json([
            {"dataset": one.dataset.full_name, "versions": [head.version for head in one.heads],
             "figures": list(one.figures), "contest": one.contest}
            for one in found
        ])  # fmt: skip
        return
    for one in found:
        _print(one)


def _print(one: Compared) -> None:
    contest, positive = one.contest, one.dataset.positive
    console.print(f"{one.dataset.full_name}: {contest['rows']} test rows", style="bold")
    rows = [[f"v{head.version}", *cells(told, positive)] for head, told in zip(one.heads, one.figures, strict=True)]
    print_table(["head", "AUC", "accuracy", f"recall of {positive}", "false alarms"], rows)
    console.print(
        f"Of {contest['decided_by_both']} rows that both decide, {contest['only_first_right']} only v"
        f"{one.heads[0].version} has right, {contest['only_second_right']} only v{one.heads[1].version}: "
        f"McNemar's exact p = {contest['mcnemar_p']:.4g}."
    )


def cells(told: dict[str, Any], positive: str) -> list[str]:
    """AUC, accuracy, recall and false alarms, each with its interval."""
    rates = told["per_class"][positive]
    return [
        _with_interval(told["auc"], told["auc_interval"]),
        _with_interval(told["accuracy"], told["accuracy_interval"]),
        _with_interval(rates["recall"], rates["intervals"]["recall"]),
        _with_interval(rates["false_positive_rate"], rates["intervals"]["false_positive_rate"]),
    ]


def _with_interval(value: float | None, interval: dict[str, Any] | None) -> str:
    if value is None:
        return "none"
    return f"{value:.4f}" if interval is None else f"{value:.4f} ({interval['low']:.4f} to {interval['high']:.4f})"
