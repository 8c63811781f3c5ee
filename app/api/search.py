"""`/v1/search`: nearest images to a stored one, a vector, or a file."""

from contextlib import asynccontextmanager
from typing import Any

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool

from app.api import bodies, prefer
from app.api.images import UPLOAD_BODY, all_refused, take_in
from app.api.problems import problems
from app.api.schemas import NeighboursOut, SearchIn
from app.api.uploads import Upload, receive_upload
from app.db import transaction
from app.deps import CallerDep, Parts, PartsDep
from app.errors import InvalidInput
from app.services import feature_sets, images, search
from app.services.filters import ImageFilter
from app.services.keys import Caller

router = APIRouter(prefix="/search", tags=["search"])
_MAX_BODY_BYTES = 512 * 1024
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": {"$ref": "#/components/schemas/SearchIn"}},
            **UPLOAD_BODY["requestBody"]["content"],
        },
    }
}


@router.post("", response_model=NeighboursOut, responses=problems(404, 409, 413, 415), openapi_extra=_BODY)
async def find_similar(request: Request, parts: PartsDep, caller: CallerDep, prefer_: prefer.PreferDep) -> Any:
    """The nearest images, within one feature set.

    JSON names `image_id` or `vector` and may filter; a file (multipart) is stored like any upload and
    compared when its vectors are there.
    """
    if bodies.is_multipart(request):
        wait_seconds = prefer_.wait_for_new_file_seconds
        async with asynccontextmanager(receive_upload)(request, parts, caller) as upload:
            return await run_in_threadpool(_by_file, parts, upload, caller, wait_seconds)
    return await run_in_threadpool(
        _by_body, parts, await bodies.read_json(request, SearchIn, max_bytes=_MAX_BODY_BYTES)
    )


def _by_file(parts: Parts, upload: Upload, caller: Caller, wait_seconds: float) -> Any:
    if len(upload.received) + len(upload.refused) > 1:
        raise InvalidInput("Search by one file at a time.")
    outcome, refused = take_in(parts, upload, caller.name)
    if refused:
        return all_refused(refused)
    parts.wait_for_images(outcome.image_ids, wait_seconds)
    return _by_body(parts, SearchIn(image_id=outcome.image_ids[0]))


def _by_body(parts: Parts, body: SearchIn) -> NeighboursOut:
    if (body.image_id is None) == (body.vector is None):
        raise InvalidInput("Give one of `image_id` and `vector`.")
    wanted = ImageFilter(**body.filter.model_dump())
    with transaction(parts.sessions) as session:
        default = parts.settings.feature_set
        if body.image_id is not None:
            chosen = feature_sets.of_image(session, body.image_id, body.feature_set, default)
            found = search.by_image(session, chosen, body.image_id, wanted, limit=body.limit, exact=body.exact)
        else:
            assert body.vector is not None
            chosen = feature_sets.chosen(session, body.feature_set, default)
            found = search.by_vector(session, chosen, body.vector, wanted, limit=body.limit, exact=body.exact)
        views = images.describe(session, [n.image_id for n in found.found])
        return NeighboursOut.of(chosen, found, views)
