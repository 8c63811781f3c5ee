"""Two head versions on the same test rows."""

from typing import Any

from pydantic import BaseModel, Field

from app.api.schemas.common import Body, Text
from app.services.comparison import Compared


class CompareIn(Body):
    first: int = Field(ge=1, le=2**31 - 1, description="a head version of the task")
    second: int = Field(ge=1, le=2**31 - 1)
    datasets: list[Text] = Field(
        default=[],
        max_length=16,
        description="NAME@VERSION each; without them the datasets that the heads learned from",
    )


class ComparedOut(BaseModel):
    dataset: str
    digest: str
    versions: list[int]
    figures: list[dict[str, Any]] = Field(description="of each head on the test rows, with intervals")
    contest: dict[str, Any] = Field(description="row by row: who is right where, McNemar's exact p")

    @classmethod
    def of(cls, found: Compared) -> "ComparedOut":
        return cls(
            dataset=found.dataset.full_name, digest=found.dataset.digest,
            versions=[head.version for head in found.heads], figures=list(found.figures), contest=found.contest,
        )  # fmt: skip
