"""`/v1/predict/{task}`: a new file or a stored image, and its live head's answer."""

from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

from app.api import bodies, prefer
from app.api.images import UPLOAD_BODY, all_refused, take_in, view
from app.api.problems import problems
from app.api.schemas import ImageOut, Name, PredictIn, PredictionOut, PredictOut
from app.api.uploads import Upload, receive_upload
from app.db import transaction
from app.deps import CallerDep, Parts, PartsDep
from app.errors import AppError, Conflict, InvalidInput, Unusable, UnusableImage
from app.services import images, prediction, tasks, unjudgeable
from app.services.keys import Caller

router = APIRouter(prefix="/predict", tags=["predict"])

_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            **UPLOAD_BODY["requestBody"]["content"],
            "application/json": {"schema": PredictIn.model_json_schema()},
        },
    }
}


@router.post(
    "/{task}",
    response_model=PredictOut,
    responses={
        201: {"model": PredictOut, "description": "A new image was stored and judged"},
        202: {"model": PredictOut, "description": "Stored, but not judged yet; look again at Location"},
        **problems(404, 409, 413, 415),
    },
    openapi_extra=_BODY,
)
async def predict(
    task: Name,
    request: Request,
    response: Response,
    parts: PartsDep,
    caller: CallerDep,
    prefer_: prefer.PreferDep,
) -> Any:
    """Judge a new file (multipart, one file) or a stored image (JSON with `image_id`) by the task's live head.

    Waits for a new file's extraction as `Prefer: wait=SECONDS` says, 30 seconds without it.
    """
    if bodies.is_multipart(request):
        wait_seconds = prefer_.wait_for_new_file_seconds
        async with asynccontextmanager(receive_upload)(request, parts, caller) as upload:
            return await run_in_threadpool(_new_file, parts, task, upload, caller, wait_seconds, response)
    body = await bodies.read_json(request, PredictIn, max_bytes=64 * 1024)
    return await run_in_threadpool(_stored, parts, task, body.image_id, prefer_.wait_seconds, response)


def _new_file(parts: Parts, task: str, upload: Upload, caller: Caller, wait_seconds: float, response: Response) -> Any:
    if len(upload.received) + len(upload.refused) > 1:
        raise InvalidInput("Send one file at a time here; POST /v1/images takes many.")
    with transaction(parts.sessions) as session:
        profile = tasks.named(session, task).profile
        prediction.live_head(session, task)
    upload.received = [received.of_profile(profile) for received in upload.received]
    outcome, refused = take_in(parts, upload, caller.name)
    if refused:
        return all_refused(refused)
    return _answer(parts, task, outcome.image_ids[0], wait_seconds, response, new=bool(outcome.created))


def _stored(parts: Parts, task: str, image_id: UUID, wait_seconds: float, response: Response) -> PredictOut:
    return _answer(parts, task, image_id, wait_seconds, response, new=False)


def _answer(
    parts: Parts, task: str, image_id: UUID, wait_seconds: float, response: Response, *, new: bool
) -> PredictOut:
    """200 or 201 with the prediction, 202 while the image waits. Raise Conflict when it cannot be extracted.

    An image of a kind that the task is not asked of is never extracted for it: the answer is `cannot_judge`, at once.
    """
    response.headers["Location"] = f"/v1/images/{image_id}"
    with transaction(parts.sessions) as session:
        tasks.named(session, task)
        images.get(session, image_id)
        foreign = unjudgeable.of_another_kind(session, prediction.live_head(session, task), image_id)
        if foreign:
            response.status_code = 201 if new else 200
            return PredictOut(image=view(session, image_id), predictions=[PredictionOut.of(one) for one in foreign])
    parts.wait_for_images([image_id], wait_seconds)
    with transaction(parts.sessions) as session:
        images.get(session, image_id)
        prediction.predict_stored(session, parts.loaded_heads, task, image_id)
        image = view(session, image_id)
    if image.state == "failed":
        raise _unjudgeable(image)
    predictions = [p for p in image.predictions if p.task == task]
    # By the predictions, not the state: the head may read a feature set that is still being extracted.
    response.status_code = 202 if not predictions else 201 if new else 200
    return PredictOut(image=image, predictions=predictions)


def _unjudgeable(image: ImageOut) -> AppError:
    error = image.error or {}
    message = f"Image {image.id} is stored, but no features could be extracted: {error.get('message')}"
    if error.get("reason") in list(Unusable):
        return UnusableImage(Unusable(error["reason"]), message)
    return Conflict(message)
