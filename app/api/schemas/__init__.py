"""What goes over the wire. Fields may be added; these stay."""

from app.api.schemas.common import Body, Decision, KeyName, LongText, Moment, Name, Number, Problem, State, Text
from app.api.schemas.heads import HeadOut, JobOut, Progress, PromotedOut, TaskIn, TaskOut
from app.api.schemas.images import (
    HeadRef,
    ImageOut,
    ImagePage,
    MetadataIn,
    PredictIn,
    PredictionOut,
    PredictOut,
    RefusedOut,
    RegionOut,
    UploadOut,
)
from app.api.schemas.labels import LabelIn, LabelOut, LabelsIn
from app.api.schemas.operations import AuditOut, AuditPage, KeyIn, KeyOut, NewKeyOut, StatsOut, WorkerOut
from app.api.schemas.search import FilterIn, NeighbourOut, NeighboursOut, SearchIn
from app.api.schemas.training import TrainIn, TrainOut, TrialOut, TrialPage

__all__ = [
    "AuditOut",
    "AuditPage",
    "Body",
    "Decision",
    "FilterIn",
    "HeadOut",
    "HeadRef",
    "ImageOut",
    "ImagePage",
    "JobOut",
    "KeyIn",
    "KeyName",
    "KeyOut",
    "LabelIn",
    "LabelOut",
    "LabelsIn",
    "LongText",
    "MetadataIn",
    "Moment",
    "Name",
    "NeighbourOut",
    "NeighboursOut",
    "NewKeyOut",
    "Number",
    "PredictIn",
    "PredictOut",
    "PredictionOut",
    "Problem",
    "Progress",
    "PromotedOut",
    "RefusedOut",
    "RegionOut",
    "SearchIn",
    "State",
    "StatsOut",
    "TaskIn",
    "TaskOut",
    "Text",
    "TrainIn",
    "TrainOut",
    "TrialOut",
    "TrialPage",
    "UploadOut",
    "WorkerOut",
]
