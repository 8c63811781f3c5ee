"""Commands on scans: import, predict, search, simulate."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer

from app.cli.output import DataOption, JsonOption, console, note, print_json, print_table, progress_bar
from app.cli.store import Store, actor, opened, wait_for_images
from app.db import transaction
from app.errors import InvalidInput
from app.heads.policy_words import badness
from app.services import feature_sets, folders, images, prediction, search, tasks, unjudgeable
from app.services.filters import ImageFilter
from app.services.folders import Entry, Summary
from app.services.images import ImageView, PredictionView
from app.services.ingest import Metadata
from app.simulator import SCANNER_NAMES, Case, case_of, write_folder

FilesArgument = Annotated[list[Path], typer.Argument(help="Scans.", exists=True, dir_okay=False)]
NoWaitOption = Annotated[bool, typer.Option("--no-wait", help="Return when all are stored, before extraction.")]


def register(app: typer.Typer) -> None:
    app.command("import")(import_folder)
    app.command()(predict)
    app.command("search")(search_file)
    app.command()(simulate)


def import_folder(
    folder: Annotated[Path, typer.Argument(help="Folder with one folder per class.", exists=True, file_okay=False)],
    task: Annotated[str, typer.Option("--task", "-t", help="Task that the labels belong to.")],
    labels: Annotated[
        Path | None,
        typer.Option(help=f"CSV instead of class folders; columns: {', '.join(folders.CSV_COLUMNS)}.", exists=True),
    ] = None,
    source: Annotated[str | None, typer.Option(help="Where the scans come from.")] = None,
    subject_pattern: Annotated[
        str | None,
        typer.Option(help="Regular expression on file names; its first group is the subject (patient, container)."),
    ] = None,
    no_wait: NoWaitOption = False,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Import labelled scans. Run it again after an interruption: what is stored is not stored twice."""
    subject = _compiled(subject_pattern)
    with opened(data) as store:
        with transaction(store.sessions) as session:
            known_task = tasks.named(session, task)
        entries = (
            folders.scan_csv(folder, labels, known_task, source=source, subject=subject)
            if labels
            else folders.scan_class_folders(folder, known_task, source=source, subject=subject)
        )
        summary = _run(store, task, entries)
        if labels is None:
            summary.refused += folders.left_out(folder, known_task)
        if not no_wait:
            wait_for_images(store, summary.image_ids)
    _print_summary(summary, as_json=as_json)
    if summary.refused and not summary.image_ids:
        raise typer.Exit(1)


def _compiled(pattern: str | None) -> re.Pattern[str] | None:
    if pattern is None:
        return None
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise InvalidInput(f"--subject-pattern is no regular expression: {error}.") from error
    if compiled.groups < 1:
        raise InvalidInput("--subject-pattern needs a group, such as '^(person[0-9]+)'.")
    return compiled


def _run(store: Store, task: str, entries: list[Entry]) -> Summary:
    with progress_bar("storing") as (bar, line):
        bar.update(line, total=len(entries))
        return folders.run(
            store.sessions, store.blobs, store.settings, task, entries,
            author=actor(), on_progress=lambda count: bar.advance(line, count),
        )  # fmt: skip


def _print_summary(summary: Summary, *, as_json: bool) -> None:
    refused = [{"file": f, "code": c, "message": m} for f, c, m in summary.refused]
    if as_json:
        print_json({
            "created": summary.created, "known": summary.known, "labelled": summary.labelled, "refused": refused,
        })  # fmt: skip
        return
    console.print(f"{summary.created} new, {summary.known} known, {summary.labelled} labelled, {len(refused)} refused.")
    if refused:
        print_table(["file", "why", "what to do"], [list(r.values()) for r in refused])


def _store_files(store: Store, task: str, files: list[Path]) -> list[tuple[str, UUID]]:
    """Store files without labels and wait for their vectors; name and id of each that was taken."""
    summary = _run(store, task, [Entry(path, None, Metadata(source="cli")) for path in files])
    for file, _, message in summary.refused:
        note(f"{file}: {message}")
    wait_for_images(store, list(summary.by_path.values()))
    return list(summary.by_path.items())


