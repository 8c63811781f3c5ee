"""Score stored vectors with a head: onnxruntime and NumPy only, safe to share between threads."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from app.errors import HeadRefused, InvalidInput, MixedFeatureSets
from app.heads.arrays import FeatureRows, Float32, Float64, Floats
from app.heads.artifact import OUTPUT, PARITY_BOUND, GoldenRows, HeadMetadata, unsealed
from app.heads.familiarity import Familiarity
from app.heads.policy_words import REVIEW

# Rows in one run. The copies inside the graph are 2 MiB each at 2,048 dimensions and stay in the cache: 2.5 us a row
# against 7.2 us in runs of 4,096 (logistic regression, one thread, measured 2026-11). Memory is bounded with it.
CHUNK_ROWS = 256
_ORT_ERRORS = (
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.InvalidGraph,
    ort_errors.InvalidProtobuf,
    ort_errors.NotImplemented,
    ort_errors.RuntimeException,
)


class Head:
    """A loaded head version: `probabilities` of its classes, and the decision under its threshold."""

    def __init__(
        self, session: Any, metadata: HeadMetadata, golden: GoldenRows, familiarity: Familiarity | None = None
    ) -> None:
        self.metadata = metadata
        self.familiarity = familiarity
        self._session = session
        self._golden = golden

    @classmethod
    def load(cls, content: bytes, *, threads: int = 1, gated: bool = True) -> "Head":
        """Load an artifact's bytes; without `gated` it knows of no strangers.

        Raises `HeadRefused` if they are no head that Penumbra trained.
        """
        session = open_session(content, threads)
        metadata, golden, familiarity = _read(session)
        _require_matching_graph(session, metadata)
        if familiarity is not None and familiarity.references.shape[1] != metadata.avg_dimensions:
            raise HeadRefused("The head is familiar with vectors of another width than it reads; train it again")
        return cls(session, metadata, golden, familiarity if gated else None)

    def probabilities(self, avg: npt.ArrayLike, max_: npt.ArrayLike) -> Float32:
        """Return float32 (n, classes), rows summing to 1, for avg (n, avg dimensions) and max (n, max dimensions).

        Both vectors are asked for whatever the pooling, so that a foreign feature set shows. Raises
        `MixedFeatureSets` for another width, `InvalidInput` for values that are not finite or not a matrix.
        """
        return self.score(FeatureRows.checked(avg, max_, self._widths))

    def score(self, rows: FeatureRows) -> Float32:
        """Return what `probabilities` does, for rows that were checked before. Raises as it does."""
        if rows.widths != self._widths:
            raise MixedFeatureSets(f"Features of widths {rows.widths} are scored by a head that reads {self._widths}")
        scored = np.concatenate(
            list(self._chunks({name: getattr(rows, name) for name in self.metadata.pooling.inputs}))
        )
        if not np.isfinite(scored).all():
            raise InvalidInput("Some features are too large to score; extract those regions again")
        return scored

    def strangers(self, rows: FeatureRows) -> dict[int, str]:
        """Which rows are unlike anything that the head was trained on, and the reason in words."""
        if self.familiarity is None:
            return {}
        found, distances = self.familiarity.strangers(rows.avg)
        limit = self.familiarity.limit
        return {
            row: f"unlike anything this head was trained on (distance {distance:.2f}, limit {limit:.2f}): "
            "is it the right kind of scan?"
            for row, distance in zip(found.tolist(), distances.tolist(), strict=True)
        }

    @property
    def _widths(self) -> tuple[int, int]:
        return self.metadata.avg_dimensions, self.metadata.max_dimensions

    def _chunks(self, feeds: dict[str, Float32]) -> Iterator[Float32]:
        rows = len(next(iter(feeds.values())))
        for start in range(0, max(rows, 1), CHUNK_ROWS):
            part = {name: matrix[start : start + CHUNK_ROWS] for name, matrix in feeds.items()}
            yield self._session.run([OUTPUT], part)[0]

    def decide(self, probabilities: Floats) -> list[str]:
        """Return a class, or `review`, a row of probabilities (n, classes).

        The positive class if its probability reaches the threshold; `review` if it reaches the lower end of a review
        band; otherwise the most probable of the others, so that with three classes or more the thresholds alone speak
        for and against the positive class.
        """
        return decide(self.metadata, probabilities)

    def require_feature_set(self, digest: str) -> None:
        """Raise `MixedFeatureSets` unless `digest` is the feature set that the head was trained on."""
        if digest != self.metadata.feature_set:
            raise MixedFeatureSets(
                f"This head reads feature set {self.metadata.feature_set} ({self.metadata.feature_set_name}), "
                f"not {digest}; train a head on that feature set"
            )

    def self_check(self) -> float:
        """Score the golden rows inside the artifact; return the greatest difference of a probability.

        Raises `HeadRefused` beyond `PARITY_BOUND`, or if a decision away from the thresholds has changed.
        """
        golden = self._golden
        scored = self.probabilities(golden.avg, golden.max)
        if scored.shape != golden.probabilities.shape:
            raise HeadRefused("The head's golden rows have other classes than its output; train it again")
        difference = float(np.abs(scored - golden.probabilities).max())
        clear = edge_distance(self.metadata, golden.probabilities) > PARITY_BOUND
        decided = np.array(self.decide(scored)) == np.array(golden.decisions)
        if difference > PARITY_BOUND or not decided[clear].all():
            raise HeadRefused(
                f"The head does not reproduce its golden rows (probabilities differ by {difference:.2g}, "
                f"{int((~decided[clear]).sum())} decisions changed); the artifact was altered: train it again"
            )
        return difference


def decide(metadata: HeadMetadata, probabilities: Floats) -> list[str]:
    """Return a class, or `review`, a row of probabilities (n, classes) under the thresholds in `metadata`."""
    words, positive = (*metadata.classes, REVIEW), metadata.positive_index
    said = probabilities[:, positive].astype(np.float64)
    others = np.array(probabilities, dtype=np.float64)
    others[:, positive] = -1.0
    chosen = others.argmax(axis=1)
    if metadata.review_from is not None:
        chosen[said >= metadata.review_from] = len(metadata.classes)
    chosen[said >= metadata.threshold] = positive
    return [words[index] for index in chosen]


def edge_distance(metadata: HeadMetadata, probabilities: Floats) -> Float64:
    """Return how far each row of probabilities (n, classes) lies from a change of the decision: float64 (n,)."""
    said = probabilities[:, metadata.positive_index].astype(np.float64)
    return np.asarray(np.abs(said[:, None] - np.array(metadata.edges)).min(axis=1))


def read_metadata(content: bytes) -> HeadMetadata:
    """Return what an artifact says about itself. Raises `HeadRefused` as `Head.load` does."""
    return _read(open_session(content))[0]


def open_session(content: bytes, threads: int = 1) -> Any:
    """An onnxruntime session of a small graph. Raises `HeadRefused` for bytes that are none."""
    ort.disable_telemetry_events()
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    # A head's buffers are small: an arena would only keep the largest batch's memory for ever.
    options.enable_cpu_mem_arena = False
    try:
        return ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except _ORT_ERRORS as error:
        raise HeadRefused(f"The bytes are no ONNX graph that can run here: {error}") from error


def _read(session: Any) -> tuple[HeadMetadata, GoldenRows, Familiarity | None]:
    return unsealed(session.get_modelmeta().custom_metadata_map)


def _require_matching_graph(session: Any, metadata: HeadMetadata) -> None:
    widths = {"avg": metadata.avg_dimensions, "max": metadata.max_dimensions}
    expected = [(name, widths[name]) for name in metadata.pooling.inputs]
    inputs = [(one.name, one.shape[-1]) for one in session.get_inputs()]
    outputs = [(one.name, one.shape[-1]) for one in session.get_outputs()]
    if inputs != expected or outputs != [(OUTPUT, len(metadata.classes))]:
        raise HeadRefused(f"The graph reads {inputs} and gives {outputs}, which its metadata does not describe")
