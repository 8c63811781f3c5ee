"""Explanations: where a head finds its evidence."""

from datetime import datetime
from typing import Literal, Self
from uuid import UUID

from pydantic import BaseModel, Field

from app.imaging.prepare import Box
from app.services.explanations import Explained, Place, RegionExplained

BoxOut = tuple[int, int, int, int]


def _corners(box: Box) -> BoxOut:
    return (box.x, box.y, box.width, box.height)


class PlaceOut(BaseModel):
    row: int
    column: int
    rows: int
    columns: int
    heat: float = Field(description="evidence of these cells in sum")
    box: BoxOut = Field(description="x, y, width, height in pixels of the frame")

    @classmethod
    def of(cls, place: Place) -> Self:
        return cls(
            row=place.row, column=place.column, rows=place.rows, columns=place.columns, heat=place.heat,
            box=_corners(place.box),
        )  # fmt: skip


class ExplainedRegionOut(BaseModel):
    id: int
    ordinal: int
    frame: int
    box: BoxOut = Field(description="what the network saw: x, y, width, height in pixels of the frame")


class RegionExplanationOut(BaseModel):
    region: ExplainedRegionOut
    method: str = Field(description="`class-activation-map` (exact), `hirescam` or `occlusion`")
    exact: bool = Field(description="whether the heat and the bias add up to the log-odds, checked when it was made")
    rows: int
    columns: int
    heat: list[list[float]] = Field(description="evidence for the positive class, above 0, or against it, by cell")
    log_odds: float = Field(description="what is explained; before calibration where `exact`")
    bias: float | None = Field(description="the part of the log-odds that belongs to no cell; null for occlusion")
    probability: float = Field(description="of the positive class, as the head calibrates it")
    hottest_cell: PlaceOut
    hottest_region: PlaceOut = Field(description="the three by three cells with most evidence")
    engine: str
    notes: list[str]
    at: datetime

    @classmethod
    def of(cls, view: RegionExplained) -> Self:
        region, facts = view.region, view.facts
        return cls(
            region=ExplainedRegionOut(
                id=region.id, ordinal=region.ordinal, frame=region.frame, box=_corners(view.box)
            ),
            method=view.method, exact=view.method == "class-activation-map",
            rows=view.heat.shape[0], columns=view.heat.shape[1],
            heat=[[round(float(value), 6) for value in row] for row in view.heat],
            log_odds=facts["log_odds"], bias=facts["bias"], probability=facts["probability"],
            hottest_cell=PlaceOut.of(view.hottest_cell), hottest_region=PlaceOut.of(view.hottest_region),
            engine=facts["engine"], notes=facts["notes"], at=view.at,
        )  # fmt: skip


class ExplainedHeadOut(BaseModel):
    id: UUID
    version: int
    algorithm: str


class ExplanationOut(BaseModel):
    """Evidence in log-odds of the positive class, a map for each region of the image."""

    image_id: UUID
    task: str
    classes: list[str]
    positive: str
    head: ExplainedHeadOut
    feature_set: str
    unit: Literal["log-odds"] = "log-odds"
    regions: list[RegionExplanationOut]

    @classmethod
    def of(cls, found: Explained) -> Self:
        return cls(
            image_id=found.image.id, task=found.task.name, classes=found.task.classes, positive=found.task.positive,
            head=ExplainedHeadOut(id=found.head.id, version=found.head.version, algorithm=found.head.algorithm),
            feature_set=found.feature_set.name, regions=[RegionExplanationOut.of(one) for one in found.regions],
        )  # fmt: skip


class PendingOut(BaseModel):
    """The explanation is being made: ask again at Location."""

    image_id: UUID
    task: str
    state: Literal["pending"] = "pending"
