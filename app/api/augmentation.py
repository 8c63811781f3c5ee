"""`/v1/datasets/{id}/augmentations`: copies of its training rows, and how far they are."""

from uuid import UUID

from fastapi import APIRouter

from app.api.problems import problems
from app.api.schemas.augmentation import AugmentationOut, AugmentIn
from app.deps import Admin, CallerDep, SessionDep
from app.heads.recipe import Augmentation
from app.services import augmentation, datasets

router = APIRouter(prefix="/datasets/{dataset_id}/augmentations", tags=["datasets"])


@router.post("", status_code=202, responses=problems(404, 409))
def request_copies(dataset_id: UUID, body: AugmentIn, session: SessionDep, caller: Admin) -> AugmentationOut:
    """Have augmented copies of a dataset's training rows made, behind every extraction.

    Asked again, the larger number counts, what is stored stays, and what was cancelled is queued again.
    """
    dataset = datasets.get(session, dataset_id)
    return AugmentationOut.of(augmentation.request(session, dataset, body.recipe, body.copies, author=caller.name))


@router.get("", responses=problems(404))
def list_copies(dataset_id: UUID, session: SessionDep, _: CallerDep) -> list[AugmentationOut]:
    """How far the copies of each recipe are."""
    return [AugmentationOut.of(found) for found in augmentation.progress(session, datasets.get(session, dataset_id))]


@router.delete("/{recipe}", status_code=204, responses=problems(404, 409))
def withdraw_request(dataset_id: UUID, recipe: Augmentation, session: SessionDep, caller: Admin) -> None:
    """Ask no longer: waiting jobs are cancelled, stored copies stay."""
    augmentation.withdraw(session, datasets.get(session, dataset_id), recipe, author=caller.name)
