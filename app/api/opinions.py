"""`/v1/opinions`, `/v1/tasks/{task}/opinions` and `/v1/images/{id}/opinions`: what people thought of scans."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from app.api.problems import problems
from app.api.schemas import Name, Text
from app.api.schemas.worklist import OpinionIn, OpinionOut, OpinionPage
from app.deps import CallerDep, Inspector, SessionDep, SettingsDep
from app.services import opinions

router = APIRouter(tags=["worklist"])


@router.post(
    "/tasks/{task}/opinions",
    status_code=201,
    responses={200: {"model": OpinionOut, "description": "This id was given before"}, **problems(404, 409)},
)
def give_opinion(task: Name, body: OpinionIn, session: SessionDep, caller: Inspector, response: Response) -> OpinionOut:
    """Say what a scan shows, that it cannot be judged, or that it is skipped. Confirm and correct make a review label.

    Send it again after a lost connection: the same id is stored once. 409 `taken` when another person looks at the
    scan or has decided since, unless `anyway`.
    """
    given, created = opinions.give(session, task, body.wanted(), caller=caller)
    response.status_code = 201 if created else 200
    return OpinionOut.of(given)


@router.get("/tasks/{task}/opinions", responses=problems(404))
def list_opinions(
    task: Name,
    session: SessionDep,
    caller: CallerDep,
    author: Annotated[Text | None, Query(description="`me` is the caller")] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    cursor: UUID | None = None,
) -> OpinionPage:
    """Opinions on the task's scans, newest first, withdrawn ones among them."""
    by = caller.name if author == "me" else author
    found = opinions.page(session, task, author=by, limit=limit + 1, before=cursor)
    return OpinionPage(
        items=[OpinionOut.of(one) for one in found[:limit]],
        next=found[limit - 1].opinion.id if len(found) > limit else None,
    )


@router.get("/images/{image_id}/opinions", responses=problems(404))
def list_opinions_of_image(image_id: UUID, session: SessionDep, _: CallerDep) -> list[OpinionOut]:
    """Every opinion on an image, newest first."""
    return [OpinionOut.of(one) for one in opinions.of_image(session, image_id)]


@router.delete("/opinions/{opinion_id}", responses=problems(404))
def withdraw_opinion(opinion_id: UUID, session: SessionDep, settings: SettingsDep, caller: Inspector) -> OpinionOut:
    """Take an opinion back, with the label that it made: the image is open again, and claimed for the caller if free.

    One's own; an administrator may withdraw anybody's.
    """
    return OpinionOut.of(opinions.withdraw(session, opinion_id, caller=caller, seconds=settings.claim_seconds))
