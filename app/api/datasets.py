"""`/v1/datasets`: frozen snapshots, their rows, files of them; `/v1/heads/{id}/test`: a head on held-out rows."""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from typing import IO, Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response
from fastapi.responses import StreamingResponse
from sqlalchemy.orm import Session

from app.api.problems import problems
from app.api.schemas import Name
from app.api.schemas.datasets import (
    ConsultationOut,
    DatasetDetailOut,
    DatasetIn,
    DatasetName,
    DatasetOut,
    DatasetPage,
    DatasetRowOut,
    DatasetRowPage,
    TestOut,
)
from app.deps import Admin, CallerDep, PartsDep, SessionDep
from app.models import Dataset, Split
from app.services import dataset_export, datasets, evaluation, feature_sets, registry, tasks
from app.services.dataset_export import Format

router = APIRouter(tags=["datasets"])
_MEDIA_TYPES = {Format.PARQUET: "application/vnd.apache.parquet", Format.NPZ: "application/zip"}
_BLOCK_BYTES = 1 << 20


@router.get("/datasets", responses=problems())
def list_datasets(
    session: SessionDep,
    _: CallerDep,
    name: DatasetName | None = None,
    task: Name | None = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    cursor: UUID | None = None,
) -> DatasetPage:
    """Frozen datasets, newest first."""
    found = datasets.page(session, limit=limit + 1, before=cursor, name=name, task=task)
    return DatasetPage(items=_views(session, found[:limit]), next=found[limit - 1].id if len(found) > limit else None)


@router.post(
    "/datasets",
    status_code=201,
    responses={200: {"model": DatasetDetailOut, "description": "The same was frozen before"}, **problems(404, 409)},
)
def freeze_dataset(
    body: DatasetIn, session: SessionDep, parts: PartsDep, caller: Admin, response: Response
) -> DatasetDetailOut:
    """Freeze labelled images with their classes, subjects and splits, as the next version of a name.

    409 when a subject would be on two sides: move it (`together`), or allow it (`allow_leaks`).
    """
    like = datasets.splits_of(session, datasets.named(session, body.split.like)) if body.split.like else {}
    dataset = datasets.freeze(
        session, body.name, body.task,
        feature_sets.of_task(session, tasks.named(session, body.task), body.feature_set, parts.settings.feature_set),
        body.selection.to_selection(), body.split.to_spec(like), author=caller.name, together=body.together,
        allow_leaks=body.allow_leaks, duplicate_bound=body.duplicate_bound,
    )  # fmt: skip
    response.status_code = 201 if datasets.is_new(session, dataset) else 200
    response.headers["Location"] = f"/v1/datasets/{dataset.id}"
    return _detail(session, dataset)


@router.get("/datasets/{dataset_id}", responses=problems(404))
def read_dataset(dataset_id: UUID, session: SessionDep, _: CallerDep) -> DatasetDetailOut:
    """A dataset: what was selected, how it is divided, what crosses the splits, who looked at its test rows."""
    return _detail(session, datasets.get(session, dataset_id))


@router.get("/datasets/{dataset_id}/rows", responses=problems(404))
def list_rows(
    dataset_id: UUID,
    session: SessionDep,
    _: CallerDep,
    split: Split | None = None,
    limit: Annotated[int, Query(ge=1, le=5000)] = 500,
    cursor: Annotated[int | None, Query(ge=0, lt=2**63)] = None,
) -> DatasetRowPage:
    """The rows of a dataset, by region."""
    found = datasets.rows(session, datasets.get(session, dataset_id), limit=limit + 1, after=cursor, split=split)
    items = [DatasetRowOut.of(row) for row in found[:limit]]
    return DatasetRowPage(items=items, next=items[-1].region_id if len(found) > limit else None)


@router.get(
    "/datasets/{dataset_id}/export",
    response_class=StreamingResponse,
    responses={
        200: {"description": "The dataset with its vectors", "content": {kind: {} for kind in _MEDIA_TYPES.values()}},
        **problems(404, 409),
    },
)
def export_dataset(
    dataset_id: UUID,
    session: SessionDep,
    _: CallerDep,
    form: Annotated[Format, Query(alias="format")] = Format.PARQUET,
) -> StreamingResponse:
    """A file of the rows with their vectors, for other programs and other stores."""
    dataset = datasets.get(session, dataset_id)
    with ExitStack() as kept:
        file = kept.enter_context(tempfile.TemporaryFile())
        dataset_export.export(session, dataset, form, file)
        kept.pop_all()  # the answer closes it, and as it has no name, nothing can be left behind
    size = file.seek(0, 2)
    file.seek(0)
    return StreamingResponse(
        _blocks(file),
        media_type=_MEDIA_TYPES[form],
        headers={
            "Content-Length": str(size),
            "Content-Disposition": f'attachment; filename="{dataset.name}-v{dataset.version}.{form}"',
        },
    )


@router.post("/heads/{head_id}/test", tags=["heads"], responses=problems(404, 409))
def score_head(
    head_id: UUID,
    dataset: DatasetName,
    session: SessionDep,
    caller: Admin,
    split: Annotated[Split, Query(description="test, once for ever, or validation, as often as you like")] = Split.TEST,
) -> TestOut:
    """Score a finished head on rows that it did not learn from.

    On test rows once: asked again, the first answer is given again, and `repeated` says so.
    """
    judged = evaluation.score(session, head_id, datasets.named(session, dataset), split, author=caller.name)
    return TestOut.of(registry.get(session, head_id), judged)


def _blocks(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        while block := file.read(_BLOCK_BYTES):
            yield block


def _views(session: Session, found: list[Dataset]) -> list[DatasetOut]:
    names = {stored.id: stored.name for stored in feature_sets.every(session)}
    looked = datasets.consultations(session, [dataset.id for dataset in found])
    return [DatasetOut.of(d, names[d.feature_set_id], looked[d.id], datasets.notes(d)) for d in found]


def _detail(session: Session, dataset: Dataset) -> DatasetDetailOut:
    return DatasetDetailOut(
        **_views(session, [dataset])[0].model_dump(), selection=dataset.selection, split=dataset.split,
        findings=dataset.findings, lost=datasets.lost_rows(session, dataset),
        consulted_by=[ConsultationOut.of(score, head) for score, head in datasets.consulted_by(session, dataset)],
    )  # fmt: skip
