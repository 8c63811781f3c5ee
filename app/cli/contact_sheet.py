"""A contact sheet of suspects: one HTML file with all its pictures inside, to be looked at anywhere."""

import base64
from collections.abc import Sequence
from functools import cache
from typing import Any
from uuid import UUID

from jinja2 import Environment, PackageLoader, StrictUndefined

from app.blobs import BlobStore
from app.cli.output import progress_bar
from app.config import Settings
from app.db import Sessions, transaction
from app.errors import AppError
from app.imaging import Limits
from app.imaging.thumbnails import thumbnail
from app.services import images, ingest
from app.services.label_review import Review, Suspect
from app.services.suspect_neighbours import LabelledNeighbour

_SUSPECT_PIXELS, _NEIGHBOUR_PIXELS = 256, 128


def render(
    sessions: Sessions,
    blobs: BlobStore,
    settings: Settings,
    found: Review,
    shown: Sequence[Suspect],
    near: Sequence[Sequence[LabelledNeighbour]],
) -> str:
    """The page. A scan that cannot be decoded, or whose original is gone, is shown as its reason."""
    wanted = {one.image_id: _SUSPECT_PIXELS for one in shown}
    for neighbours in near:
        for one in neighbours:
            wanted.setdefault(one.image_id, _NEIGHBOUR_PIXELS)
    with transaction(sessions) as session:
        digests = {image_id: images.get(session, image_id).sha256 for image_id in wanted}
    limits = ingest.limits(settings)
    with progress_bar("thumbnails") as (bar, line):
        bar.update(line, total=len(wanted))
        pictures: dict[UUID, dict[str, str]] = {}
        for image_id, pixels in wanted.items():
            pictures[image_id] = _picture(blobs, digests[image_id], pixels, limits)
            bar.advance(line)
    rows = [
        {"suspect": one, "neighbours": neighbours, "agreeing": _agreeing(one, neighbours)}
        for one, neighbours in zip(shown, near, strict=True)
    ]
    return str(_template().render(found=found, rows=rows, pictures=pictures))


def _picture(blobs: BlobStore, sha256: bytes, pixels: int, limits: Limits) -> dict[str, str]:
    try:
        content = thumbnail(blobs.existing(sha256), pixels, limits)
    except AppError as problem:
        return {"source": "", "problem": problem.message}
    return {"source": f"data:image/jpeg;base64,{base64.b64encode(content).decode()}", "problem": ""}


def _agreeing(one: Suspect, neighbours: Sequence[LabelledNeighbour]) -> int:
    return sum(n.class_name == one.suggested for n in neighbours)


@cache
def _template() -> Any:
    loader = PackageLoader("app.cli")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    return environment.get_template("contact_sheet.html")
