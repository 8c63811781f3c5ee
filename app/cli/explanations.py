"""`penumbra explain`: where a task's live head finds its evidence in a scan."""

import time
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from app.api.schemas.explanations import ExplanationOut
from app.cli.output import DataOption, JsonOption, console, note, print_json, print_table
from app.cli.store import Store, actor, opened, wait_for_images
from app.db import transaction
from app.errors import InvalidInput
from app.imaging.prepare import Box
from app.services import explanation_pictures, explanations, folders, ingest, prediction, tasks
from app.services.explanations import Explained
from app.services.folders import Entry
from app.services.ingest import Metadata

LOOK_SECONDS = 0.1


def register(app: typer.Typer) -> None:
    app.command()(explain)


def explain(
    scan: Annotated[str, typer.Argument(help="A stored image's id, or a file, which is stored first.")],
    task: Annotated[str, typer.Option("--task", "-t", help="Task whose live head is asked.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write a PNG: the evidence over the scan.")] = None,
    width: Annotated[int | None, typer.Option(min=64, max=4096, help="Pixels of the PNG.")] = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show which parts of a scan speak for the positive class of a task, and which against it."""
    with opened(data) as store:
        with transaction(store.sessions) as session:
            tasks.named(session, task)
            prediction.live_head(session, task)
        found = _awaited(store, _image_id(store, scan), task)
        if out is not None:
            path, limits = store.blobs.existing(found.image.sha256), ingest.limits(store.settings)
            out.write_bytes(explanation_pictures.png(found, path, limits, width=width))
    if as_json:
        print_json(ExplanationOut.of(found).model_dump(mode="json"))
    else:
        _print(found)
        if out is not None:
            note(f"written: {out}")


def _image_id(store: Store, scan: str) -> UUID:
    """The image that is meant; a file is stored, and its vectors are waited for."""
    try:
        return UUID(scan)
    except ValueError:
        path = Path(scan)
    if not path.is_file():
        raise InvalidInput(f"{scan} is neither the id of an image nor a file.")
    entry = Entry(path, None, Metadata(source="cli"))
    summary = folders.run(store.sessions, store.blobs, store.settings, "", [entry], author=actor())
    for file, _, message in summary.refused:
        raise InvalidInput(f"{file}: {message}")
    wait_for_images(store, summary.image_ids)
    return summary.image_ids[0]


def _awaited(store: Store, image_id: UUID, task: str) -> Explained:
    """The explanation, as soon as a worker has made it. Raise Unavailable when none is there to do so."""
    while True:
        with transaction(store.sessions) as session:
            asked = explanations.question(session, image_id, task)
            found = explanations.stored(session, asked)
            if found is not None:
                return found
            explanations.request(session, asked, alive_seconds=store.settings.alive_seconds)
        time.sleep(LOOK_SECONDS)


def _print(found: Explained) -> None:
    head = found.head
    console.print(
        f"{found.task.name}: evidence for {found.task.positive}, in log-odds, by head version {head.version} "
        f"({head.algorithm}) on {found.feature_set.name}; image {found.image.id}"
    )
    for one in found.regions:
        loudest = one.hottest_region
        bias = one.facts["bias"]
        parts = "" if bias is None else f" = {one.heat.sum():.2f} in the cells {bias:+.2f} beside"
        console.print(
            f"\nframe {one.region.frame}, {_words(one.box)}: log-odds {one.facts['log_odds']:.2f}{parts}, "
            f"probability {one.facts['probability']:.3f}, by {one.method}; most in {_words(loudest.box)}"
        )
        rows = [[f"{value:+.2f}" for value in row] for row in one.heat]
        print_table([str(column + 1) for column in range(one.heat.shape[1])], rows)
        for text in one.facts["notes"]:
            note(text)


def _words(box: Box) -> str:
    return f"{box.width}x{box.height} at {box.x},{box.y}"
