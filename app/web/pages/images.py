"""`/images`: the archive, a scan's own page, and the evidence beside a scan."""

from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request
from sqlalchemy.orm import Session
from starlette.responses import Response

from app.deps import SessionDep, SettingsDep
from app.models import Task
from app.services import evidence, images, tasks
from app.services.evidence import Evidence
from app.web import scan_cards
from app.web.evidence_words import EvidenceWords, tally
from app.web.rendering import page
from app.web.scan_filters import ScanFilter, identity
from app.web.visitors import Visitor, VisitorDep

router = APIRouter(prefix="/images")
AT_ONCE = 60


@router.get("")
def show_archive(request: Request, visitor: VisitorDep, session: SessionDep) -> Response:
    """Every scan, newest first, as filtered; a page ends where `cursor` says."""
    known = tasks.every(session)
    chosen = ScanFilter.read(request.query_params, known)
    before = identity(request.query_params.get("cursor"))
    ids = images.page(session, chosen.wanted, limit=AT_ONCE + 1, before=before)
    cards = scan_cards.made(session, ids[:AT_ONCE], known, chosen.task, author=visitor.name)
    return page(
        "images.html", visitor, active="images", tasks=known, chosen=chosen, cards=cards,
        next=ids[AT_ONCE - 1] if len(ids) > AT_ONCE else None, later=before is not None,
        given=scan_cards.for_scripts(known, visitor.language),
    )  # fmt: skip


@router.get("/{image_id}")
def show_scan(
    image_id: UUID, visitor: VisitorDep, session: SessionDep, settings: SettingsDep, task: str | None = None
) -> Response:
    """A scan with its evidence, and a label by hand."""
    image = images.get(session, image_id)
    known = tasks.every(session)
    asked = task or _own_task(session, image_id, known, image.profile)
    told = evidence.gather(session, image_id, asked, author=visitor.name, default_set=settings.feature_set)
    return page(
        "scan.html", visitor, active="images", tasks=known, given=_for_script(told, visitor), **_beside(told, visitor)
    )


def _own_task(session: Session, image_id: UUID, known: list[Task], profile: str | None) -> str:
    """What a scan is about where nobody says: what was declared, else what is asked of its kind."""
    declared = images.described(session, image_id).declared
    named = next((one.name for one in known if one.name in declared), None)
    of_kind = scan_cards.of_kind(known, profile)
    return named or (of_kind.name if of_kind else "")


@router.get("/{image_id}/evidence/{task}")
def show_evidence(
    image_id: UUID, task: str, visitor: VisitorDep, session: SessionDep, settings: SettingsDep
) -> Response:
    """The evidence beside a scan, as a fragment."""
    told = evidence.gather(session, image_id, task, author=visitor.name, default_set=settings.feature_set)
    return page("evidence.html", visitor, **_beside(told, visitor))


def _beside(told: Evidence, visitor: Visitor) -> dict[str, Any]:
    return {"told": told, "words": EvidenceWords(visitor.language), "tally": tally}


def _for_script(told: Evidence, visitor: Visitor) -> dict[str, Any]:
    worst = told.answers[0] if told.answers else None
    return {
        "id": str(told.image.id),
        "name": told.image.file_name or str(told.image.id),
        "task": told.task.name,
        "declared": told.declared,
        "decision": worst.decision if worst else None,
        "risk": told.risk,
        "head": {"id": str(told.head.id), "version": told.head.version} if told.head else None,
        "hidden": told.hidden,
        "boxes": [
            {"x": x, "y": y, "width": width, "height": height, "kind": one.decision}
            for one in told.answers
            for x, y, width, height in [one.box]
        ],
        **scan_cards.for_scripts([told.task], visitor.language)[told.task.name],
    }
