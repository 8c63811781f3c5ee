"""A fitted head while it is still Python, and its conversion into a checked artifact."""

from dataclasses import dataclass

import numpy as np

from app.heads.arrays import Float32, Float64
from app.heads.artifact import GoldenRows, HeadMetadata
from app.heads.convert import Step, to_onnx
from app.heads.parity import Parity, measure_parity
from app.heads.scoring import Head, decide
from app.heads.table import TrainingTable
from app.heads.trainers.base import Fit
from app.heads.trainers.links import Link
from app.heads.trainers.scaling import Scaling
from app.heads.trainers.search import require_converged

GOLDEN_ROWS = 6


@dataclass(frozen=True)
class Pipeline:
    scaling: Scaling
    fitted: Fit
    link: Link

    @property
    def steps(self) -> list[Step]:
        return [self.scaling, self.fitted, self.link]

    def probabilities(self, x: Float32) -> Float64:
        """Return the trainer's own answer (n, classes), computed by its own library."""
        return self.link(require_converged(self.fitted.scores(self.scaling(x))))


def convert(
    pipeline: Pipeline, table: TrainingTable, metadata: HeadMetadata, out_of_fold: Float32
) -> tuple[bytes, Parity]:
    """Return the artifact and how closely it answers like `pipeline` on the rows of `table`.

    Golden rows are spread over the ranks of the out-of-fold probabilities (n, classes). Raises `HeadRefused` where
    the artifact differs.
    """
    x = table.features(metadata.pooling)
    golden = _golden_rows(pipeline, table, metadata, out_of_fold[:, table.positive_index])
    artifact = to_onnx(pipeline.steps, metadata, golden)
    head = Head.load(artifact)
    parity = measure_parity(head, table.avg, table.max, lambda index: pipeline.probabilities(x[index]))
    head.self_check()
    return artifact, parity


def _golden_rows(pipeline: Pipeline, table: TrainingTable, metadata: HeadMetadata, positive: Float32) -> GoldenRows:
    ranks = np.linspace(0, len(positive) - 1, min(GOLDEN_ROWS, len(positive))).astype(np.int64)
    index = np.argsort(positive, kind="stable")[ranks]
    own = pipeline.probabilities(table.features(metadata.pooling)[index])
    decisions = tuple(decide(metadata, own))
    return GoldenRows(table.avg[index], table.max[index], own.astype(np.float32), decisions)
