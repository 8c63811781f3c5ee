"""The command `worklist`: what a person should look at next."""

from typing import Annotated, Any

import typer

from app.cli.output import DataOption, JsonOption, console, print_json, print_table
from app.cli.store import actor, opened
from app.db import transaction
from app.services import tasks, worklist, worklist_items
from app.services.filters import ImageFilter
from app.services.worklist import Order, WorklistFilter
from app.services.worklist_items import Item


def register(app: typer.Typer) -> None:
    app.command("worklist")(show)


def show(
    task: Annotated[str, typer.Argument(help="A task, such as empty-container.")],
    capacity: Annotated[
        int | None, typer.Option(min=1, max=100_000, help="The so many images that promise the most findings.")
    ] = None,
    pile: Annotated[list[str] | None, typer.Option(help="Only this pile; may be given again.")] = None,
    source: Annotated[str | None, typer.Option(help="Only images of this source.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many, without --capacity.")] = 20,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a task's worklist, discrepancies first; with --capacity by expected findings, and how many to expect."""
    order = Order.PILES if capacity is None else Order.FINDINGS
    wanted = WorklistFilter(where=ImageFilter(source=source), piles=tuple(pile or ()), order=order)
    with opened(data) as store, transaction(store.sessions) as session:
        asked = tasks.named(session, task)
        found, _ = worklist.page(session, asked, wanted, author=actor(), limit=capacity or limit)
        items = worklist_items.describe(session, asked, [one.image_id for one in found], author=actor())
        counts = worklist.counts(session, asked, wanted, author=actor())
    rows = [_row(item) for item in items]
    hidden = any(item.hidden for item in items)
    expected = None if hidden else round(sum(item.finding or 0 for item in items), 1)
    if as_json:
        print_json({"open": counts.piles, "expected_findings": expected, "blind": asked.blind, "items": rows})
        return
    console.print(", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in counts.piles.items()))
    columns = ["pile", "finding", "decision", "declared", "subject", "file", "image", "looked_at_by"]
    shown = [row | {"finding": None if row["finding"] is None else f"{row['finding']:.3f}"} for row in rows]
    print_table(
        [column.replace("_", " ") for column in columns], [[row[column] for column in columns] for row in shown]
    )
    if capacity is not None and expected is not None:
        console.print(f"{expected:g} findings are expected among these {len(rows)}.")


def _row(item: Item) -> dict[str, Any]:
    return {
        "pile": item.pile, "finding": None if item.finding is None else round(item.finding, 4),
        "risk": None if item.risk is None else round(item.risk, 4), "decision": item.said and item.said.decision,
        "declared": item.declared, "subject": item.image.subject, "source": item.image.source,
        "file": item.image.file_name, "image": str(item.image.id), "looked_at_by": item.claim and item.claim.author,
    }  # fmt: skip
