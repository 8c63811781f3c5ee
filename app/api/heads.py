"""`/v1/heads/{id}`: one head version and its artifact."""

from uuid import UUID

from fastapi import APIRouter, Response

from app.api.problems import problems
from app.api.schemas import HeadOut
from app.deps import CallerDep, SessionDep
from app.models import FeatureSet
from app.services import registry

router = APIRouter(prefix="/heads", tags=["heads"])


@router.get("/{head_id}", responses=problems(404))
def read_head(head_id: UUID, session: SessionDep, _: CallerDep) -> HeadOut:
    """A head version and its stage."""
    head = registry.get(session, head_id)
    return HeadOut.of(head, session.get_one(FeatureSet, head.feature_set_id).name)


@router.get(
    "/{head_id}/artifact",
    response_class=Response,
    responses={
        200: {"description": "An ONNX file", "content": {"application/onnx": {}}},
        **problems(404, 409),
    },
)
def read_artifact(head_id: UUID, session: SessionDep, _: CallerDep) -> Response:
    """The head itself: class names, threshold and feature set travel in its metadata."""
    head = registry.get(session, head_id)
    content = registry.artifact(session, head_id)
    name = f"{head.task}-v{head.version}.onnx"
    return Response(
        content,
        media_type="application/onnx",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )
