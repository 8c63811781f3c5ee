"""`/v1/labels` and `/v1/images/{id}/labels`: what images are said to show, one by one and by the file."""

import io
from collections.abc import Iterator
from contextlib import asynccontextmanager
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request
from starlette.concurrency import run_in_threadpool

from app.api import bodies
from app.api.middleware import MAX_UNSTREAMED_BYTES
from app.api.problems import problems
from app.api.schemas import Moment, Name, Text
from app.api.schemas.labels import (
    LabelConflictOut,
    LabelConflictPage,
    LabelImportOut,
    LabelIn,
    LabelOut,
    LabelPage,
    LabelsIn,
    LabelTogetherIn,
    LabelTogetherOut,
    ListedLabelOut,
    Source,
    WithdrawalsIn,
    WithdrawalsOut,
)
from app.api.uploads import Upload, receive_upload
from app.deps import Admin, CallerDep, Inspector, Parts, PartsDep, SessionDep
from app.errors import InvalidInput, TooLarge
from app.services import label_csv, label_import, label_lists, label_withdrawals, labelling
from app.services import label_together as together
from app.services.label_csv import Line, Refused
from app.services.label_import import Import
from app.services.label_lists import LabelFilter

router = APIRouter(tags=["labels"])
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": {"$ref": "#/components/schemas/LabelsIn"}},
            "text/csv": {"schema": {"type": "string"}},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "additionalProperties": False,
                    "properties": {"file": {"type": "string", "format": "binary"}},
                }
            },
        },
    }
}


@router.get("/images/{image_id}/labels", responses=problems(404))
def list_labels_of_image(image_id: UUID, session: SessionDep, _: CallerDep) -> list[LabelOut]:
    """Every label the image ever had, the latest first; which one counts for its task, and why."""
    return [LabelOut.of(stated) for stated in labelling.history(session, image_id)]


@router.put("/images/{image_id}/labels/{task}", responses=problems(404, 409))
def put_label(image_id: UUID, task: Name, body: LabelIn, session: SessionDep, caller: Inspector) -> LabelOut:
    """State what an image shows. Earlier labels stay in its history."""
    label = labelling.add(session, image_id, task, body.class_name, author=caller.name, reason=body.reason)
    return next(LabelOut.of(one) for one in labelling.history(session, image_id) if one.label is label)


@router.post("/tasks/{task}/labels", responses=problems(404, 409))
def label_together(task: Name, body: LabelTogetherIn, session: SessionDep, caller: Inspector) -> LabelTogetherOut:
    """State the same of many images, as a review: `labels` are the new ones, for `/v1/labels/withdrawals` to undo.

    Images of which the caller said the same last are `known`, deleted ones `missing`; neither keeps others back.
    """
    done = together.label(session, task, body.images, body.class_name, author=caller.name, reason=body.reason)
    return LabelTogetherOut.of(done)


@router.get("/labels", responses=problems(404))
def list_labels(
    session: SessionDep,
    _: CallerDep,
    task: Name | None = None,
    source: Source | None = None,
    author: Text | None = None,
    class_name: Annotated[Name | None, Query(alias="class")] = None,
    since: Annotated[Moment | None, Query(alias="from", description="stated then or later")] = None,
    until: Annotated[Moment | None, Query(description="stated before then")] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    cursor: Annotated[int | None, Query(ge=0, lt=2**63)] = None,
) -> LabelPage:
    """Labels of all images, the last stored first; which of them count, and why."""
    wanted = LabelFilter(task=task, source=source, author=author, class_name=class_name, since=since, until=until)
    found = label_lists.page(session, wanted, limit=limit + 1, before=cursor)
    return LabelPage(
        items=[ListedLabelOut.of_listed(one) for one in found[:limit]],
        next=found[limit - 1].label.id if len(found) > limit else None,
    )


