"""A fitted head while it is still Python, and its conversion into a checked artifact."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import onnx

from app.errors import HeadRefused
from app.heads.arrays import Float32, Float64
from app.heads.artifact import GoldenRows, HeadMetadata
from app.heads.convert import Graph, to_onnx
from app.heads.familiarity import Familiarity
from app.heads.parity import Parity, measure_parity
from app.heads.pooling import Pooling
from app.heads.scoring import Head, decide
from app.heads.table import TrainingTable
from app.heads.trainers.base import Fit
from app.heads.trainers.ensemble import Joint, emit_log_probabilities, log_probabilities
from app.heads.trainers.evaluation import require_converged
from app.heads.trainers.links import Link
from app.heads.trainers.scaling import Scaling

GOLDEN_ROWS = 6
# What an estimator that cannot be spelled, or is spelled wrongly, makes of `emit` and of onnx's own check.
_CANNOT_CONVERT = (
    NotImplementedError,
    AttributeError,
    TypeError,
    ValueError,
    LookupError,
    onnx.checker.ValidationError,
    onnx.shape_inference.InferenceError,
)


class Pipeline(Protocol):
    """From stored vectors to probabilities, as the trainer computes them and as nodes."""

    @property
    def pooling(self) -> Pooling:
        """Which of the two vectors are read."""
        ...

    def probabilities(self, avg: Float32, max_: Float32) -> Float64:
        """Return the trainer's own answer (n, classes), computed by its own library."""
        ...

    def emit(self, graph: Graph, inputs: Mapping[str, str]) -> str:
        """Write the nodes; `inputs` maps `avg` and `max` (those that `pooling` reads) to names of values."""
        ...


@dataclass(frozen=True)
class SinglePipeline:
    """One fitted algorithm between its scaling and its link."""

    pooling: Pooling
    scaling: Scaling
    fitted: Fit
    link: Link

    def probabilities(self, avg: Float32, max_: Float32) -> Float64:
        x = self.pooling.combine(avg, max_)
        return self.link(require_converged(self.fitted.scores(self.scaling(x))))

    def emit(self, graph: Graph, inputs: Mapping[str, str]) -> str:
        read = [inputs[name] for name in self.pooling.inputs]
        x = read[0] if len(read) == 1 else graph.node("Concat", *read, axis=1)
        for step in (self.scaling, self.fitted, self.link):
            x = step.emit(graph, x)
        return x


@dataclass(frozen=True)
class Ensemble:
    """Members joined on their log-probabilities, with a link of its own."""

    members: tuple[SinglePipeline, ...]
    joint: Joint
    link: Link

    @property
    def pooling(self) -> Pooling:
        poolings = {member.pooling for member in self.members}
        return poolings.pop() if len(poolings) == 1 else Pooling.BOTH

    def probabilities(self, avg: Float32, max_: Float32) -> Float64:
        answers = np.stack([log_probabilities(member.probabilities(avg, max_)) for member in self.members])
        return self.link(self.joint(answers))

    def emit(self, graph: Graph, inputs: Mapping[str, str]) -> str:
        answers = [emit_log_probabilities(graph, member.emit(graph, inputs)) for member in self.members]
        return self.link.emit(graph, self.joint.emit(graph, answers))


def convert(
    pipeline: Pipeline,
    table: TrainingTable,
    metadata: HeadMetadata,
    out_of_fold: Float32,
    familiarity: Familiarity | None = None,
) -> tuple[bytes, Parity]:
    """Return the artifact and how closely it answers like `pipeline` on the rows of `table`.

    Golden rows are spread over the ranks of the out-of-fold probabilities (n, classes). Raises `HeadRefused` where
    the algorithm cannot be written as ONNX, where the artifact is too large or differs.
    """
    golden = _golden_rows(pipeline, table, metadata, out_of_fold[:, table.positive_index])
    try:
        artifact = to_onnx(pipeline.emit, metadata, golden, familiarity)
    except _CANNOT_CONVERT as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise HeadRefused(
            f"'{metadata.algorithm}' cannot be written as ONNX ({reason}); train another algorithm"
        ) from error
    head = Head.load(artifact)
    parity = measure_parity(
        head, table.avg, table.max, lambda index: pipeline.probabilities(table.avg[index], table.max[index])
    )
    head.self_check()
    return artifact, parity


def _golden_rows(pipeline: Pipeline, table: TrainingTable, metadata: HeadMetadata, positive: Float32) -> GoldenRows:
    ranks = np.linspace(0, len(positive) - 1, min(GOLDEN_ROWS, len(positive))).astype(np.int64)
    index = np.argsort(positive, kind="stable")[ranks]
    avg, max_ = table.avg[index], table.max[index]
    own = pipeline.probabilities(avg, max_)
    return GoldenRows(avg, max_, own.astype(np.float32), tuple(decide(metadata, own)))
