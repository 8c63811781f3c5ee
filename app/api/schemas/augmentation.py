"""Augmented copies of a dataset's training rows."""

from datetime import datetime

from pydantic import BaseModel, Field

from app.api.schemas.common import Body
from app.api.schemas.heads import Progress
from app.heads.recipe import Augmentation
from app.imaging.augment import MOST_COPIES
from app.services import augmentation


class AugmentIn(Body):
    recipe: Augmentation
    copies: int = Field(default=4, ge=1, le=MOST_COPIES, description="of each training row")


class AugmentationOut(BaseModel):
    recipe: str
    mirrored: bool = Field(description="flips are among the copies, since the task allows them")
    copies: int = Field(description="of each training row")
    progress: Progress = Field(description="training rows with all their copies, and training rows")
    pending: int = Field(description="training rows that are still to be done")
    failed: int = Field(description="training rows that stay without: parked or cancelled")
    present: int = Field(description="copies that are stored")
    author: str
    created_at: datetime

    @classmethod
    def of(cls, found: augmentation.Progress) -> "AugmentationOut":
        return cls(
            recipe=found.recipe, mirrored=found.mirrored, copies=found.copies,
            progress=Progress(done=found.done, total=found.rows), pending=found.pending, failed=found.failed,
            present=found.present, author=found.author, created_at=found.created_at,
        )  # fmt: skip
