"""Search."""

from typing import Literal
from uuid import UUID

from pydantic import (
    BaseModel,
    Field,
)

from app.api.schemas.common import Body, ConditionsIn, Decision, Name, Text
from app.api.schemas.images import ImageOut
from app.models import FeatureSet
from app.services.images import ImageView
from app.vectors import Neighbours


class FilterIn(ConditionsIn):
    task: Name | None = None
    label: Name | None = Field(default=None, description="class of `task` by the label that counts")
    decision: Decision | None = Field(
        default=None, description="of `task`'s live head: a class, review, or cannot_judge"
    )


class SearchIn(Body):
    """One of `image_id` and `vector`; a file is sent as multipart instead."""

    image_id: UUID | None = None
    vector: list[float] | None = Field(default=None, max_length=4096, description="average-pooled")
    feature_set: Text | None = None
    filter: FilterIn = FilterIn()
    limit: int = Field(default=10, ge=1, le=100)
    exact: bool = False


class NeighbourOut(BaseModel):
    image: ImageOut
    distance: float = Field(description="cosine distance, 0 to 2")


class NeighboursOut(BaseModel):
    feature_set: str
    metric: Literal["cosine"] = "cosine"
    approximate: bool
    exhausted: bool = Field(description="fewer images match than were asked for")
    neighbours: list[NeighbourOut]

    @classmethod
    def of(cls, feature_set: FeatureSet, found: Neighbours, views: list[ImageView]) -> "NeighboursOut":
        by_id = {view.image.id: ImageOut.of(view) for view in views}
        return cls(
            feature_set=feature_set.name, approximate=found.approximate, exhausted=found.exhausted,
            neighbours=[
                NeighbourOut(image=by_id[n.image_id], distance=n.distance)
                for n in found.found if n.image_id in by_id
            ],
        )  # fmt: skip
