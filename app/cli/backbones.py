"""Commands that train networks: backbone train, list, show; pretrain is in `app.cli.pretraining`."""

from pathlib import Path
from typing import Annotated, Any

import typer
from sqlalchemy.orm import Session

from app.cli import backbone_heads
from app.cli.follow import follow
from app.cli.output import DataOption, JsonOption, console, print_json, print_table
from app.cli.pretraining import pretrain
from app.cli.store import Store, actor, opened
from app.db import transaction
from app.errors import InvalidInput
from app.features.finetuning.plot import plot as draw
from app.features.finetuning.recipe import BackboneRecipe
from app.models import BackboneTraining, Job
from app.services import backbones

NameArgument = Annotated[str, typer.Argument(help="Its name, and that of the feature set that it becomes.")]
PICTURES = (".png", ".svg", ".pdf")


def register(app: typer.Typer) -> None:
    group = typer.Typer(
        name="backbone", help="Networks trained on labelled images, or on simulated ones.", no_args_is_help=True
    )
    group.command()(train)
    group.command()(pretrain)
    group.command("list")(list_backbones)
    group.command()(show)
    app.add_typer(group)


def train(
    name: NameArgument,
    task: Annotated[str, typer.Option("--task", "-t", help="The task whose labels are learned.")],
    dataset: Annotated[str | None, typer.Option(help="NAME@VERSION; all labels of now without it.")] = None,
    parent: Annotated[str | None, typer.Option("--from", help="The feature set to go on from.")] = None,
    scratch: Annotated[str | None, typer.Option(help="small-cnn-150 or small-cnn-224: from random weights.")] = None,
    blocks: Annotated[int, typer.Option(help="How many of the last blocks learn.")] = 1,
    epochs: Annotated[int, typer.Option(help="At most this many.")] = 20,
    rate: Annotated[float | None, typer.Option(help="Highest learning rate; 1e-4, or 1e-3 from scratch.")] = None,
    copies: Annotated[int, typer.Option(help="Augmented copies of each scan.")] = 4,
    augmentation: Annotated[str, typer.Option(help="soft or strong.")] = "soft",
    batch: Annotated[int, typer.Option(help="Scans a step.")] = 32,
    weight_decay: Annotated[float, typer.Option(help="Of kernels, by AdamW.")] = 1e-4,
    patience: Annotated[int, typer.Option(help="Epochs without a better one before it ends.")] = 6,
    balanced: Annotated[bool, typer.Option(help="Every class weighs the same.")] = True,
    validation: Annotated[float, typer.Option(help="Share of subjects to validate on, if the dataset has none.")] = 0.2,
    seed: Annotated[int, typer.Option(help="Decides every draw.")] = 0,
    wait: Annotated[bool, typer.Option("--wait", help="Until a head was trained on it, and compare.")] = False,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train a network on labelled images: the last blocks of the present one, or a small one from scratch.

    What it makes is a feature set, to be filled and trained on like any other; --wait does all of it.
    """
    recipe = BackboneRecipe.from_json({
        "scratch": scratch, "blocks": blocks, "epochs": epochs, "rate": rate, "copies": copies,
        "augmentation": augmentation, "batch": batch, "weight_decay": weight_decay, "patience": patience,
        "class_weight": "balanced" if balanced else None, "validation": validation, "seed": seed,
    })  # fmt: skip
    with opened(data) as store:
        with transaction(store.sessions) as session:
            job, training = backbones.ask(
                session, name, task, recipe, feature_set=parent, dataset=dataset,
                otherwise=store.settings.feature_set, author=actor(),
            )  # fmt: skip
        if wait:
            _until_compared(store, job, name, as_json=as_json)
            return
    told = {"name": name, "job": job.id, "dataset": training.recipe["dataset"]}
    print_json(told) if as_json else console.print(
        f"Network {name} is queued on {training.recipe['dataset']}: see `penumbra backbone show {name}`."
    )


def _until_compared(store: Store, job: Job, name: str, *, as_json: bool) -> None:
    """Follow a training to its end, and heads on what it made to theirs."""
    follow(store, job, "training", lambda session: _headline(session, name))
    with transaction(store.sessions) as session:
        training = backbones.named(session, name)
    if not as_json:
        print_training(training)
    compared = backbone_heads.compare(store, training) if training.feature_set_id else None
    if as_json:
        print_json({"name": name, "report": training.report, "epochs": training.epochs, "heads": compared})
    elif compared:
        backbone_heads.print_compared(compared)


def list_backbones(data: DataOption = None, as_json: JsonOption = False) -> None:
    """List trainings of networks, newest first."""
    with opened(data) as store, transaction(store.sessions) as session:
        found = [(training, backbones.job_of(session, training).state) for training in backbones.every(session)]
    if as_json:
        print_json([{"name": t.name, "task": t.task, "state": state, "recipe": t.recipe} for t, state in found])
        return
    print_table(
        ["network", "task", "state", "from", "dataset", "epochs", "validation AUC", "asked"],
        [
            [t.name, t.task, state, t.recipe["scratch"] or t.recipe["feature_set"], t.recipe["dataset"],
             max(0, len(t.epochs) - 1), _best_auc(t), f"{t.created_at:%Y-%m-%d %H:%M}"]
            for t, state in found
        ],
    )  # fmt: skip


def show(
    name: NameArgument,
    plot: Annotated[Path | None, typer.Option(help="Draw the curve: .png, .svg or .pdf.", dir_okay=False)] = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a training: its learning curve so far, and its report once it has ended."""
    if plot is not None and plot.suffix not in PICTURES:
        raise InvalidInput(f"{plot} ends in none of {', '.join(PICTURES)}.")
    with opened(data) as store, transaction(store.sessions) as session:
        training = backbones.named(session, name)
        job = backbones.job_of(session, training)
    if plot is not None and len(training.epochs) > 1:
        draw(training.epochs, f"{name}: {training.task}", plot)
    if as_json:
        told = {"name": name, "task": training.task, "state": job.state, "error": job.error}
        print_json({**told, "recipe": training.recipe, "epochs": training.epochs, "report": training.report})
        return
    console.print(f"{name} ({job.state})" + (f": {job.error['message']}" if job.error else ""), style="bold")
    print_training(training)


def print_training(training: BackboneTraining) -> None:
    """The curve as a table, and what the report says."""
    print_table(
        ["epoch", "loss", "AUC", "bal. accuracy", "validation loss", "AUC", "bal. accuracy", "seconds"],
        [[point["epoch"], *_cells(point.get("train")), *_cells(point["validation"]), point.get("seconds")]
         for point in training.epochs],
    )  # fmt: skip
    report = training.report
    if report is None:
        return
    rows, subjects = report["rows"], report["subjects"]
    console.print(
        f"Learned from {rows['learned']:,} scans of {subjects['learned']:,} subjects ({rows['versions']:,} versions "
        f"kept), validated on {rows['validated']:,} of {subjects['validated']:,}; best after epoch "
        f"{report['best_epoch']}; activations took {report['seconds']['activations']} s, epochs "
        f"{report['seconds']['fit']} s."
    )
    if zero := report["step_zero"]:
        console.print(
            f"Step zero: accuracy {zero['accuracy']:.4f}, of the stored head {zero['stored_accuracy']:.4f}; "
            f"probabilities differ by {zero['largest_difference']:.2g} at most."
        )
    console.print(
        f"It is feature set {training.name}, which is being filled: `penumbra backbone show {training.name}`."
        if report["improved"]
        else "No epoch was better than the start: there is no new feature set, and the present one stays the best."
    )


def _cells(figures: dict[str, float] | None) -> list[str]:
    return ["-"] * 3 if figures is None else [f"{figures[key]:.4f}" for key in ("loss", "auc", "balanced_accuracy")]


def _best_auc(training: BackboneTraining) -> str:
    if not training.epochs:
        return "-"
    best: dict[str, Any] = min(training.epochs, key=lambda point: point["validation"]["loss"])
    return f"{best['validation']['auc']:.4f}"


def _headline(session: Session, name: str) -> str:
    training = backbones.named(session, name)
    return f"(epoch {len(training.epochs) - 1}, validation AUC {_best_auc(training)})" if training.epochs else ""
