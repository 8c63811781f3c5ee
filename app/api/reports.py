"""`/v1/heads/{id}/report|card|predictions`: what is known of a head version, for programs and for people."""

from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Header, Query, Response
from fastapi.responses import HTMLResponse, JSONResponse, StreamingResponse

from app.api.problems import problems
from app.db import transaction
from app.deps import CallerDep, PartsDep, SessionDep
from app.services import answers, reports
from app.services.answers import RowsOf

router = APIRouter(prefix="/heads", tags=["heads"])
# The page brings all that it needs: nothing in it may run, and nothing may be fetched for it.
_PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Vary": "Accept",
}


def _text(media_type: str, description: str, **others: Any) -> dict[int | str, dict[str, Any]]:
    content = {media_type: {"schema": {"type": "string"}}, **others}
    return {200: {"description": description, "content": content}, **problems(404, 409)}


@router.get(
    "/{head_id}/report",
    response_class=Response,
    responses=_text("text/html", "The report", **{"application/json": {"schema": {"type": "object"}}}),
)
def read_report(
    head_id: UUID,
    session: SessionDep,
    _: CallerDep,
    format: Annotated[  # noqa: A002  # the word that callers know
        Literal["json", "html"] | None, Query(description="without it, what `Accept` prefers; JSON if it does not say")
    ] = None,
    accept: Annotated[str | None, Header(include_in_schema=False)] = None,
) -> Response:
    """Figures with intervals, curves, slices, parameters, digests and versions of a trained head: JSON or one page."""
    if (format or ("html" if _prefers_html(accept or "") else "json")) == "html":
        return HTMLResponse(reports.page(session, head_id), headers=_PAGE_HEADERS)
    return JSONResponse(reports.report(session, head_id), headers={"Vary": "Accept"})


def _prefers_html(accept: str) -> bool:
    """Whether HTML is named and ranks above JSON and above anything at all (RFC 9110, 12.5.1)."""
    ranks: dict[str, float] = {}
    for part in accept.split(","):
        name, *parameters = (piece.strip() for piece in part.split(";"))
        quality = next((piece[2:] for piece in parameters if piece.startswith("q=")), "1")
        try:
            ranks[name.lower()] = float(quality)
        except ValueError:
            continue
    html = ranks.get("text/html", 0.0)
    return html > 0 and html > ranks.get("application/json", 0.0)


@router.get("/{head_id}/card", response_class=Response, responses=_text("text/markdown", "The model card"))
def read_card(head_id: UUID, session: SessionDep, _: CallerDep) -> Response:
    """The model card in Hugging Face form: YAML front matter, then Markdown."""
    return Response(reports.card(session, head_id), media_type="text/markdown; charset=utf-8")


@router.get(
    "/{head_id}/predictions",
    response_class=StreamingResponse,
    responses=_text("text/csv", "A line a row, with a header"),
)
def read_predictions(head_id: UUID, parts: PartsDep, _: CallerDep, rows: RowsOf = RowsOf.OUT_OF_FOLD) -> Response:
    """What the head answered on each labelled row: of training rows by models that had not seen the row."""
    with transaction(parts.sessions) as session:
        told = answers.stored(session, head_id, rows)
    return StreamingResponse(
        answers.csv_lines(parts.sessions, told),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{told.name}"', "X-Content-Type-Options": "nosniff"},
    )
