"""`/v1/heads/{id}`: the gate, replays, promotion."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from app.api.problems import problems
from app.api.schemas import Decision, JobOut, PromotedOut
from app.api.schemas.promotion import FlipOut, FlipPage, GateOut, PromoteIn, ReplayOut
from app.api.tasks import promoted_out
from app.deps import Admin, CallerDep, SessionDep, SettingsDep
from app.services import gate, registry, replay

router = APIRouter(prefix="/heads", tags=["heads"])


@router.get("/{head_id}/gate", responses=problems(404, 409))
def read_gate(head_id: UUID, session: SessionDep, settings: SettingsDep, _: CallerDep) -> GateOut:
    """Every check that a promotion would make now, with what was measured and the bound; nothing is promoted."""
    margin = settings.promotion_margin
    return GateOut.of(head_id, margin, gate.checks(session, registry.get(session, head_id), margin=margin))


@router.post("/{head_id}/replay", status_code=202, responses=problems(404, 409))
def replay_head(head_id: UUID, session: SessionDep, caller: Admin, response: Response) -> JobOut:
    """Judge the archive by a head and by the live one, to know every decision that a promotion would flip."""
    job = replay.request(session, head_id, author=caller.name)
    response.headers["Location"] = f"/v1/jobs/{job.id}"
    return JobOut.of(job)


@router.get("/{head_id}/replay", responses=problems(404))
def read_replay(head_id: UUID, session: SessionDep, _: CallerDep) -> ReplayOut:
    """The latest replay of a head: regions by decision before and after, and whether it is up to date."""
    return ReplayOut.of(replay.standing(session, registry.get(session, head_id)))


@router.get("/{head_id}/replay/flips", responses=problems(404))
def list_flips(
    head_id: UUID,
    session: SessionDep,
    _: CallerDep,
    before: Decision | None = None,
    after: Decision | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    cursor: Annotated[int | None, Query(ge=0, lt=2**31)] = None,
) -> FlipPage:
    """The decisions that the latest replay would flip, the furthest moved first; `before` and `after` choose."""
    chosen = replay.latest(session, head_id)
    found = replay.flips(session, chosen.id, limit=limit + 1, after_rank=cursor, before=before, after=after)
    return FlipPage(
        items=[FlipOut.of(flip) for flip in found[:limit]], next=found[limit - 1].rank if len(found) > limit else None
    )


@router.post("/{head_id}/promote", responses=problems(404, 409))
def promote_head(
    head_id: UUID, session: SessionDep, settings: SettingsDep, caller: Admin, body: PromoteIn | None = None
) -> PromotedOut:
    """Make a head live, if it passes the gate and an up-to-date replay says what that changes.

    Stored images are judged again from their vectors.
    """
    reason = body.override if body else None
    promoted = registry.promote(session, head_id, author=caller.name, margin=settings.promotion_margin, override=reason)
    return promoted_out(session, promoted)
