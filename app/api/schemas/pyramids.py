"""Pyramids: a scan's pixels at every size, tile by tile."""

from typing import Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from app.imaging.pyramid import TILE
from app.models import Image
from app.services.pyramids import Pyramid


class LevelOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    level: int
    width: int
    height: int
    columns: int = Field(description="of tiles")
    rows: int = Field(description="of tiles")
    scale: int = Field(description="pixels of the frame, across and down, whose mean one pixel is")


class PyramidOut(BaseModel):
    """One frame's tiles are at `/v1/images/{id}/pyramid/{frame}/{level}/{row}/{column}`."""

    image_id: UUID
    frame: int
    frames: int
    width: int
    height: int
    bits: int = Field(description="bits a sample that carry information in the file")
    depth: Literal[8, 16] = Field(description="bits a sample of the tiles, over the whole range of `bits`")
    colour: bool = Field(description="RGB where the file has colours; grey otherwise")
    tile: int = Field(description="pixels of a tile's side; the last ones of a row or column have fewer")
    spacing_mm: tuple[float, float] | None = Field(
        description="between the middles of pixels of the scan, down and across, where the file says it"
    )
    levels: list[LevelOut] = Field(description="from the frame itself to the smallest")

    @classmethod
    def of(cls, image: Image, frame: int, found: Pyramid) -> Self:
        shape = found.shape
        return cls(
            image_id=image.id, frame=frame, frames=image.frames, width=shape.width, height=shape.height,
            bits=shape.bits, depth=16 if shape.depth == 16 else 8, colour=shape.colour, tile=TILE,
            spacing_mm=image.facts.get("spacing_mm"),
            levels=[LevelOut.model_validate(level) for level in found.levels],
        )  # fmt: skip
