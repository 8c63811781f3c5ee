"""The tables, one noun a file."""

from app.models.access import ApiKey, AuditEvent, Role
from app.models.dataset import AugmentationRequest, Dataset, DatasetRow, Split, TestScore, Trial
from app.models.features import Embedding, FeatureSet
from app.models.image import Declaration, Image, Label, Region
from app.models.job import Job, JobState, Kind, Worker
from app.models.replay import Replay, ReplayFlip
from app.models.task import Head, Prediction, Promotion, Stage, Task

__all__ = [
    "ApiKey", "AuditEvent", "AugmentationRequest", "Dataset", "DatasetRow", "Declaration", "Embedding", "FeatureSet",
    "Head", "Image", "Job", "JobState", "Kind", "Label", "Prediction", "Promotion", "Region", "Replay", "ReplayFlip",
    "Role", "Split", "Stage", "Task", "TestScore", "Trial", "Worker",
]  # fmt: skip
