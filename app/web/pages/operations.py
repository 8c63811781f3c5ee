"""`/operations`: how the service does, what failed, what is being filled, who may call, who did what."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query
from starlette.responses import Response

from app.deps import SessionDep, SettingsDep
from app.models import FeatureStage, JobState, Role
from app.services import audit, feature_set_use, feature_sets, job_lists, keys, operations, stats
from app.services.job_lists import JobFilter
from app.web.rendering import page
from app.web.visitors import Visitor, VisitorDep

router = APIRouter(prefix="/operations")
MINUTES, LATELY = 60, 5
FAILURES, EVENTS = 50, 100


def _shown(visitor: Visitor, tab: str, **values: Any) -> Response:
    return page("operations.html", visitor, active="operations", tab=tab, **values)


@router.get("")
def show_now(visitor: VisitorDep, session: SessionDep, settings: SettingsDep) -> Response:
    return _shown(visitor, "now", **_now(session, settings))


@router.get("/now")
def refresh_now(visitor: VisitorDep, session: SessionDep, settings: SettingsDep) -> Response:
    """The first page's figures alone: what its script puts in place of the old ones."""
    return page("operations_now.html", visitor, **_now(session, settings))


def _now(session: SessionDep, settings: SettingsDep) -> dict[str, Any]:
    lately = operations.lately(session, minutes=MINUTES)
    whole = lately.minutes[-LATELY - 1 : -1]  # the present minute is not over
    return {
        "stats": stats.gather(session, within_seconds=settings.alive_seconds),
        "ready": stats.readiness(session, within_seconds=settings.alive_seconds),
        "lately": lately,
        "per_minute": sum(minute.done for minute in whole) / LATELY,
        "peak": max(minute.done + minute.failed for minute in lately.minutes),
        "disk": operations.disk(session, settings),
        "sets": {one.id: one for one in feature_sets.every(session)},
        "alive_seconds": settings.alive_seconds,
    }


@router.get("/failed")
def show_failed(visitor: VisitorDep, session: SessionDep, cursor: UUID | None = None) -> Response:
    found = job_lists.page(session, JobFilter(states=(JobState.FAILED,)), limit=FAILURES + 1, before=cursor)
    following = found[FAILURES - 1].job.id if len(found) > FAILURES else None
    return _shown(visitor, "failed", jobs=found[:FAILURES], following=following, again=job_lists.AGAIN)


@router.get("/feature-sets")
def show_feature_sets(visitor: VisitorDep, session: SessionDep) -> Response:
    return _shown(visitor, "sets", described=_described(session))


@router.get("/feature-sets/now")
def refresh_feature_sets(visitor: VisitorDep, session: SessionDep) -> Response:
    return page("operations_sets.html", visitor, described=_described(session))


def _described(session: SessionDep) -> list[feature_set_use.Described]:
    there = [one for one in feature_sets.every(session) if one.stage != FeatureStage.DROPPED]
    return feature_set_use.describe(session, there)


@router.get("/keys")
def show_keys(visitor: VisitorDep, session: SessionDep) -> Response:
    visitor.caller.require(Role.ADMIN)
    every = sorted(keys.every(session), key=lambda key: (key.revoked_at is not None, key.name.casefold(), key.id))
    return _shown(visitor, "keys", keys=every, roles=list(Role))


@router.get("/audit")
def show_audit(
    visitor: VisitorDep,
    session: SessionDep,
    cursor: Annotated[int | None, Query(ge=0, lt=2**63)] = None,
    actor: Annotated[str, Query(max_length=256)] = "",
    action: Annotated[str, Query(max_length=256)] = "",
    object_id: Annotated[str, Query(max_length=256)] = "",
) -> Response:
    visitor.caller.require(Role.ADMIN)
    wanted = {"actor": actor, "action": action, "object_id": object_id}
    found = audit.recent(session, limit=EVENTS + 1, before=cursor, **wanted)
    following = found[EVENTS - 1].id if len(found) > EVENTS else None
    return _shown(visitor, "audit", events=found[:EVENTS], following=following, wanted=wanted)
