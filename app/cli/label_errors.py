"""The command on probable label errors: list, decide, draw a contact sheet."""

from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer

from app.cli import contact_sheet
from app.cli.output import DataOption, JsonOption, console, print_json, print_table
from app.cli.recipe_options import TaskArgument
from app.cli.store import Store, actor, opened
from app.db import transaction
from app.errors import InvalidInput
from app.services import label_review, registry, suspect_neighbours
from app.services.label_review import Bound, Decided, Decision, Review, State, Suspect

IdsOption = Annotated[str | None, typer.Option(help="Image ids, comma-separated.")]


def register(app: typer.Typer) -> None:
    app.command("label-errors")(label_errors)


def label_errors(
    task: TaskArgument,
    version: Annotated[int, typer.Argument(min=1, help="The head version whose answers speak.")],
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many, the most suspect first.")] = 20,
    state: Annotated[State | None, typer.Option(help="Only suspects in this state.")] = None,
    accept: IdsOption = None,
    reject: IdsOption = None,
    accept_first: Annotated[int | None, typer.Option(min=1, help="Accept the open ones of the first ranks.")] = None,
    accept_below: Annotated[
        float | None, typer.Option(min=0, max=1, help="Accept the open ones of at most this P(given class).")
    ] = None,
    accept_likely: Annotated[bool, typer.Option("--accept-likely", help="Accept all open likely errors.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count what a decision is on, and store nothing.")] = False,
    html: Annotated[Path | None, typer.Option(help="Write a contact sheet with thumbnails and neighbours.")] = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """List images whose label is probably wrong, and accept or reject what a head suggests for them."""
    decisions = _decisions(accept, reject, _bound(accept_first, accept_below, accept_likely))
    with opened(data) as store:
        with transaction(store.sessions) as session:
            head_id = registry.numbered(session, task, version).id
            done = [_decide(session, head_id, decision, chosen, dry_run=dry_run) for decision, chosen in decisions]
        with transaction(store.sessions) as session:
            found = label_review.review(session, head_id)
            shown = [one for one in found.suspects if state is None or one.state is state][:limit]
            if html is not None:
                near = suspect_neighbours.nearest(session, found.head, shown, count=5)
        if html is not None:
            _write(store, found, shown, near, html)
    _print(found, shown, done, html, dry_run=dry_run, as_json=as_json)


def _decisions(
    accept: str | None, reject: str | None, bound: Bound | None
) -> list[tuple[Decision, list[UUID] | Bound]]:
    wanted: list[tuple[Decision, list[UUID] | Bound]] = []
    if accept is not None:
        wanted.append(("accept", _ids("--accept", accept)))
    if reject is not None:
        wanted.append(("reject", _ids("--reject", reject)))
    if bound is not None:
        wanted.append(("accept", bound))
    return wanted


def _bound(first: int | None, below: float | None, likely: bool) -> Bound | None:
    return None if first is None and below is None and not likely else Bound(first=first, below=below, likely=likely)


def _ids(option: str, text: str) -> list[UUID]:
    try:
        return [UUID(part.strip()) for part in text.split(",") if part.strip()]
    except ValueError as error:
        raise InvalidInput(f"{option} {text}: give image ids, comma-separated.") from error


def _decide(session: Any, head_id: UUID, decision: Decision, chosen: list[UUID] | Bound, *, dry_run: bool) -> Decided:
    if isinstance(chosen, Bound):
        return label_review.decide_all(session, head_id, chosen, decision, author=actor(), dry_run=dry_run)
    return label_review.decide(session, head_id, chosen, decision, author=actor(), dry_run=dry_run)


def _write(store: Store, found: Review, shown: list[Suspect], near: list[Any], path: Path) -> None:
    path.write_text(contact_sheet.render(store.sessions, store.blobs, store.settings, found, shown, near), "utf-8")


def _print(
    found: Review, shown: list[Suspect], done: list[Decided], html: Path | None, *, dry_run: bool, as_json: bool
) -> None:
    if as_json:
        print_json({
            "head": str(found.head.id), "rows": found.rows, "suspects": len(found.suspects), "likely": found.likely,
            "estimated_errors": found.estimated_errors, "noise": found.noise, "dry_run": dry_run,
            "decided": [vars(one) for one in done], "written": html and str(html),
            "items": [_row(one) for one in shown],
        })  # fmt: skip
        return
    for one in done:
        verb = "would be stored" if dry_run else "stored"
        changes = ", ".join(f"{count} {change}" for change, count in one.changes.items()) or "none"
        console.print(f"Decided on {one.suspects} suspects ({changes}): {one.stored} review labels {verb}.")
    console.print(
        f"{len(found.suspects)} suspects among {found.rows} rows of head {found.head.task} v{found.head.version}, "
        f"{found.likely} likely errors; about {found.estimated_errors:.0f} labels are estimated to be wrong."
    )
    columns = ["rank", "given", "suggested", "P(given)", "likely", "state", "image"]
    rows = [
        [
            one.rank,
            one.given,
            one.suggested,
            f"{one.self_confidence:.4f}",
            "yes" if one.likely else "",
            one.state,
            one.image_id,
        ]
        for one in shown
    ]
    print_table(columns, rows)
    if html is not None:
        console.print(f"Contact sheet: {html}")


def _row(one: Suspect) -> dict[str, Any]:
    return {
        "rank": one.rank, "image": str(one.image_id), "given": one.given, "suggested": one.suggested,
        "label": one.label, "self_confidence": one.self_confidence, "likely": one.likely, "state": one.state,
        "probabilities": one.probabilities,
    }  # fmt: skip
