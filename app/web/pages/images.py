"""`/images`: the archive, a scan's own page, and the evidence beside a scan."""

from uuid import UUID

from fastapi import APIRouter
from starlette.responses import Response

from app.deps import SessionDep, SettingsDep
from app.services import evidence
from app.web.evidence_words import EvidenceWords, tally
from app.web.rendering import page
from app.web.visitors import VisitorDep

router = APIRouter(prefix="/images")


@router.get("/{image_id}/evidence/{task}")
def show_evidence(
    image_id: UUID, task: str, visitor: VisitorDep, session: SessionDep, settings: SettingsDep
) -> Response:
    """The evidence beside a scan, as a fragment."""
    told = evidence.gather(session, image_id, task, author=visitor.name, default_set=settings.feature_set)
    return page("evidence.html", visitor, told=told, words=EvidenceWords(visitor.language), tally=tally)