@router.get("/labels/conflicts", responses=problems(404))
def list_label_conflicts(
    session: SessionDep,
    _: CallerDep,
    task: Name,
    open_only: Annotated[bool, Query(alias="open", description="leave out what a reviewer decided")] = False,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    cursor: UUID | None = None,
) -> LabelConflictPage:
    """Images whose sources disagree, each by its last word."""
    found = label_lists.conflicts(session, task, limit=limit + 1, open_only=open_only, after=cursor)
    return LabelConflictPage(
        items=[LabelConflictOut.of(one) for one in found[:limit]],
        next=found[limit - 1].image_id if len(found) > limit else None,
    )


@router.post("/labels/withdrawals", responses=problems(404, 409))
def withdraw_labels(body: WithdrawalsIn, session: SessionDep, caller: Inspector) -> WithdrawalsOut:
    """Take labels back, all or none: they stay in the history and count no more. A second time changes nothing.

    One's own; an administrator may withdraw anybody's. 409 for a label that an opinion made: withdraw the opinion.
    """
    done = label_withdrawals.withdraw(session, body.ids, caller=caller, reason=body.reason)
    return WithdrawalsOut(withdrawn=done)


@router.post(
    "/labels", response_model=LabelImportOut, responses=problems(404, 409, 413), openapi_extra=_BODY,
)  # fmt: skip
async def import_labels(
    request: Request,
    parts: PartsDep,
    caller: Admin,
    task: Name,
    source: Annotated[Source, Query(description="of lines that name none")] = "import",
    dry_run: Annotated[bool, Query(description="store nothing, and say what would be stored")] = False,
) -> Any:
    """Label many images: a CSV file (multipart or text/csv), or a JSON list.

    Columns: one or more of id, sha256, file, subject; class; and if wanted source, author, time, reason. Lines that
    cannot be used are listed with the reason, and all others are stored.
    """
    wanted = Import(task=task, author=caller.name, source=source, dry_run=dry_run)
    kind = request.headers.get("content-type", "").lower().partition(";")[0].strip()
    if bodies.is_multipart(request):
        async with asynccontextmanager(receive_upload)(request, parts, caller) as upload:
            return await run_in_threadpool(_from_upload, parts, upload, wanted)
    if kind == "text/csv":
        content = await _whole(request)
        return await run_in_threadpool(_from_csv, parts, io.BytesIO(content), wanted)
    if kind != "application/json":
        raise InvalidInput("Send a CSV file as multipart/form-data or text/csv, or a list as application/json.")
    body = await bodies.read_json(request, LabelsIn, max_bytes=MAX_UNSTREAMED_BYTES)
    lines = (one.to_line(number) for number, one in enumerate(body.labels, start=1))
    return await run_in_threadpool(_run, parts, lines, wanted)


async def _whole(request: Request) -> bytes:
    content = bytearray()
    async for chunk in request.stream():
        content.extend(chunk)
        if len(content) > MAX_UNSTREAMED_BYTES:
            raise TooLarge(f"A body of text/csv has at most {MAX_UNSTREAMED_BYTES:,} bytes; send it as a form's file.")
    return bytes(content)


def _from_upload(parts: Parts, upload: Upload, wanted: Import) -> LabelImportOut:
    if upload.refused:
        raise upload.refused[0].problem
    if len(upload.received) != 1 or upload.fields:
        raise InvalidInput("Send one CSV file and no other field, such as `curl -F file=@labels.csv`.")
    with upload.received[0].file.path.open("rb") as stream:
        return _from_csv(parts, stream, wanted)


def _from_csv(parts: Parts, stream: Any, wanted: Import) -> LabelImportOut:
    found = label_csv.read(stream)
    return _run(parts, found.lines, wanted, found.ignored_columns)


def _run(
    parts: Parts, lines: Iterator[Line | Refused] | Iterator[Line], wanted: Import, ignored: list[str] | None = None
) -> LabelImportOut:
    summary = label_import.run(parts.sessions, lines, wanted)
    summary.ignored_columns = ignored or []
    return LabelImportOut.of(wanted.task, summary, dry_run=wanted.dry_run)
