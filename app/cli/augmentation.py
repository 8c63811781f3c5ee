"""The command on augmented copies: augment."""

import time
from typing import Annotated

import typer

from app.cli.output import DataOption, JsonOption, console, note, print_json, progress_bar
from app.cli.store import Store, actor, opened
from app.db import transaction
from app.errors import Unavailable
from app.imaging.augment import MOST_COPIES
from app.models import Dataset
from app.services import augmentation, datasets, stats
from app.services.augmentation import Progress

LOOK_SECONDS = 0.5


def register(app: typer.Typer) -> None:
    app.command()(augment)


def augment(
    dataset: Annotated[str, typer.Argument(help="NAME or NAME@VERSION of a frozen dataset.")],
    recipe: Annotated[str, typer.Option(help="soft or strong.")] = "soft",
    copies: Annotated[int, typer.Option(min=1, max=MOST_COPIES, help="Copies of each training row.")] = 4,
    wait: Annotated[bool, typer.Option("--wait", help="Return when all copies are stored.")] = False,
    withdraw: Annotated[
        bool, typer.Option("--withdraw", help="Ask no longer; waiting jobs are cancelled, stored copies stay.")
    ] = False,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Have augmented copies of a dataset's training rows made, to train on beside them. Never of other rows."""
    with opened(data) as store:
        with transaction(store.sessions) as session:
            found = datasets.named(session, dataset)
            if withdraw:
                augmentation.withdraw(session, found, recipe, author=actor())
            else:
                asked = augmentation.request(session, found, recipe, copies, author=actor())
        if withdraw:
            told = {"dataset": found.full_name, "recipe": recipe, "withdrawn": True}
            print_json(told) if as_json else console.print(f"{found.full_name}: {recipe} copies are no longer made.")
            return
        _show(found, _follow(store, found, recipe) if wait else asked, as_json=as_json)


def _show(dataset: Dataset, found: Progress, *, as_json: bool) -> None:
    if as_json:
        counts = {"rows": found.rows, "done": found.done, "pending": found.pending, "failed": found.failed}
        asked = {"dataset": dataset.full_name, "recipe": found.recipe, "mirrored": found.mirrored}
        print_json({**asked, "copies": found.copies, **counts, "present": found.present})
        return
    flips = ", flips among them" if found.mirrored else ""
    console.print(
        f"{dataset.full_name}: {found.copies} {found.recipe} copies of each training row{flips}: {found.done} of "
        f"{found.rows} rows done, {found.pending} pending, {found.failed} failed or cancelled."
    )
    if not found.pending:
        told = f"{dataset.task} --dataset {dataset.full_name} --augmentation {found.recipe}"
        console.print(f"Train on them with `penumbra train {told}`.")


def _follow(store: Store, dataset: Dataset, recipe: str) -> Progress:
    """The request once nothing of it is pending. Raise Unavailable when no worker is there to do it."""
    patience = time.monotonic() + store.settings.alive_seconds
    try:
        with progress_bar("augmenting") as (bar, line):
            while True:
                with transaction(store.sessions) as session:
                    now = augmentation.of_recipe(session, dataset, recipe)
                    alive = stats.alive_workers(session, within_seconds=store.settings.alive_seconds)
                bar.update(line, completed=now.rows - now.pending, total=now.rows)
                if not now.pending:
                    return now
                if not any(worker.kind == "extract" for worker in alive) and time.monotonic() > patience:
                    raise Unavailable(
                        f"{now.pending} rows wait, but no extraction worker runs on this store; start `penumbra up` "
                        "(or `penumbra worker`) and run this again: nothing is lost."
                    )
                time.sleep(LOOK_SECONDS)
    except KeyboardInterrupt:
        note("The copies are still being made; run this again to watch, or with --withdraw to stop them.")
        raise
