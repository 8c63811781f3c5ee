"""Commands that tell of a head version: report, predictions."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from sqlalchemy.orm import Session

from app.cli.output import DataOption, JsonOption, console, print_json, print_table, progress_bar
from app.cli.recipe_options import TaskArgument
from app.cli.store import opened
from app.db import transaction
from app.errors import InvalidInput
from app.heads.report.caveats import caveats, of_tests, sentence
from app.heads.report.words import percent, share
from app.models import Head
from app.services import answers, registry, reports
from app.services.answers import RowsOf

VersionArgument = Annotated[int, typer.Argument(min=1, help="A head version.")]
_WRITTEN = {".html": "page", ".md": "card", ".json": "report"}


def register(app: typer.Typer) -> None:
    app.command()(report)
    app.command()(predictions)


def report(
    task: TaskArgument,
    version: VersionArgument,
    out: Annotated[
        Path | None, typer.Option(help="Write it: FILE.html one page with plots, FILE.md the model card, FILE.json.")
    ] = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print what is known of a head version, and how far to believe it."""
    kind = None if out is None else _WRITTEN.get(out.suffix.lower())
    if out is not None and kind is None:
        raise InvalidInput(f"--out {out}: give a name that ends in {', '.join(_WRITTEN)}.")
    with opened(data) as store, transaction(store.sessions) as session:
        head = registry.numbered(session, task, version)
        told = reports.report(session, head.id)
        content = "" if kind is None else _content(session, head, kind, told)
    if out is not None:
        out.write_text(content, encoding="utf-8")
    if as_json:
        print_json(told if out is None else {"written": str(out)})
    elif out is not None:
        console.print(str(out))
    else:
        print_summary(head, told)


def _content(session: Session, head: Head, kind: str, told: dict[str, Any]) -> str:
    match kind:
        case "page":
            return reports.page(session, head.id)
        case "card":
            return reports.card(session, head.id)
        case _:
            return json.dumps(told, indent=1) + "\n"


def print_summary(head: Head, told: dict[str, Any]) -> None:
    """Figures with intervals, and what a sceptic should know."""
    figures = told["out_of_fold"]
    console.print(
        f"{head.task} version {head.version} ({head.stage}), {told['algorithm']} on {told['pooling']}", style="bold"
    )
    if promised := told.get("contract", {}).get("sentence"):
        console.print(f"Contract: {promised}")
    _print_figures("Out of fold", figures)
    for test in told["tests"]:
        _print_figures(f"Test rows of {test['dataset']}", test["figures"])
    console.print("How far to believe this", style="bold")
    for text in [*map(sentence, of_tests(told["tests"])), *caveats(told)]:
        console.print(f"- {text}")


def _print_figures(title: str, figures: dict[str, Any]) -> None:
    auc, interval = figures["auc"], figures["auc_interval"]
    bounds = f" ({share(interval['low'])} to {share(interval['high'])})" if interval else ""
    review = figures.get("review_share") or 0.0
    console.print(
        f"{title}: AUC {share(auc)}{bounds}, balanced accuracy {share(figures['balanced_accuracy'])}, "
        f"Brier score {share(figures['brier'])}" + (f", {percent(review)} left to review" if review else "")
    )
    names = ("precision", "recall", "f1", "false_positive_rate", "false_negative_rate")
    rows = [
        [name, *(_with_bounds(one, rate) for rate in names), one["support"]]
        for name, one in figures["per_class"].items()
    ]
    print_table(["class", "precision", "recall", "F1", "false positives", "false negatives", "rows"], rows)


def _with_bounds(one: dict[str, Any], rate: str) -> str:
    bounds = one.get("intervals", {}).get(rate)
    value = share(one.get(rate))
    return f"{value} ({share(bounds['low'])}-{share(bounds['high'])})" if bounds else value


def predictions(
    task: TaskArgument,
    version: VersionArgument,
    out: Annotated[Path | None, typer.Option(help="File to write; without it, standard output.")] = None,
    rows: Annotated[RowsOf, typer.Option(help="Of which rows.")] = RowsOf.OUT_OF_FOLD,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write what a head version answered on each labelled row, as CSV."""
    if as_json and out is None:
        raise InvalidInput("--json says what was written: give --out FILE with it.")
    with opened(data) as store:
        with transaction(store.sessions) as session:
            told = answers.stored(session, registry.numbered(session, task, version).id, rows)
        chunks = answers.csv_lines(store.sessions, told)
        if out is None:
            for chunk in chunks:
                sys.stdout.write(chunk)
            return
        with out.open("w", encoding="utf-8", newline="") as file, progress_bar("writing") as (bar, line):
            bar.update(line, total=-(-len(told.evidence) // answers.CHUNK_ROWS) + 1)
            for chunk in chunks:
                file.write(chunk)
                bar.advance(line)
    written = {"written": str(out), "rows": len(told.evidence)}
    print_json(written) if as_json else console.print(f"{out}: {len(told.evidence):,} rows")
