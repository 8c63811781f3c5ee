"""`/ingest`: scans are dropped, sent, and seen to be judged."""

from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from app.deps import SessionDep, SettingsDep
from app.services import images, tasks
from app.services.filters import ImageFilter
from app.web.rendering import page
from app.web.visitors import Visitor, VisitorDep

router = APIRouter()
RECENT = 8


@router.get("/ingest")
def show_ingest(visitor: VisitorDep, session: SessionDep, settings: SettingsDep) -> Response:
    every = tasks.every(session)
    recent = images.describe(session, images.page(session, ImageFilter(), limit=RECENT))
    return page(
        "ingest.html", visitor, active="ingest", tasks=every, recent=recent, known=_known(visitor),
        max_file_bytes=settings.max_file_bytes,
        # Of a blind task nobody sees an answer before an opinion of their own: here neither.
        told={task.name: {"classes": task.classes, "positive": task.positive, "blind": task.blind} for task in every},
    )  # fmt: skip


def _known(visitor: Visitor) -> dict[str, Any]:
    """What this person stated of the scans they sent last."""
    kept = visitor.preferences.get("ingest")
    known = {"declared": {}, "source": "", "subject": "none", "subject_text": "", "tags": "", "profile": ""}
    return known | {name: kept[name] for name in known if name in kept} if isinstance(kept, dict) else known
