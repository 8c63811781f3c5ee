"""`/v1/images/{id}/regions` and `/prepared`: what is judged by itself, and the pixels that the backbone saw."""

from enum import IntEnum, StrEnum
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Header, Query, Response

from app.api.problems import problems
from app.api.schemas import Text
from app.api.schemas.prepared import RegionViewOut
from app.db import transaction
from app.deps import CallerDep, PartsDep, SessionDep
from app.services import feature_sets, images, ingest, prepared

router = APIRouter(prefix="/images", tags=["images"])

NPY = "application/octet-stream"


class Form(StrEnum):
    PNG = "png"
    NPY = "npy"


class Depth(IntEnum):
    EIGHT = 8
    SIXTEEN = 16


_BINARY: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}


@router.get("/{image_id}/regions", responses=problems(404))
def list_regions(
    image_id: UUID, session: SessionDep, _: CallerDep, feature_set: Text | None = None
) -> list[RegionViewOut]:
    """An image's regions, of every cut or of one feature set: boxes, frames, and what the steps found in them."""
    images.get(session, image_id)
    if feature_set is not None:
        feature_sets.named(session, feature_set)
    return [RegionViewOut.of(view) for view in prepared.regions(session, image_id, feature_set)]


@router.get(
    "/{image_id}/prepared",
    response_class=Response,
    responses={
        200: {"description": "A grey PNG, or float32 as a NumPy file", "content": {"image/png": _BINARY, NPY: _BINARY}},
        **problems(404, 409, 413, 415, 503),
    },
)
def read_prepared(
    image_id: UUID,
    parts: PartsDep,
    _: CallerDep,
    feature_set: Text | None = None,
    region: Annotated[int, Query(ge=0, le=65535, description="the region's ordinal")] = 0,
    depth: Annotated[Depth, Query(description="bits of the PNG")] = Depth.EIGHT,
    format: Annotated[Form | None, Query(description="by default what `Accept` says, else PNG")] = None,  # noqa: A002
    accept: Annotated[str, Header(max_length=1024)] = "",
) -> Response:
    """The pixels of a region as the backbone of a feature set saw them, made again from the original.

    NumPy: float32 (height, width) in [0, 1], bit for bit what was embedded. PNG: the same, rounded.
    """
    with transaction(parts.sessions) as session:
        image = images.get(session, image_id)
        chosen = feature_sets.of_image(session, image_id, feature_set, parts.settings.feature_set)
        steps, name = prepared.preprocessing_of(chosen), chosen.name
    path, limits = parts.blobs.existing(image.sha256), ingest.limits(parts.settings)
    found = prepared.prepared(path, limits, steps, sha256=image.sha256, ordinal=region)
    box = found.box
    headers = {
        "Cache-Control": "private, max-age=86400",
        "Penumbra-Feature-Set": name,
        "Penumbra-Frame": str(found.frame),
        "Penumbra-Box": f"{box.x},{box.y},{box.width},{box.height}",
        "Vary": "Accept",
    }
    wants_npy = format is Form.NPY or (format is None and NPY in accept and "image/png" not in accept)
    if wants_npy:
        return Response(prepared.npy(found.pixels[0]), media_type=NPY, headers=headers)
    return Response(prepared.png(found.pixels[0], depth), media_type="image/png", headers=headers)
