"""Commands on feature sets: list, show, add, backfill, pause, resume, rate, retire, drop."""

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from app.cli.output import DataOption, JsonOption, console, note, print_json, print_table, progress_bar
from app.cli.store import Store, actor, opened
from app.db import transaction
from app.errors import Conflict, InvalidInput, Unavailable
from app.models import FeatureSet, FeatureStage
from app.services import backfill as filling
from app.services import feature_set_adding, feature_set_removal, feature_set_use, feature_sets, stats, upgrading
from app.services.backfill import Coverage
from app.services.feature_set_adding import Wanted
from app.services.feature_set_use import Described

LOOK_SECONDS = 1.0
NameArgument = Annotated[str, typer.Argument(help="A feature set, such as densenet121-container.")]
RateOption = Annotated[str | None, typer.Option(help="Images a second at most, such as 20/s.")]

features = typer.Typer(name="features", help="Feature sets: add, fill, compare, switch, drop.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    app.add_typer(features)


@features.command("list")
def list_sets(data: DataOption = None, as_json: JsonOption = False) -> None:
    """List feature sets: what they are, how far they are, what uses them."""
    with opened(data) as store, transaction(store.sessions) as session:
        rows = [_row(one) for one in feature_set_use.describe(session, feature_sets.every(session))]
        newer = upgrading.notice(session)
    if as_json:
        print_json(rows)
        return
    columns = ["name", "stage", "backbone", "profile", "dims", "done", "failed", "rate", "used by"]
    print_table(columns, [_cells(row) for row in rows])
    if newer is not None:
        console.print(f"\n{newer[0].upper()}{newer[1:]}.")


@features.command()
def show(name: NameArgument, data: DataOption = None, as_json: JsonOption = False) -> None:
    """Show one feature set: its identity, its origin, how far it is, what uses it."""
    with opened(data) as store, transaction(store.sessions) as session:
        found = feature_set_use.describe(session, [feature_sets.named(session, name)])[0]
    row = _row(found) | {"digest": found.feature_set.digest, "origin": found.feature_set.origin,
                         "created_at": found.feature_set.created_at, "spec": found.feature_set.spec}  # fmt: skip
    if as_json:
        print_json(row)
    else:
        shown = row | {"spec": None, "coverage": _coverage(row["coverage"]), "used_by": _users(row)}
        del shown["spec"], shown["tasks"], shown["live_heads"]
        print_table(["what", "value"], [[key.replace("_", " "), value] for key, value in shown.items()])


@features.command()
def add(
    name: NameArgument,
    backbone: Annotated[str | None, typer.Option(help="Such as densenet121; a known name has its own.")] = None,
    weights: Annotated[
        str | None, typer.Option(help="A file (.npz, .h5, .keras), imagenet-download, or random:SEED.")
    ] = None,
    profile: Annotated[str | None, typer.Option(help="container or chest; without it, for every kind of scan.")] = None,
    int8_of: Annotated[str | None, typer.Option(help="Quantise the network of this feature set.")] = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Add a feature set. Nothing is extracted until it is filled; a known name needs no more than its name."""
    wanted = Wanted(name, backbone, weights, profile, int8_of)
    with opened(data) as store:
        with transaction(store.sessions) as session:
            base = feature_set_adding.base_of(session, wanted)
        spec, origin = feature_set_adding.prepare(wanted, store.settings, base=base)
        with transaction(store.sessions) as session:
            added, new = feature_set_adding.add(session, spec, origin, author=actor())
    if as_json:
        print_json({"name": added.name, "digest": added.digest, "stage": added.stage, "new": new})
        return
    kind = f"{added.profile} scans" if added.profile else "every kind of scan"
    console.print(
        f"{added.name} is {'registered' if new else 'here already'} ({added.stage}): {spec.backbone}, {added.avg_dim} "
        f"and {added.max_dim} dimensions, for {kind}."
    )
    if added.stage == FeatureStage.FILLING:
        console.print(f"Workers fill it behind live traffic; watch with `penumbra features backfill {name} --wait`.")


@features.command()
def backfill(
    name: NameArgument,
    rate: RateOption = None,
    wait: Annotated[bool, typer.Option("--wait", help="Return when nothing is pending.")] = False,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Have everything extracted that a feature set lacks, behind live traffic. Ctrl-C stops watching, nothing else."""
    with opened(data) as store:
        with transaction(store.sessions) as session:
            found = filling.start(session, name, rate=images_per_second(rate), author=actor())
            coverage = filling.coverage(session, found)
        if wait:
            coverage = follow_filling(store, name)
    _print_progress(found, coverage, as_json=as_json)


@features.command()
def pause(name: NameArgument, data: DataOption = None, as_json: JsonOption = False) -> None:
    """Extract no more into a set that is being filled, until it is resumed."""
    with opened(data) as store, transaction(store.sessions) as session:
        found = filling.pause(session, name, author=actor())
        coverage = filling.coverage(session, found)
    _print_progress(found, coverage, as_json=as_json)


@features.command()
def resume(name: NameArgument, data: DataOption = None, as_json: JsonOption = False) -> None:
    """Go on with a backfill that was paused."""
    with opened(data) as store, transaction(store.sessions) as session:
        found = filling.resume(session, name, author=actor())
        coverage = filling.coverage(session, found)
    _print_progress(found, coverage, as_json=as_json)


@features.command()
def rate(
    name: NameArgument,
    bound: Annotated[str, typer.Argument(help="Images a second at most, such as 20/s; or none.")],
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Slow a backfill down, or let it run as fast as the workers can."""
    with opened(data) as store, transaction(store.sessions) as session:
        found = filling.limit(session, name, None if bound == "none" else images_per_second(bound), author=actor())
        coverage = filling.coverage(session, found)
    _print_progress(found, coverage, as_json=as_json)


@features.command()
def retire(name: NameArgument, data: DataOption = None, as_json: JsonOption = False) -> None:
    """Extract no more into a set, and keep what it has. `backfill` brings it back."""
    with opened(data) as store, transaction(store.sessions) as session:
        found = feature_set_removal.retire(session, name, configured=store.settings.feature_set, author=actor())
    if as_json:
        print_json({"name": found.name, "stage": found.stage})
    else:
        console.print(f"{found.name} is retired: its vectors stay, and new scans are no longer extracted into it.")


@features.command()
def drop(
    name: NameArgument,
    yes: Annotated[bool, typer.Option("--yes", help="Really: its vectors cannot be brought back.")] = False,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Drop a feature set with its vectors, in one step. Refused while a task or a live head uses it."""
    with opened(data) as store:
        if not yes:
            with transaction(store.sessions) as session:
                coverage = filling.coverage(session, feature_sets.named(session, name))
            raise InvalidInput(
                f"This drops the vectors of {coverage.done:,} images for good; they would have to be extracted again. "
                "Say --yes."
            )
        with transaction(store.sessions) as session:
            gone = feature_set_removal.drop(session, name, configured=store.settings.feature_set, author=actor())
        weights = store.settings.weights_dir
    if as_json:
        print_json(gone)
    else:
        _print_dropped(gone, weights)


def _print_dropped(gone: feature_set_removal.Dropped, weights: Path) -> None:
    console.print(
        f"{gone.name} is dropped: {gone.vectors:,} vectors, {gone.bytes_freed / 2**20:,.1f} MiB of disk freed, "
        f"{gone.jobs:,} jobs forgotten."
    )
    if gone.regions or gone.regions_kept:
        console.print(
            f"{gone.regions:,} regions of its cut went with it; {gone.regions_kept:,} that were judged stay, as the "
            "record of what was decided."
        )
    if gone.recorded:
        console.print(
            f"{gone.heads} heads and {gone.datasets} datasets made with it stay as records: they cannot be promoted "
            "or trained on."
        )
    console.print(f"Its weights, if they were installed, stay in {weights}: the same set can be added again.")


def images_per_second(text: str | None) -> float | None:
    """`20`, or `20/s`."""
    if text is None:
        return None
    try:
        return float(text.removesuffix("/s"))
    except ValueError as error:
        raise InvalidInput(f"'{text}' is no rate: say images a second, such as 20/s.") from error


def follow_filling(store: Store, name: str) -> Coverage:
    """The coverage once nothing is pending. Raise Unavailable when no worker is there, Conflict when it is paused."""
    patience = time.monotonic() + store.settings.alive_seconds
    try:
        with progress_bar(f"filling {name}") as (bar, line):
            while True:
                started = time.monotonic()
                with transaction(store.sessions) as session:
                    found = feature_sets.named(session, name)
                    now = filling.coverage(session, found)
                    alive = stats.alive_workers(session, within_seconds=store.settings.alive_seconds)
                bar.update(line, completed=now.done + now.failed, total=now.applicable)
                if not now.pending:
                    return now
                if found.paused:
                    raise Conflict(f"The backfill of {name} is paused; `penumbra features resume {name}` goes on.")
                if not any(worker.kind == "extract" for worker in alive) and time.monotonic() > patience:
                    raise Unavailable(
                        f"{now.pending:,} images wait, but no extraction worker runs on this store; start "
                        "`penumbra up` (or `penumbra worker`) and run this again: nothing is lost."
                    )
                # Counting reads every image: of a large archive no more than a tenth of the time.
                time.sleep(max(LOOK_SECONDS, 10 * (time.monotonic() - started)))
    except KeyboardInterrupt:
        note(f"{name} is still being filled; run this again to watch, or `penumbra features pause {name}` to stop it.")
        raise


def _print_progress(found: FeatureSet, coverage: Coverage, *, as_json: bool) -> None:
    if as_json:
        counts = {"applicable": coverage.applicable, "done": coverage.done, "failed": coverage.failed}
        told = {"name": found.name, "stage": found.stage, "paused": found.paused, "rate": found.rate}
        print_json({**told, **counts, "pending": coverage.pending})
        return
    state = "paused" if found.paused else found.stage
    bound = f", at most {found.rate:g} images/s" if found.rate is not None else ""
    console.print(
        f"{found.name} ({state}{bound}): {coverage.done:,} of {coverage.applicable:,} images done, "
        f"{coverage.pending:,} pending, {coverage.failed:,} failed."
    )


def _row(one: Described) -> dict[str, Any]:
    found, coverage = one.feature_set, one.coverage
    counted = coverage and {
        "applicable": coverage.applicable, "done": coverage.done, "failed": coverage.failed,
        "pending": coverage.pending,
    }  # fmt: skip
    return {
        "name": found.name, "stage": found.stage, "backbone": found.spec.get("backbone"), "profile": found.profile,
        "cut": found.cut, "dimensions": [found.avg_dim, found.max_dim], "coverage": counted, "paused": found.paused,
        "rate": found.rate, "waiting": one.waiting, "images_per_second": one.images_per_second,
        "tasks": one.use.tasks, "live_heads": dict(one.use.heads), "superseded_by": one.superseded_by,
    }  # fmt: skip


def _cells(row: dict[str, Any]) -> list[object]:
    stage = f"{row['stage']}, paused" if row["paused"] else row["stage"]
    rate = "" if row["rate"] is None else f"{row['rate']:g}/s"
    failed = row["coverage"]["failed"] if row["coverage"] else ""
    dims = " + ".join(str(n) for n in row["dimensions"])
    return [row["name"], stage, row["backbone"], row["profile"] or "any", dims, _coverage(row["coverage"]), failed,
            rate, _users(row)]  # fmt: skip


def _coverage(counted: dict[str, int] | None) -> str:
    return f"{counted['done']:,} of {counted['applicable']:,}" if counted else ""


def _users(row: dict[str, Any]) -> str:
    heads = {task: f"{task} (live: v{version})" for task, version in row["live_heads"].items()}
    return ", ".join([*heads.values(), *(task for task in row["tasks"] if task not in heads)])
