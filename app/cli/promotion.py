"""Commands on which head is live, and on what another would change: gate, replay, promote, rollback."""

import sys
from dataclasses import asdict
from typing import Annotated, Any

import typer

from app.cli.follow import follow
from app.cli.output import DataOption, JsonOption, console, print_json, print_table
from app.cli.recipe_options import TaskArgument
from app.cli.store import Store, actor, opened
from app.db import transaction
from app.errors import Conflict, HeadRefused, InvalidInput
from app.models import Head, Replay, ReplayFlip
from app.services import gate, registry
from app.services import replay as replays
from app.services.replay import Standing

VersionArgument = Annotated[int, typer.Argument(min=1, help="A head version.")]
FIRST_FLIPS = 10


def register(app: typer.Typer) -> None:
    app.command("gate")(show_gate)
    app.command()(replay)
    app.command()(promote)
    app.command()(rollback)


def show_gate(
    task: TaskArgument, version: VersionArgument, data: DataOption = None, as_json: JsonOption = False
) -> None:
    """Show every check that a promotion would make, passed or not; nothing is promoted."""
    with opened(data) as store, transaction(store.sessions) as session:
        head = registry.numbered(session, task, version)
        checks = gate.checks(session, head, margin=store.settings.promotion_margin)
    failed = gate.failures(checks)
    if as_json:
        print_json({"task": task, "version": version, "passed": not failed, "checks": [asdict(one) for one in checks]})
    else:
        _print_checks(checks)
    if failed:
        raise typer.Exit(1)


def _print_checks(checks: list[gate.Check]) -> None:
    words = {True: "passed", False: "FAILED", None: "not measured"}
    numbers = [tuple("" if n is None else f"{n:.4g}" for n in (one.measured, one.bound)) for one in checks]
    rows = [[one.name, words[one.passed], *pair, one.says] for one, pair in zip(checks, numbers, strict=True)]
    print_table(["check", "result", "measured", "bound", "says"], rows)


def replay(
    task: TaskArgument,
    version: VersionArgument,
    flips: Annotated[int, typer.Option(min=0, max=1000, help="How many flips to list, the furthest moved first.")] = (
        FIRST_FLIPS
    ),
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Judge the archive by a head and by the live one, and list every decision that a promotion would flip."""
    with opened(data) as store:
        with transaction(store.sessions) as session:
            head = registry.numbered(session, task, version)
        _run(store, head)
        with transaction(store.sessions) as session:
            found = replays.latest(session, head.id)
            first = replays.flips(session, found.id, limit=flips) if flips else []
    if as_json:
        print_json({"task": task, "version": version, **_counts(found), "first": [_flip(one) for one in first]})
    else:
        _print_replay(found, first)


def _run(store: Store, head: Head) -> None:
    with transaction(store.sessions) as session:
        job = replays.request(session, head.id, author=actor())
    follow(store, job, "replay")


def _counts(found: Replay) -> dict[str, Any]:
    return {
        "replay": str(found.id), "against": found.against_id and str(found.against_id), "regions": found.regions,
        "flipped": found.flipped, "flips": found.flips, "seconds": round(found.seconds, 3), "at": found.at,
    }  # fmt: skip


def _flip(one: ReplayFlip) -> dict[str, Any]:
    return {
        "image": str(one.image_id), "region": one.region_id, "before": one.before, "after": one.after,
        "probability_before": round(one.probability_before, 4), "probability_after": round(one.probability_after, 4),
    }  # fmt: skip


def _print_replay(found: Replay, first: list[ReplayFlip]) -> None:
    took = f"(replay {found.id}, {found.seconds:.1f} s)"
    console.print(f"{found.flipped} of {found.regions} decisions would flip {took}", style="bold")
    rows = [[b, a, count] for b, row in found.flips.items() for a, count in row.items()]
    print_table(["before", "after", "regions"], rows)
    if first:
        columns = ["image", "region", "before", "after", "P before", "P after"]
        print_table(columns, [list(_flip(one).values()) for one in first])


def promote(
    task: TaskArgument,
    version: VersionArgument,
    yes: Annotated[bool, typer.Option("--yes", help="Promote without asking.")] = False,
    override: Annotated[
        str | None, typer.Option(help="Why to promote although policy or margin fail; the audit trail keeps it.")
    ] = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a head version live, if it passes the gate, after a replay has said what that changes.

    The replay is run if there is no up-to-date one. Stored scans are judged again by a worker.
    """
    if as_json and not yes:
        raise InvalidInput("--json cannot ask whether to go on: say --yes as well.")
    if override is not None and len(override.strip()) < 3:
        raise InvalidInput("--override: state a reason that a reader of the audit trail understands.")
    with opened(data) as store:
        with transaction(store.sessions) as session:
            head = registry.numbered(session, task, version)
            _refuse_early(gate.checks(session, head, margin=store.settings.promotion_margin), override)
        standing = _standing(store, head)
        if standing is not None and not yes:
            _ask(standing)
        with transaction(store.sessions) as session:
            promoted = registry.promote(
                session, head.id, author=actor(), margin=store.settings.promotion_margin, override=override
            )
    _print_promoted(promoted, standing, as_json=as_json)


def _refuse_early(checks: list[gate.Check], override: str | None) -> None:
    """A replay for a head that its gate refuses anyway would be a waste of somebody's minutes."""
    refusing = [one for one in gate.failures(checks) if override is None or not one.overridable]
    if refusing:
        remedy = " State a reason with --override to promote it all the same."
        said = " ".join(f"{one.name}: {one.says}" for one in refusing)
        raise HeadRefused(f"The gate refuses it: {said}{remedy if all(one.overridable for one in refusing) else ''}")


def _standing(store: Store, head: Head) -> Standing | None:
    """An up-to-date replay, run now if need be; None when no head is live."""
    for last in (False, True):
        try:
            with transaction(store.sessions) as session:
                return replays.required(session, session.get_one(Head, head.id))
        except Conflict:
            if last:
                raise
            _run(store, head)
    return None


def _ask(standing: Standing) -> None:
    _print_replay(standing.replay, [])
    if not sys.stdin.isatty():
        raise InvalidInput("Nobody is here to agree to this: look at the counts, then say --yes.")
    typer.confirm("Promote it?", abort=True)


def rollback(task: TaskArgument, data: DataOption = None, as_json: JsonOption = False) -> None:
    """Make the head live that was live before the present one."""
    with opened(data) as store, transaction(store.sessions) as session:
        promoted = registry.rollback(session, task, author=actor())
    _print_promoted(promoted, None, as_json=as_json)


def _print_promoted(promoted: registry.Promoted, standing: Standing | None, *, as_json: bool) -> None:
    before = promoted.previous.version if promoted.previous else None
    if as_json:
        counts = {"replay": _counts(standing.replay)} if standing else {}
        print_json({"task": promoted.head.task, "live": promoted.head.version, "previous": before, **counts})
    else:
        flipped = f"; {standing.replay.flipped} of {standing.replay.regions} decisions flip" if standing else ""
        console.print(
            f"{promoted.head.task}: version {promoted.head.version} is live (before: {before or 'none'}){flipped}."
        )
