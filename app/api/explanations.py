"""`/v1/images/{id}/explanation/{task}`: where a task's live head finds its evidence."""

from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Header, Query, Response
from fastapi.responses import JSONResponse

from app.api import prefer
from app.api.problems import problems
from app.api.schemas import Name
from app.api.schemas.explanations import ExplanationOut, PendingOut
from app.db import transaction
from app.deps import CallerDep, Parts, PartsDep
from app.services import explanation_pictures, explanations, ingest
from app.services.explanations import Explained

router = APIRouter(prefix="/images", tags=["images"])

# An explanation takes a decoding and a forward pass, a fraction of a second when the worker is free.
DEFAULT_WAIT_SECONDS = 10.0
IMMUTABLE = {"Cache-Control": "private, max-age=300"}  # the explanation stays; another head may go live


class Form(StrEnum):
    JSON = "json"
    PNG = "png"
    NPY = "npy"


_CONTENT: dict[str, Any] = {
    "image/png": {"schema": {"type": "string", "format": "binary"}},
    "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
}


@router.get(
    "/{image_id}/explanation/{task}",
    response_model=ExplanationOut,
    responses={
        200: {"description": "Evidence by cell as JSON, PNG or NumPy array", "content": _CONTENT},
        202: {"model": PendingOut, "description": "Being made; look again at Location"},
        **problems(404, 409, 413, 415),
    },
)
def read_explanation(
    image_id: UUID,
    task: Name,
    parts: PartsDep,
    _: CallerDep,
    prefer_: prefer.PreferDep,
    accept: Annotated[str, Header(max_length=1024)] = "",
    format: Annotated[Form | None, Query(description="by default what `Accept` says, else JSON")] = None,  # noqa: A002
    overlay: Annotated[bool, Query(description="PNG: over the scan, or by itself")] = True,
    width: Annotated[int | None, Query(ge=64, le=4096, description="PNG: pixels")] = None,
    frame: Annotated[int | None, Query(ge=0, le=65535, description="PNG: of the loudest evidence by default")] = None,
) -> Any:
    """Which parts of an image speak for the positive class of a task, and which against it, to its live head.

    Made when it is first asked for, by the extraction worker: waits as `Prefer: wait=SECONDS` says, 10 seconds
    without it, then answers 202. Where an exact map exists, heat and bias add up to the head's log-odds.
    """
    wait_seconds = prefer_.wait_seconds if prefer_.stated else DEFAULT_WAIT_SECONDS
    found = _awaited(parts, image_id, task, wait_seconds)
    if found is None:
        headers = {"Location": f"/v1/images/{image_id}/explanation/{task}", "Retry-After": "1"}
        return JSONResponse(PendingOut(image_id=image_id, task=task).model_dump(mode="json"), 202, headers)
    match format or _preferred(accept):
        case Form.PNG:
            path, limits = parts.blobs.existing(found.image.sha256), ingest.limits(parts.settings)
            content = explanation_pictures.png(found, path, limits, frame=frame, width=width, overlay=overlay)
            return Response(content, media_type="image/png", headers=IMMUTABLE)
        case Form.NPY:
            content = explanation_pictures.npy(found)
            return Response(content, media_type="application/octet-stream", headers=IMMUTABLE)
        case _:
            return ExplanationOut.of(found)


def _preferred(accept: str) -> Form:
    """The first of our types that an Accept header names; weights are not looked at."""
    known = {"application/json": Form.JSON, "image/png": Form.PNG, "application/octet-stream": Form.NPY}
    named = (part.split(";")[0].strip().lower() for part in accept.split(","))
    return next((known[name] for name in named if name in known), Form.JSON)


def _awaited(parts: Parts, image_id: UUID, task: str, seconds: float) -> Explained | None:
    """The explanation, asked for if need be, within so many seconds; None when the time is up."""
    found: Explained | None = None

    def made() -> bool:
        nonlocal found
        with transaction(parts.sessions) as session:
            asked = explanations.question(session, image_id, task)
            found = explanations.stored(session, asked)
            if found is None:
                explanations.request(session, asked, alive_seconds=parts.settings.alive_seconds)
        return found is not None

    parts.done.wait_until(made, min(seconds, parts.settings.max_wait_seconds))
    return found
