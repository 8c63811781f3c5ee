"""`/v1/images`: upload, read, compare, delete."""

from collections.abc import Iterator
from enum import IntEnum
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response
from fastapi.responses import FileResponse, JSONResponse
from sqlalchemy.orm import Session

from app.api import errors, prefer
from app.api.problems import problems
from app.api.schemas import (
    Decision,
    ImageOut,
    ImagePage,
    Moment,
    Name,
    NeighboursOut,
    PredictionOut,
    State,
    Text,
    UploadOut,
)  # fmt: skip
from app.api.uploads import UploadDep
from app.db import transaction
from app.deps import Admin, CallerDep, Parts, PartsDep, SessionDep
from app.imaging.thumbnails import thumbnail
from app.services import feature_sets, images, ingest, search
from app.services.filters import ImageFilter
from app.services.ingest import Outcome, Refusal
from app.services.pyramids import Pyramids

router = APIRouter(prefix="/images", tags=["images"])

UPLOAD_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["files"],
                    "additionalProperties": False,
                    "properties": {
                        "files": {"type": "array", "minItems": 1, "items": {"type": "string", "format": "binary"}},
                        "subject": {"type": "string", "maxLength": 256},
                        "source": {"type": "string", "maxLength": 256},
                        "captured_at": {"type": "string", "format": "date-time"},
                        "tags": {"type": "string", "description": "comma-separated"},
                        "declared": {"type": "string", "description": 'JSON, such as {"empty-container": "empty"}'},
                        "profile": {"type": "string", "enum": ["container", "chest"]},
                        "metadata": {"type": "string", "description": "JSON list with one entry a file, instead"},
                    },
                }
            }
        },
    }
}  # fmt: skip


def take_in(parts: Parts, upload: UploadDep, author: str) -> tuple[Outcome, list[Refusal]]:
    """Store an upload's good files in one transaction; what was refused, and why."""
    if any(received.metadata.declared for received in upload.received):
        with transaction(parts.sessions) as session:
            ingest.check_declared(session, upload.received)
    admitted, refused = ingest.admit(parts.blobs, parts.settings, upload.received)
    with transaction(parts.sessions) as session:
        outcome = ingest.register(session, parts.blobs, admitted, author=author)
    return outcome, sorted([*upload.refused, *refused], key=lambda one: one.position)


def views(parts: Parts, image_ids: list[UUID]) -> list[ImageOut]:
    with transaction(parts.sessions) as session:
        return [ImageOut.of(view) for view in images.describe(session, image_ids)]


def view(session: Session, image_id: UUID) -> ImageOut:
    return ImageOut.of(images.described(session, image_id))


def all_refused(refused: list[Refusal]) -> JSONResponse:
    """The answer when no file was taken: the first file's problem, with every other beside it."""
    return errors.respond(refused[0].problem, images=[], refused=_named(refused), files=[])


def _files(outcome: Outcome) -> Iterator[dict[str, Any]]:
    """Of bytes that a request sends twice, the second file was there before."""
    new = set(outcome.created)
    for position, image_id in sorted(outcome.of_file.items()):
        yield {"position": position, "image_id": image_id, "created": image_id in new}
        new.discard(image_id)


def _named(refused: list[Refusal]) -> list[dict[str, Any]]:
    return [{"name": r.name, "problem": errors.problem(r.problem), "position": r.position} for r in refused]


@router.post(
    "",
    status_code=201,
    response_model=UploadOut,
    responses={200: {"model": UploadOut, "description": "All files were known"}, **problems(413, 415)},
    openapi_extra=UPLOAD_BODY,
)
def upload_images(
    upload: UploadDep, parts: PartsDep, caller: CallerDep, response: Response, prefer_: prefer.PreferDep
) -> Any:
    """Store one or many scans. 201: at least one is new, and all are durable. 200: all were known.

    `Prefer: wait=SECONDS` answers when their predictions are there, or when the time is up.
    """
    outcome, refused = take_in(parts, upload, caller.name)
    if not outcome.image_ids:
        return all_refused(refused)
    parts.wait_for_images(outcome.image_ids, prefer_.wait_seconds)
    if prefer_.wait_seconds:
        response.headers["Preference-Applied"] = prefer_.applied
    response.status_code = 201 if outcome.created else 200
    if len(outcome.image_ids) == 1:
        response.headers["Location"] = f"/v1/images/{outcome.image_ids[0]}"
    return {
        "images": views(parts, outcome.image_ids),
        "refused": _named(refused),
        "files": list(_files(outcome)),
    }


