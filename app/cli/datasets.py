"""Commands on frozen datasets: dataset freeze, list, show, export, import; and test."""

from pathlib import Path
from typing import Annotated

import typer

from app.cli.dataset_freeze import freeze
from app.cli.dataset_views import print_dataset, said, words
from app.cli.output import DataOption, JsonOption, console, print_json, print_table, progress_bar
from app.cli.store import actor, opened
from app.db import transaction
from app.errors import InvalidInput
from app.models import FeatureSet, Split
from app.services import dataset_export, dataset_import, datasets, evaluation, registry
from app.services.dataset_export import Format

NameArgument = Annotated[str, typer.Argument(help="NAME@VERSION, or NAME for its newest version.")]


def register(app: typer.Typer) -> None:
    group = typer.Typer(name="dataset", help="Frozen snapshots of labelled rows.", no_args_is_help=True)
    group.command()(freeze)
    group.command("list")(list_datasets)
    group.command()(show)
    group.command()(export)
    group.command("import")(import_file)
    app.add_typer(group)
    app.command("test")(score)


def list_datasets(
    task: Annotated[str | None, typer.Option("--task", "-t", help="Only those of this task.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many.")] = 50,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """List datasets, newest first."""
    with opened(data) as store, transaction(store.sessions) as session:
        found = datasets.page(session, limit=limit, task=task)
        looked = datasets.consultations(session, [dataset.id for dataset in found])
    if as_json:
        print_json([{**said(dataset), "consultations": looked[dataset.id]} for dataset in found])
        return
    print_table(
        ["dataset", "task", *Split, "looked at test", "frozen", "digest"],
        [
            [d.full_name, d.task, *(sum(d.counts[split].values()) for split in Split), f"{looked[d.id]} head(s)",
             f"{d.created_at:%Y-%m-%d %H:%M}", d.digest[:12]]
            for d in found
        ],
    )  # fmt: skip


def show(dataset: NameArgument, data: DataOption = None, as_json: JsonOption = False) -> None:
    """Show a dataset: rows by split and class, what crosses the splits, which heads looked at its test rows."""
    with opened(data) as store, transaction(store.sessions) as session:
        found = datasets.named(session, dataset)
        lost = datasets.lost_rows(session, found)
        looked = [(head.version, score.author, score.at) for score, head in datasets.consulted_by(session, found)]
        feature_set = session.get_one(FeatureSet, found.feature_set_id).name
    if as_json:
        heads = [{"version": version, "author": author, "at": at} for version, author, at in looked]
        print_json({**said(found), "feature_set": feature_set, "lost": lost, "consulted_by": heads})
        return
    print_dataset(found)
    console.print(f"feature set {feature_set}, digest {found.digest}")
    console.print(f"selected: {words(found.selection)}; divided: {words(found.split)}")
    for version, author, at in looked:
        console.print(f"test rows seen by version {version} ({author}, {at:%Y-%m-%d %H:%M})")
    if lost:
        console.print(f"{lost:,} of {found.rows:,} rows were deleted since; freeze it again.")


def export(
    dataset: NameArgument,
    out: Annotated[Path, typer.Option(help="File to write: .parquet or .npz.", dir_okay=False)],
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a dataset with its vectors into a file that other programs, and other stores, can read."""
    known = {f".{form}": form for form in Format}
    if out.suffix not in known:
        raise InvalidInput(f"{out} ends neither in .parquet nor in .npz.")
    part = out.with_name(f".{out.name}.part")
    try:
        with (
            opened(data) as store, transaction(store.sessions) as session,
            progress_bar("writing") as (bar, line), part.open("w+b") as file,
        ):  # fmt: skip
            found = datasets.named(session, dataset)
            dataset_export.export(
                session, found, known[out.suffix], file,
                on_progress=lambda done, total: bar.update(line, completed=done, total=total),
            )  # fmt: skip
        part.replace(out)
    finally:
        part.unlink(missing_ok=True)
    told = {"dataset": found.full_name, "rows": found.rows, "file": out, "bytes": out.stat().st_size}
    print_json(told) if as_json else console.print(
        f"{found.full_name}: {found.rows:,} rows in {out} ({told['bytes']:,} bytes)."
    )


def import_file(
    file: Annotated[Path, typer.Argument(help="What `dataset export` wrote.", exists=True, dir_okay=False)],
    name: Annotated[str | None, typer.Option(help="Another name for it here.")] = None,
    skip_unknown: Annotated[
        bool, typer.Option("--skip-unknown", help="Leave images out that this store does not have.")
    ] = False,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Freeze the dataset of a file here. Its scans must be imported; vectors that are missing come from the file."""
    with progress_bar("importing"):
        header, part = dataset_import.read(file)
        with opened(data) as store, transaction(store.sessions) as session:
            got = dataset_import.store(session, header, part, author=actor(), name=name, skip_unknown=skip_unknown)
    if as_json:
        print_json({**said(got.dataset), "filled": got.filled, "skipped": got.skipped})
        return
    print_dataset(got.dataset)
    console.print(f"{got.filled:,} vectors came from the file, {got.skipped:,} rows were left out.")


def score(
    task: Annotated[str, typer.Argument(help="A task, such as empty-container.")],
    version: Annotated[int, typer.Argument(min=1, help="The head version to score.")],
    dataset: Annotated[str, typer.Option(help="NAME@VERSION, or NAME for its newest version.")],
    split: Annotated[Split, typer.Option(help="test: once for ever; validation: as often as you like.")] = Split.TEST,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Score a head on rows that it did not learn from. On test rows once: asked again, the first answer is given."""
    with opened(data) as store, transaction(store.sessions) as session:
        head = registry.numbered(session, task, version)
        judged = evaluation.score(session, head.id, datasets.named(session, dataset), split, author=actor())
    full_name = judged.dataset.full_name
    if as_json:
        told = {"task": task, "version": version, "dataset": full_name, "split": split.value}
        seen = {"repeated": judged.repeated, "consultations": judged.consultations}
        print_json({**told, **seen, "figures": judged.figures})
        return
    before = "; it was scored before, this is that answer" if judged.repeated else ""
    console.print(f"{task} version {version} on the {split} rows of {full_name}{before}:")
    plain = {name: value for name, value in judged.figures.items() if isinstance(value, (int, float))}
    print_table(["figure", "value"], [[name, f"{value:.4g}"] for name, value in plain.items()])
    for note in judged.figures.get("notes", []):
        console.print(note)
    console.print(f"{judged.consultations} head version(s) have seen these test rows.")
