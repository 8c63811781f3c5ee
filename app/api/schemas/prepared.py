"""Regions of an image, and what preparing them found."""

from datetime import datetime
from typing import Any, Self

from pydantic import BaseModel, Field

from app.services.prepared import RegionView


class DescribedOut(BaseModel):
    """What a feature set's steps found in a region: `steps`, `quality`, `problems`; empty where nothing was kept."""

    feature_set: str
    profile: str | None
    at: datetime
    findings: dict[str, Any]


class RegionViewOut(BaseModel):
    """A part of an image that is judged by itself. The box is in pixels of its frame as displayed."""

    id: int
    cut: str = Field(description="`frame`, or the detector that found it")
    ordinal: int
    frame: int
    box: tuple[int, int, int, int] = Field(description="x, y, width, height")
    feature_sets: list[DescribedOut]

    @classmethod
    def of(cls, view: RegionView) -> Self:
        region = view.region
        return cls(
            id=region.id,
            cut=region.cut,
            ordinal=region.ordinal,
            frame=region.frame,
            box=(region.x, region.y, region.width, region.height),
            feature_sets=[
                DescribedOut(feature_set=d.feature_set, profile=d.profile, at=d.at, findings=d.findings)
                for d in view.described
            ],
        )