def query_filter(
    source: Text | None = None,
    subject: Text | None = None,
    tag: Text | None = None,
    captured_from: Moment | None = None,
    captured_until: Moment | None = None,
    received_from: Moment | None = None,
    received_until: Moment | None = None,
    state: State | None = None,
    task: Name | None = None,
    label: Name | None = None,
    decision: Decision | None = None,
) -> ImageFilter:
    return ImageFilter(
        source, subject, tag, captured_from, captured_until, received_from, received_until,
        state, task, label, decision,
    )  # fmt: skip


FilterDep = Annotated[ImageFilter, Depends(query_filter)]


@router.get("", responses=problems(404))
def list_images(
    session: SessionDep,
    _: CallerDep,
    wanted: FilterDep,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    cursor: UUID | None = None,
) -> ImagePage:
    """Images, newest first."""
    # One more than asked for tells whether there is a next page.
    ids = images.page(session, wanted, limit=limit + 1, before=cursor)
    items = [ImageOut.of(view) for view in images.describe(session, ids[:limit])]
    return ImagePage(items=items, next=ids[limit - 1] if len(ids) > limit else None)


@router.get("/{image_id}", responses=problems(404))
def read_image(image_id: UUID, session: SessionDep, _: CallerDep) -> ImageOut:
    """An image: its state, what is declared, and what the live heads say."""
    return view(session, image_id)


@router.delete("/{image_id}", status_code=204, responses=problems(404))
def delete_image(image_id: UUID, parts: PartsDep, caller: Admin) -> None:
    """Delete an image, its vectors, labels and predictions, and its original."""
    with transaction(parts.sessions) as session:
        sha256 = images.remove(session, image_id, author=caller.name)
    with transaction(parts.sessions) as session:
        images.discard(session, parts.blobs, sha256)
    Pyramids(parts.settings, parts.blobs).forget(sha256)


@router.get(
    "/{image_id}/content",
    response_class=FileResponse,
    responses={
        200: {"description": "The original bytes", "content": {"image/*": {}, "application/dicom": {}}},
        **problems(404),
    },
)
def read_content(image_id: UUID, session: SessionDep, parts: PartsDep, _: CallerDep) -> FileResponse:
    """The original, byte for byte."""
    image = images.get(session, image_id)
    return FileResponse(
        parts.blobs.existing(image.sha256),
        media_type=image.media_type,
        filename=image.file_name,
        content_disposition_type="inline",
        headers={
            "ETag": f'"{image.sha256.hex()}"',
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "private, max-age=31536000, immutable",
        },
    )


class ThumbnailSize(IntEnum):
    """An enumeration: a `Literal` of numbers refuses the text that every query parameter is."""

    SMALL = 128
    MEDIUM = 256
    LARGE = 512


@router.get(
    "/{image_id}/thumbnail",
    response_class=Response,
    responses={200: {"description": "A small JPEG", "content": {"image/jpeg": {}}}, **problems(404, 413, 415)},
)
def read_thumbnail(
    image_id: UUID,
    parts: PartsDep,
    _: CallerDep,
    size: Annotated[ThumbnailSize, Query(description="longer side in pixels")] = ThumbnailSize.MEDIUM,
) -> Response:
    """A small grey JPEG for people; refused, with the reason, when the scan cannot be decoded."""
    with transaction(parts.sessions) as session:
        image = images.get(session, image_id)
    content = thumbnail(parts.blobs.existing(image.sha256), size, ingest.limits(parts.settings))
    return Response(content, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=86400"})


@router.get("/{image_id}/predictions", responses=problems(404))
def list_predictions(image_id: UUID, session: SessionDep, _: CallerDep, live: bool = False) -> list[PredictionOut]:
    """Every prediction the image ever had, or those of the live heads."""
    images.get(session, image_id)
    return [PredictionOut.of(p) for _, p in images.predictions(session, [image_id], live_only=live)]


@router.get("/{image_id}/similar", responses=problems(404, 409))
def list_similar(
    image_id: UUID,
    session: SessionDep,
    parts: PartsDep,
    _: CallerDep,
    wanted: FilterDep,
    limit: Annotated[int, Query(ge=1, le=100)] = 10,
    exact: bool = False,
    feature_set: Text | None = None,
) -> NeighboursOut:
    """The images nearest to this one, itself left out."""
    chosen = feature_sets.of_image(session, image_id, feature_set, parts.settings.feature_set)
    found = search.by_image(session, chosen, image_id, wanted, limit=limit, exact=exact)
    views_ = images.describe(session, [n.image_id for n in found.found])
    return NeighboursOut.of(chosen, found, views_)