def predict(
    files: FilesArgument,
    task: Annotated[str, typer.Option("--task", "-t", help="Task to answer.")],
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Store scans and print what the task's live head says of them."""
    with opened(data) as store:
        with transaction(store.sessions) as session:
            tasks.named(session, task)
            head = prediction.live_head(session, task)
        stored = _store_files(store, task, files)
        with transaction(store.sessions) as session:
            views = {v.image.id: v for v in images.describe(session, [i for _, i in stored])}
            foreign = {i: unjudgeable.of_another_kind(session, head, i) for i in views}
    rows = [
        _prediction_row(name, views[i], foreign[i] or [p for p in views[i].predictions if p.task == task])
        for name, i in stored
    ]
    if as_json:
        print_json(rows)
    else:
        print_table(["file", "decision", "probabilities", "reason", "image"], [_readable(row) for row in rows])
    if len(rows) < len(files) or any(row["decision"] is None for row in rows):
        raise typer.Exit(1)


def _prediction_row(name: str, view: ImageView, said: Sequence[PredictionView]) -> dict[str, Any]:
    """What was said of an image: the worst of its regions."""
    worst = min(said, key=lambda one: badness(one.decision, one.positive), default=None)
    if worst is None:
        message = (view.error or {}).get("message", view.state)
        return {"file": name, "decision": None, "probabilities": message, "reason": None, "image": view.image.id}
    rounded = {c: round(p, 4) for c, p in worst.probabilities.items()}
    return {
        "file": name, "decision": worst.decision, "probabilities": rounded, "reason": worst.reason,
        "image": view.image.id,
    }  # fmt: skip


def _readable(row: dict[str, Any]) -> list[object]:
    """A row for people: the file's name, and probabilities as words."""
    said = row["probabilities"]
    words = ", ".join(f"{c} {p:.3f}" for c, p in said.items()) if isinstance(said, dict) else said
    return [Path(row["file"]).name, row["decision"], words, row["reason"] or "", row["image"]]


def search_file(
    file: Annotated[Path, typer.Argument(help="A scan.", exists=True, dir_okay=False)],
    limit: Annotated[int, typer.Option(min=1, max=100)] = 10,
    exact: Annotated[bool, typer.Option("--exact", help="Look at every vector instead of the index.")] = False,
    source: Annotated[str | None, typer.Option(help="Only scans of this source.")] = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Store a scan and print the stored scans most like it."""
    with opened(data) as store:
        stored = _store_files(store, "", [file])
        if not stored:
            raise typer.Exit(1)
        with transaction(store.sessions) as session:
            feature_set = feature_sets.of_image(session, stored[0][1], None, store.settings.feature_set)
            found = search.by_image(
                session, feature_set, stored[0][1], ImageFilter(source=source), limit=limit, exact=exact
            )
            named = {i.image.id: i for i in images.describe(session, [n.image_id for n in found.found])}
    rows: list[dict[str, Any]] = [
        {"distance": round(n.distance, 4), "name": named[n.image_id].image.file_name,
         "decisions": named[n.image_id].decisions, "image": n.image_id}
        for n in found.found
    ]  # fmt: skip
    if as_json:
        print_json({"approximate": found.approximate, "exhausted": found.exhausted, "neighbours": rows})
    else:
        print_table(
            ["distance", "name", "decisions", "image"],
            [[r["distance"], r["name"], ", ".join(r["decisions"].values()), r["image"]] for r in rows],
        )


def simulate(
    out: Annotated[Path, typer.Option(help="Folder to write into.")],
    count: Annotated[int, typer.Option(min=1, help="How many scans.")] = 100,
    seed: Annotated[int, typer.Option(min=0, help="The same seed makes the same scans.")] = 0,
    scanner: Annotated[
        str | None, typer.Option(help=f"Only this scanner: {', '.join(SCANNER_NAMES)}. Without it, drawn.")
    ] = None,
    case: Annotated[str | None, typer.Option(help=f"Only this case: {', '.join(Case)}. Without it, drawn.")] = None,
    mass: Annotated[float | None, typer.Option(help="Hidden loads of so many kilograms, 1 to 500.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Write simulated container scans, in folders that `penumbra import` takes, and their truth, `truth.jsonl`."""
    with progress_bar("simulating") as (bar, line):
        summary = write_folder(
            out, count, seed, scanner=scanner, case=case_of(case) if case else None, mass_kg=mass,
            on_progress=lambda d, t: bar.update(line, completed=d, total=t),
        )  # fmt: skip
    if as_json:
        print_json(summary)
    else:
        console.print(
            f"{count} scans in {out}: {summary.empty} empty, {summary.loaded} loaded; {summary.kept} were there."
        )
