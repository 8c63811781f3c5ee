"""Trainings of networks: what is asked, and how far they are."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field, StringConstraints

from app.api.schemas.common import Body, Name, Text
from app.api.schemas.heads import JobOut
from app.features.finetuning.recipe import BackboneRecipe
from app.models import BackboneTraining, Job

NetworkName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9-]{0,58}[a-z0-9])?$")]


class BackboneIn(Body):
    """A network to train; what is left out has its default."""

    name: NetworkName = Field(description="of the training, and of the feature set that it makes")
    task: Name
    dataset: Text | None = Field(default=None, description="`name` or `name@version`; without it, all labels of now")
    feature_set: Text | None = Field(default=None, description="whose network is gone on from; the dataset's own")
    scratch: Name | None = Field(default=None, description="`small-cnn-150` or `small-cnn-224`: from random weights")
    blocks: int = Field(default=1, ge=1, le=3, description="how many of the last blocks are trained")
    epochs: int = Field(default=20, ge=1, le=200)
    rate: float | None = Field(default=None, ge=1e-7, le=0.1, description="1e-4, or 1e-3 from scratch")
    copies: int = Field(default=4, ge=0, le=49, description="augmented copies of each scan")
    augmentation: Literal["soft", "strong"] = "soft"
    batch: int = Field(default=32, ge=2, le=256)
    weight_decay: float = Field(default=1e-4, ge=0, le=1)
    patience: int = Field(default=6, ge=1, le=200)
    class_weight: Literal["balanced"] | None = "balanced"
    validation: float = Field(default=0.2, ge=0.05, le=0.5)
    seed: int = Field(default=0, ge=0, lt=2**32)

    def recipe(self) -> BackboneRecipe:
        return BackboneRecipe.from_json(self.model_dump(exclude={"name", "task", "dataset", "feature_set"}))


class BackboneOut(BaseModel):
    """A training: its recipe, its curve so far (one point an epoch, the first is the start), its report at the end."""

    id: UUID
    name: str
    task: str
    recipe: dict[str, Any]
    epochs: list[dict[str, Any]]
    report: dict[str, Any] | None
    feature_set: str | None = Field(description="what it became; none while it lasts, or when nothing got better")
    author: str
    created_at: datetime
    finished_at: datetime | None
    job: JobOut

    @classmethod
    def of(cls, training: BackboneTraining, job: Job) -> "BackboneOut":
        return cls(
            id=training.id, name=training.name, task=training.task, recipe=training.recipe, epochs=training.epochs,
            report=training.report, feature_set=training.name if training.feature_set_id is not None else None,
            author=training.author, created_at=training.created_at, finished_at=training.finished_at,
            job=JobOut.of(job),
        )  # fmt: skip
