"""`/v1/heads/{id}/trials`: what a head's search has tried."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query

from app.api.problems import problems
from app.api.schemas import TrialOut, TrialPage
from app.deps import CallerDep, SessionDep
from app.services import registry, trials

router = APIRouter(prefix="/heads", tags=["heads"])


@router.get("/{head_id}/trials", responses=problems(404))
def list_trials(
    head_id: UUID,
    session: SessionDep,
    _: CallerDep,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    cursor: Annotated[int | None, Query(ge=0, lt=2**63)] = None,
) -> TrialPage:
    """Every candidate on every fold with its AUC, in the order in which they ended; while a training runs, so far."""
    registry.get(session, head_id)
    found = trials.of_head(session, head_id, after=cursor or 0, limit=limit + 1)
    return TrialPage(
        items=[TrialOut.of(trial) for trial in found[:limit]],
        next=found[limit - 1].id if len(found) > limit else None,
    )
