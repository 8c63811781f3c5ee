"""`/v1/tasks/{task}/worklist`: what to look at next, and who looks at what."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response
from sqlalchemy.orm import Session

from app.api.problems import problems
from app.api.schemas import Name
from app.api.schemas.worklist import (
    ClaimsIn,
    CountsOut,
    CountsQuery,
    WorklistItemOut,
    WorklistItems,
    WorklistPage,
    WorklistQuery,
)
from app.deps import CallerDep, Inspector, SessionDep, SettingsDep
from app.errors import NotFound
from app.models import Task
from app.services import tasks, worklist, worklist_claims, worklist_items
from app.services.keys import Caller

router = APIRouter(prefix="/tasks/{task}/worklist", tags=["worklist"])


@router.get("", responses=problems(404))
def read_worklist(
    task: Name, wanted: Annotated[WorklistQuery, Query()], session: SessionDep, caller: CallerDep
) -> WorklistPage:
    """Images to look at, discrepancies first. `order=findings&limit=40` are the 40 that promise the most findings.

    In a blind task the head's answers are null until the caller has given an opinion of their own.
    """
    asked = tasks.named(session, task)
    found, following = worklist.page(
        session, asked, wanted.wanted(wanted.order), author=caller.name, limit=wanted.limit, cursor=wanted.cursor
    )
    items = worklist_items.describe(
        session, asked, [one.image_id for one in found], author=caller.name, holder=caller.holder
    )
    findings = [item.finding for item in items if item.finding is not None]
    return WorklistPage(
        items=[WorklistItemOut.of(item) for item in items],
        next=following,
        expected_findings=None if any(item.hidden for item in items) else round(sum(findings), 7),
        blind=asked.blind,
    )


@router.get("/counts", responses=problems(404))
def count_worklist(
    task: Name, wanted: Annotated[CountsQuery, Query()], session: SessionDep, caller: CallerDep
) -> CountsOut:
    """Open images by pile, whatever `pile` and `state` say, and what was decided today."""
    asked = tasks.named(session, task)
    return CountsOut.of(worklist.counts(session, asked, wanted.wanted(), author=caller.name, since=wanted.since))


@router.post("/claims", responses=problems(404))
def claim_next_images(
    task: Name, body: ClaimsIn, session: SessionDep, settings: SettingsDep, caller: Inspector
) -> WorklistItems:
    """Claim the next images for the caller, those that they hold already first; nobody else is given them before the
    claim expires. Fewer, or none, where the list ends."""
    taken = worklist_claims.claim_next(
        session, task, body.filter.wanted(body.order), caller=caller, count=body.count, without=body.without,
        seconds=settings.claim_seconds,
    )  # fmt: skip
    return WorklistItems(items=_items(session, tasks.named(session, task), taken, caller))


@router.put("/claims/{image_id}", responses=problems(404, 409))
def claim_image(
    task: Name, image_id: UUID, session: SessionDep, settings: SettingsDep, caller: Inspector
) -> WorklistItemOut:
    """Claim one image, or renew the claim. 409 `taken` names who looks at it (`author`), and until when (`at`)."""
    worklist_claims.claim(session, task, image_id, caller=caller, seconds=settings.claim_seconds)
    found = _items(session, tasks.named(session, task), [image_id], caller)
    if not found:
        raise NotFound(f"There is no image {image_id}.")
    return found[0]


@router.delete("/claims/{image_id}", status_code=204, responses=problems(404))
def release_image(task: Name, image_id: UUID, session: SessionDep, caller: Inspector) -> Response:
    """Let others have the image; nothing happens when the caller does not hold it."""
    worklist_claims.release(session, tasks.named(session, task), image_id, holder=caller.holder)
    return Response(status_code=204)


def _items(session: Session, task: Task, image_ids: list[UUID], caller: Caller) -> list[WorklistItemOut]:
    found = worklist_items.describe(session, task, image_ids, author=caller.name, holder=caller.holder)
    return [WorklistItemOut.of(item) for item in found]
