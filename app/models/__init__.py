"""The tables, one noun a file."""

from app.models.access import ApiKey, AuditEvent, Role
from app.models.dataset import AugmentationRequest, Dataset, DatasetRow, Split, TestScore, Trial
from app.models.desk import DeskSession, Opinion, OpinionWithdrawal, Preference, WorklistClaim
from app.models.features import BackboneTraining, Embedding, FeatureSet, FeatureStage, Preparation
from app.models.image import Declaration, Image, Label, LabelWithdrawal, Region
from app.models.job import Job, JobState, Kind, Worker
from app.models.replay import Replay, ReplayFlip
from app.models.task import Explanation, Head, Prediction, Promotion, Stage, Task

__all__ = [
    "ApiKey", "AuditEvent", "AugmentationRequest", "BackboneTraining", "Dataset", "DatasetRow", "Declaration",
    "DeskSession", "Embedding", "Explanation", "FeatureSet", "FeatureStage", "Head", "Image", "Job", "JobState",
    "Kind", "Label", "LabelWithdrawal", "Opinion", "OpinionWithdrawal", "Prediction", "Preference", "Preparation",
    "Promotion", "Region", "Replay", "ReplayFlip", "Role", "Split", "Stage", "Task", "TestScore", "Trial", "Worker",
    "WorklistClaim",
]  # fmt: skip
