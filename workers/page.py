"""The page of a report, drawn at the end of a training: the one place where matplotlib is loaded."""

import logging
from collections.abc import Mapping
from typing import Any

from app.blobs import BlobStore
from app.db import transaction
from app.heads.report.page import render_page
from app.services import ingest, reports
from workers.runner import Base

log = logging.getLogger(__name__)


def render(base: Base, report: Mapping[str, Any], *, title: str) -> str | None:
    """Draw the page of a report, with thumbnails from the store; None, and a line in the log, where that fails."""
    with transaction(base.sessions) as session:
        originals = reports.originals(session, reports.shown_images(report))
    try:
        found = reports.thumbnails(BlobStore(base.settings.blobs), ingest.limits(base.settings), originals)
        return render_page(report, title=title, thumbnails=found)
    except Exception:  # an hour of training is worth more than its picture; the report itself is stored
        log.exception("the page of %s could not be drawn", title)
        return None
