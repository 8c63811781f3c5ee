"""`/v1/images/{id}/pyramid`: a scan's pixels at every size, for viewers."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Header, Path, Query, Response

from app.api.problems import problems
from app.api.schemas.pyramids import PyramidOut
from app.db import transaction
from app.deps import CallerDep, PartsDep
from app.imaging import pyramid
from app.services import images
from app.services.pyramids import Pyramids

router = APIRouter(prefix="/images", tags=["images"])

MOST = 65535
Index = Annotated[int, Path(ge=0, le=MOST)]
_TILE: dict[int | str, dict[str, Any]] = {
    200: {"description": "A PNG of 8 or 16 bits a sample", "content": {"image/png": {}}},
    304: {"description": "The tile that `If-None-Match` names"},
}


@router.get("/{image_id}/pyramid", responses=problems(404, 503))
def read_pyramid(
    image_id: UUID, parts: PartsDep, _: CallerDep, response: Response, frame: Annotated[int, Query(ge=0, le=MOST)] = 0
) -> PyramidOut:
    """Sizes and tiles of one frame, as displayed: made when first asked for, from every pixel of the original.

    Refused, with the reason, when the scan cannot be decoded.
    """
    with transaction(parts.sessions) as session:
        image = images.get(session, image_id)
    found = Pyramids(parts.settings, parts.blobs).of(image, frame)
    response.headers["Cache-Control"] = "private, no-cache"
    return PyramidOut.of(image, frame, found)


@router.get(
    "/{image_id}/pyramid/{frame}/{level}/{row}/{column}",
    response_class=Response,
    responses={**_TILE, **problems(404, 503)},
)
def read_tile(
    image_id: UUID,
    frame: Index,
    level: Index,
    row: Index,
    column: Index,
    parts: PartsDep,
    _: CallerDep,
    if_none_match: Annotated[str, Header(max_length=1024)] = "",
) -> Response:
    """One tile, as a PNG that loses nothing: grey of 8 or 16 bits a sample, or RGB."""
    with transaction(parts.sessions) as session:
        image = images.get(session, image_id)
    etag = f'"{image.sha256.hex()}-{frame}-{level}-{row}-{column}.v{pyramid.VERSION}"'
    headers = {"ETag": etag, "Cache-Control": "private, max-age=31536000, immutable"}
    if etag in if_none_match:
        return Response(status_code=304, headers=headers)
    content = Pyramids(parts.settings, parts.blobs).tile(image, frame, level, row, column)
    return Response(content, media_type="image/png", headers=headers)
