"""`penumbra inspect`: what a feature set's steps find in a scan, and the pixels that they make of it."""

import io
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import numpy as np
import typer
from PIL import Image, ImageDraw

from app.cli.output import DataOption, JsonOption, console, note, print_json
from app.cli.store import opened, settings_for
from app.db import transaction
from app.errors import InvalidInput
from app.features.weights import KNOWN
from app.imaging import Limits, PreparedRegion, Preprocessing, prepare_scan
from app.imaging.frames import decode_frames
from app.services import feature_sets, images, ingest, prepared

FALLBACK = "densenet121-container"
SHEET_HEIGHT = 320


def register(app: typer.Typer) -> None:
    app.command("inspect")(inspect_scan)


def inspect_scan(
    scan: Annotated[str, typer.Argument(help="A file, which needs no store, or a stored image's id.")],
    feature_set: Annotated[
        str | None,
        typer.Option("--feature-set", help=f"Whose steps; {FALLBACK} for a file, the image's own for an id."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Write a PNG: each frame with its boxes, and the pixels made.")
    ] = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the steps, boxes and findings of a scan, and the exact pixels that the backbone sees."""
    path = Path(scan)
    if path.is_file():
        name, limits = feature_set or FALLBACK, ingest.limits(settings_for(data))
        if name not in KNOWN:
            raise InvalidInput(f"{name} is no known feature set; known: {', '.join(KNOWN)}.")
        steps, found = _prepared(path, limits, KNOWN[name].preprocessing, b"")
    else:
        name, path, limits, steps, found = _stored(scan, feature_set, data)
    if out is not None:
        out.write_bytes(_sheet(path, limits, found))
    if as_json:
        print_json({"feature_set": name, "cut": steps.cut, "profile": steps.profile, "regions": [*map(_plain, found)]})
    else:
        _print(name, steps, found)
        if out is not None:
            note(f"written: {out}")


def _prepared(
    path: Path, limits: Limits, steps: Preprocessing, sha256: bytes
) -> tuple[Preprocessing, list[PreparedRegion]]:
    return steps, prepare_scan(path, limits, steps, sha256=sha256)


def _stored(
    scan: str, feature_set: str | None, data: Path | None
) -> tuple[str, Path, Limits, Preprocessing, list[PreparedRegion]]:
    try:
        image_id = UUID(scan)
    except ValueError as error:
        raise InvalidInput(f"{scan} is neither a file nor the id of an image.") from error
    with opened(data) as store:
        with transaction(store.sessions) as session:
            image = images.get(session, image_id)
            chosen = feature_sets.of_image(session, image_id, feature_set, store.settings.feature_set)
            name, steps, sha256 = chosen.name, prepared.preprocessing_of(chosen), image.sha256
        path, limits = store.blobs.existing(sha256), ingest.limits(store.settings)
        return name, path, limits, *_prepared(path, limits, steps, sha256)


def _plain(region: PreparedRegion) -> dict[str, Any]:
    box = region.box
    return {
        "ordinal": region.ordinal,
        "frame": region.frame,
        "box": [box.x, box.y, box.width, box.height],
        "findings": region.findings,
    }


def _print(name: str, steps: Preprocessing, found: list[PreparedRegion]) -> None:
    console.print(f"{name}: profile {steps.profile or 'none'}, cut {steps.cut}, {len(found)} region(s)")
    for region in found:
        box = region.box
        console.print(
            f"region {region.ordinal}, frame {region.frame}: {box.width} x {box.height} pixels at ({box.x}, {box.y})"
        )
        for step in region.findings["steps"]:
            rest = {key: value for key, value in step.items() if key not in ("step", "version", "found", "did")}
            words = ", ".join(f"{key} {value}" for key, value in rest.items())
            did = f" -> {step['did']}" if "did" in step else ""
            console.print(f"  {step['step']}/{step['version']}: {step['found']}{f' ({words})' if words else ''}{did}")
        numbers = ", ".join(f"{key} {value:g}" for key, value in region.findings["quality"].items())
        console.print(f"  quality: {numbers}")
        for problem in region.findings["problems"]:
            console.print(f"  cannot be judged: {problem['message']}")


def _sheet(path: Path, limits: Limits, found: list[PreparedRegion]) -> bytes:
    """A row a frame: the frame with its boxes in red, then what was made of each of its regions."""
    rows = []
    for index in sorted({region.frame for region in found}):
        frame = next(decode_frames(path, limits, indexes=[index], at_least=SHEET_HEIGHT))
        inside = [region for region in found if region.frame == index]
        pictures = [_boxed(frame.grey, frame.scale, inside), *(_grey(region.pixels[0]) for region in inside)]
        scaled = [p.resize((max(1, round(p.width * SHEET_HEIGHT / p.height)), SHEET_HEIGHT)) for p in pictures]
        row = Image.new("RGB", (sum(p.width + 8 for p in scaled), SHEET_HEIGHT + 8), "steelblue")
        left = 4
        for picture in scaled:
            row.paste(picture, (left, 4))
            left += picture.width + 8
        rows.append(row)
    sheet = Image.new("RGB", (max(row.width for row in rows), sum(row.height for row in rows)), "steelblue")
    top = 0
    for row in rows:
        sheet.paste(row, (0, top))
        top += row.height
    return _encoded(sheet)


def _grey(plane: np.ndarray) -> Image.Image:
    return Image.fromarray(np.rint(plane * 255).astype(np.uint8)).convert("RGB")


def _boxed(grey: np.ndarray, scale: tuple[float, float], regions: list[PreparedRegion]) -> Image.Image:
    picture = _grey(grey)
    draw, (down, across) = ImageDraw.Draw(picture), scale
    for region in regions:
        box = region.box
        corner = ((box.x + box.width) / across - 1, (box.y + box.height) / down - 1)
        draw.rectangle((box.x / across, box.y / down, *corner), outline="red", width=max(2, picture.height // 150))
    return picture


def _encoded(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()
