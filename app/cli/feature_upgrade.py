"""`penumbra features upgrade`: from the feature sets of an earlier bundled network to those of the present one."""

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Annotated

import typer

from app.cli.feature_comparison import ask, ready, step_of
from app.cli.features import RateOption, features, follow_filling, images_per_second
from app.cli.output import DataOption, JsonOption, console, print_json, print_table
from app.cli.store import Store, actor, opened
from app.db import transaction
from app.errors import Conflict, HeadRefused, InvalidInput, NotTrainable
from app.models import FeatureStage
from app.services import backfill, feature_set_adding, feature_sets, upgrading
from app.services.feature_set_adding import Wanted
from app.services.switching import State, Step, Wish
from app.services.upgrading import Upgrade

# How often the filling of a set is waited for: scans that are uploaded meanwhile make it incomplete again.
ROUNDS = 20
# Of one task alone: the others go on.
REFUSALS = (Conflict, HeadRefused, NotTrainable, InvalidInput)
FILLING, OWN_HEAD, READY, SWITCHED, REFUSED = "filling", "own head", "ready", "switched", "refused"


def register(_: typer.Typer) -> None:
    """The command is on `features` already."""


@dataclass(frozen=True)
class Answers:
    """What was agreed to beforehand."""

    yes: bool
    own_heads: bool
    allow_incomplete: str | None
    override: str | None


@dataclass(frozen=True)
class Outcome:
    """How far a task is. `says`: what is left to do, or why not."""

    task: str
    present: str
    target: str
    state: str
    version: int | None = None
    flipped: int | None = None
    says: str = ""


@features.command()
def upgrade(
    task: Annotated[str | None, typer.Argument(help="One task; without it, all that use an earlier network.")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Watch the filling, then go on to the heads.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Let new starter heads go live without asking.")] = False,
    own_heads: Annotated[
        bool, typer.Option("--own-heads", help="Heads of your own too: the same recipe, trained on the new set.")
    ] = False,
    rate: RateOption = None,
    allow_incomplete: Annotated[
        str | None, typer.Option(help="Why a set that lacks images is accepted; the audit trail keeps it.")
    ] = None,
    override: Annotated[
        str | None, typer.Option(help="Why to go on although a check fails that may be weighed.")
    ] = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Move tasks to the network that comes with this version: add its sets, fill them, let their heads go live.

    Run it again whenever you like: it goes on where it was. Former sets and heads stay, for `penumbra rollback TASK`.
    """
    answers = Answers(yes, own_heads, allow_incomplete, override)
    with opened(data) as store:
        with transaction(store.sessions) as session:
            plan = upgrading.pending(session, task)
        _fill(store, plan, images_per_second(rate))
        outcomes = [_moved(store, one, answers, wait=wait, interactive=not as_json) for one in plan]
    if as_json:
        print_json({"tasks": [asdict(one) for one in outcomes]})
    else:
        _print(outcomes)
    if any(one.state == REFUSED for one in outcomes):
        raise typer.Exit(1)


def _fill(store: Store, plan: Sequence[Upgrade], rate: float | None) -> None:
    """Add the sets that are not here yet, and have what they lack extracted."""
    for target in dict.fromkeys(one.target for one in plan):
        spec, origin = feature_set_adding.prepare(Wanted(target), store.settings)
        with transaction(store.sessions) as session:
            added, _ = feature_set_adding.add(session, spec, origin, author=actor())
            if added.stage == FeatureStage.RETIRED:
                backfill.start(session, target, rate=rate, author=actor())
            elif added.stage == FeatureStage.FILLING and rate is not None:
                backfill.limit(session, target, rate, author=actor())


def _moved(store: Store, one: Upgrade, answers: Answers, *, wait: bool, interactive: bool) -> Outcome:
    """Bring a task as far as it can go now; `wait`: past the filling, which uploads may make a matter of moments."""
    for _ in range(ROUNDS if wait else 1):
        if wait:
            follow_filling(store, one.target)
        outcome = _move(store, one, answers, interactive=interactive)
        if outcome.state != FILLING:
            break
    return outcome


def _move(store: Store, one: Upgrade, answers: Answers, *, interactive: bool) -> Outcome:
    """Bring a task as far as it can go now."""
    if answers.allow_incomplete is None and (unfilled := _unfilled(store, one)) is not None:
        return unfilled
    if one.own_head and not answers.own_heads:
        says = f"`penumbra features switch {one.task} {one.target}` trains its recipe anew, shows what flips, and asks"
        return _outcome(one, OWN_HEAD, says=says)
    wish = Wish(one.task, one.target, None, answers.allow_incomplete, answers.override)
    try:
        step = ready(store, wish)
        if step.state is State.READY:
            if not answers.yes:
                if not interactive or not sys.stdin.isatty():
                    return _outcome(one, READY, step, says="look at what flips, then say --yes")
                ask(step)
            agreed = Wish(one.task, one.target, None, answers.allow_incomplete, answers.override, agreed=True)
            step = step_of(store, agreed)
    except REFUSALS as error:
        unfilled = _unfilled(store, one) if answers.allow_incomplete is None else None
        return unfilled or _outcome(one, REFUSED, says=error.message)
    return _outcome(one, SWITCHED, step, says=f"`penumbra rollback {one.task}` goes back to {one.present}")


def _unfilled(store: Store, one: Upgrade) -> Outcome | None:
    with transaction(store.sessions) as session:
        pending = backfill.coverage(session, feature_sets.named(session, one.target)).pending
    return _outcome(one, FILLING, says=f"{pending:,} images to go; run this again with --wait") if pending else None


def _outcome(one: Upgrade, state: str, step: Step | None = None, *, says: str) -> Outcome:
    version = step.head.version if step and step.head else None
    flipped = step.standing.replay.flipped if step and step.standing else None
    return Outcome(one.task, one.present, one.target, state, version, flipped, says)


def _print(outcomes: Sequence[Outcome]) -> None:
    if not outcomes:
        console.print("Nothing to upgrade: no task uses the feature set of an earlier bundled network.")
        return
    rows = [[one.task, one.present, one.target, one.state, one.version, one.flipped, one.says] for one in outcomes]
    print_table(["task", "from", "to", "state", "version", "flipped", "what is left"], rows)
    if any(one.state == FILLING for one in outcomes):
        console.print("Workers fill the new sets behind live traffic; everything is answered as before meanwhile.")
    for former in dict.fromkeys(one.present for one in outcomes if one.state == SWITCHED):
        console.print(
            f"New scans are still extracted into {former} as well, until no task uses it and it is retired: "
            f"`penumbra features retire {former}`."
        )
