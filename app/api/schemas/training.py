"""Trainings: what to train and how, and what a search has tried."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, StringConstraints

from app.api.schemas.common import Body, Name, Number, Text
from app.api.schemas.heads import HeadOut, JobOut
from app.heads.algorithms import Algorithm
from app.heads.pooling import Pooling
from app.heads.recipe import MAX_CANDIDATES, MAX_SECONDS, Augmentation, Calibration, Combination, Method
from app.models import Trial

Word = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{1,32}$")]
# int first and strict: a whole number that arrived as 200.0 is no `max_iter`, and `true` no number.
Value = Number | Word


class RangeIn(Body):
    """Numbers that random search and TPE draw from, both ends included."""

    low: Number
    high: Number
    log: bool = Field(default=False, description="drawn evenly in the logarithm")


Params = Annotated[dict[str, Value | list[Value] | RangeIn], Field(max_length=16)]


class SpaceIn(Body):
    """Candidates of one algorithm; what is left out has the documented default."""

    algorithm: Algorithm = Algorithm.LOGISTIC_REGRESSION
    pooling: Pooling | Annotated[list[Pooling], Field(min_length=1, max_length=3)] = Pooling.BOTH
    params: Params = {}


class SearchIn(Body):
    """How candidates are chosen and when to stop."""

    method: Method = Method.GRID
    trials: int | None = Field(default=None, ge=1, le=MAX_CANDIDATES)
    seconds: float | None = Field(default=None, gt=0, le=MAX_SECONDS)


class TrainIn(Body):
    """A recipe: `algorithm`, `pooling` and `params`, or several `spaces`. What is left out has its default, a policy
    the task's own."""

    algorithm: Algorithm | None = None
    pooling: Pooling | Annotated[list[Pooling], Field(min_length=1, max_length=3)] | None = None
    params: Params | None = None
    spaces: list[SpaceIn] | None = Field(default=None, min_length=1, max_length=32)
    search: SearchIn | None = None
    ensemble: Combination | None = Field(default=None, description="joins the best of each space")
    class_weight: Literal["balanced"] | dict[Name, float] | None = None
    sample_weight: dict[Text, dict[Text, float]] | None = Field(
        default=None,
        description="multiplies the errors on a slice of the rows",
        examples=[{"source": {"simulator": 0.2}}],
    )
    sampling: Literal["balanced"] | None = None
    augmentation: Augmentation | None = Field(default=None, description="train with augmented copies")
    folds: int = Field(default=5, ge=2, le=20)
    seed: int = Field(default=0, ge=0, lt=2**32)
    calibration: Calibration | None = None
    prevalence: float | None = Field(default=None, gt=0, lt=1, description="share of the positive class at work")
    policy: Text | None = Field(default=None, description="how it decides, such as `recall>=0.99@0.95`")
    abstain: Text | None = Field(default=None, description="when it says `review`, such as `review<=0.05`")
    dataset: Text | None = Field(default=None, description="`name` or `name@version`; without it, all labels of now")
    feature_set: Text | None = None


class TrainOut(BaseModel):
    job: JobOut
    head: HeadOut


class TrialOut(BaseModel):
    """One candidate on one fold."""

    id: int
    candidate: dict[str, Any]
    fold: int
    auc: float
    seconds: float
    at: datetime

    @classmethod
    def of(cls, trial: Trial) -> "TrialOut":
        return cls(
            id=trial.id, candidate=trial.candidate, fold=trial.fold, auc=trial.auc, seconds=trial.seconds, at=trial.at
        )


class TrialPage(BaseModel):
    items: list[TrialOut]
    next: int | None
