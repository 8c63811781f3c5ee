"""`/v1/image-lookups`: which of many images are here, in one question."""

from fastapi import APIRouter

from app.api.problems import problems
from app.api.schemas import ImageOut
from app.api.schemas.images import LookupIn, LookupOut
from app.deps import CallerDep, SessionDep
from app.services import images

router = APIRouter(tags=["images"])


@router.post("/image-lookups", responses=problems())
def look_up_images(body: LookupIn, session: SessionDep, _: CallerDep) -> LookupOut:
    """Which of these images are here, and how far each is: before a folder is sent again, and while it is judged."""
    by_digest = images.ids_by_sha256(session, [bytes.fromhex(digest) for digest in body.sha256])
    wanted = list(dict.fromkeys([*body.ids, *by_digest.values()]))
    return LookupOut(images=[ImageOut.of(view) for view in images.describe(session, wanted)])
