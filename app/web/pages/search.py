"""`/search`: scans like one that is stored, or that is dropped on the page."""

from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request
from sqlalchemy.orm import Session
from starlette.responses import RedirectResponse, Response

from app.config import Settings
from app.deps import SessionDep, SettingsDep
from app.errors import Conflict
from app.models import Task
from app.services import feature_sets, image_finding, images, search, tasks
from app.web import scan_cards
from app.web.rendering import page
from app.web.scan_cards import Card
from app.web.scan_filters import ScanFilter, identity
from app.web.visitors import Visitor, VisitorDep

router = APIRouter(prefix="/search")
COUNTS = (24, 48, 96)
FOUND_AT_MOST = 24
LATEST = 12


@router.get("")
def show_search(request: Request, visitor: VisitorDep, session: SessionDep, settings: SettingsDep) -> Response:
    """`image` is the scan whose like is wanted; `find` names one: an id, a subject, a file."""
    known = tasks.every(session)
    chosen = ScanFilter.read(request.query_params, known)
    find = request.query_params.get("find", "").strip().replace("\x00", "")
    given = {"tasks": scan_cards.for_scripts(known, visitor.language)}
    shown: dict[str, Any] = {"tasks": known, "chosen": chosen, "find": find, "given": given, "counts": COUNTS}
    image_id = identity(request.query_params.get("image"))
    if image_id is not None:
        count = _count(request.query_params.get("limit"))
        shown |= _like(session, settings, image_id, chosen, known, visitor, count)
        return page("search_results.html", visitor, active="search", **shown)
    latest = images.page(session, chosen.wanted, limit=LATEST) if not find else []
    ids = image_finding.find(session, find, limit=FOUND_AT_MOST) if find else latest
    if find and len(ids) == 1:
        return RedirectResponse(f"/search{chosen.query(image=ids[0])}", 303)
    cards = scan_cards.made(session, ids, known, chosen.task, author=visitor.name)
    return page("search.html", visitor, active="search", cards=cards, **shown)


def _like(
    session: Session, settings: Settings, image_id: UUID, chosen: ScanFilter, known: list[Task], visitor: Visitor,
    count: int,
) -> dict[str, Any]:  # fmt: skip
    """The scan that was asked about and those like it; `lacking` says why there are none."""
    view = images.described(session, image_id)
    task = chosen.task or scan_cards.of_kind(known, view.image.profile)
    asked = scan_cards.made(session, [image_id], known, task, author=visitor.name)[0]
    values: dict[str, Any] = {"asked": asked, "view": view, "task": task, "count": count}
    try:
        feature_set = feature_sets.of_image(session, image_id, None, settings.feature_set)
        found = search.by_image(session, feature_set, image_id, chosen.wanted, limit=count)
    except Conflict as lacking:
        return values | {"cards": [], "found": None, "feature_set": None, "lacking": lacking.message}
    cards = scan_cards.made(session, [one.image_id for one in found.found], known, task, author=visitor.name)
    distances = {one.image_id: one.distance for one in found.found}
    cards = [Card(one.outcome, one.task, distances[one.image.id]) for one in cards]
    return values | {"cards": cards, "found": found, "feature_set": feature_set.name, "lacking": None}


def _count(text: str | None) -> int:
    return int(text) if text in {str(one) for one in COUNTS} else COUNTS[0]
