"""Does this extractor still give what its feature set means? Asked at every worker's start."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.errors import GoldenCheckFailed
from app.features.golden.inputs import prepared_scans
from app.features.golden.vectors import GoldenVectors, pinned, sampled
from app.features.spec import Extractor, Features
from app.features.weights import KNOWN

MIN_AVG_COSINE = 0.999
MIN_MAX_COSINE = 0.998
MAX_LENGTH_CHANGE = 0.02  # a cosine does not see a scale
MAX_PIXEL_CHANGE = 0.25 / 255  # floats all the way: libraries differ by 1e-6, a detour through 8 bits by 0.5/255
# Below these no rounding explains the difference: bf16 stays above 0.998 on every scan measured.
ROUNDING_AVG_COSINE = 0.99
ROUNDING_MAX_COSINE = 0.98


@dataclass(frozen=True, slots=True)
class GoldenReport:
    """The worst agreement over the golden scans; pinned is False where nothing was there to compare with."""

    feature_set: str
    engine: str
    pinned: bool
    avg_cosine: float
    max_cosine: float
    length_change: float
    pixel_change: float


def check(extractor: Extractor) -> GoldenReport:
    """Run the golden scans through the whole chain and compare with the pinned vectors.

    Those that come with Penumbra, for its known feature sets; else the fp32 reference's, which an engine
    keeps from the conversion (`extractor.reference`); else only that the answers are finite and differ.
    Raises GoldenCheckFailed, naming what is suspected: weights, preprocessing or engine.
    """
    scans = prepared_scans(extractor.spec.preprocessing)
    features = extractor.extract(scans)
    _require_sane(extractor, features)
    known = KNOWN.get(extractor.spec.name)
    reference = pinned(known.golden) if known else None
    if reference is None:
        reference = getattr(extractor, "reference", None)
    if reference is None:
        return GoldenReport(extractor.spec.name, extractor.engine, False, *[float("nan")] * 4)
    report = GoldenReport(
        extractor.spec.name,
        extractor.engine,
        pinned=True,
        avg_cosine=least_cosine(features.avg, reference.features.avg),
        max_cosine=least_cosine(features.max, reference.features.max),
        length_change=max(
            _length_change(features.avg, reference.features.avg),
            _length_change(features.max, reference.features.max),
        ),
        pixel_change=float(np.abs(sampled(scans) - reference.pixels).max()),
    )
    suspect = _suspect(extractor, reference, report)
    if suspect:
        raise GoldenCheckFailed(_message(report, suspect))
    return report


def _suspect(extractor: Extractor, reference: GoldenVectors, report: GoldenReport) -> str | None:
    """What is most likely wrong, by what differs first along the chain; None if nothing is."""
    if extractor.spec.preprocessing.digest != reference.preprocessing_digest:
        return "preprocessing: its digest is not the pinned one"
    if report.pixel_change > MAX_PIXEL_CHANGE:
        return "preprocessing: the pixels differ before the network sees them"
    if extractor.spec.weights_digest != reference.weights_digest:
        return "weights: their digest is not the pinned one"
    agrees = report.avg_cosine >= MIN_AVG_COSINE and report.max_cosine >= MIN_MAX_COSINE
    if agrees and report.length_change <= MAX_LENGTH_CHANGE:
        return None
    if report.avg_cosine >= ROUNDING_AVG_COSINE and report.max_cosine >= ROUNDING_MAX_COSINE:
        return "engine: it rounds too coarsely, try fp32"
    return "weights, or the preprocessing inside the engine's graph (normalisation, polarity): not rounding"


def _require_sane(extractor: Extractor, features: Features) -> None:
    for pooling, rows in (("average", features.avg), ("max", features.max)):
        if not np.isfinite(rows).all() or (rows == rows[0]).all() or not rows.any(axis=1).all():
            raise GoldenCheckFailed(
                f"{extractor.spec.name} on {extractor.engine}: the {pooling}-pooled features of the golden "
                "scans are not finite, all zero or all the same; suspected: weights. Name other weights."
            )


def _message(report: GoldenReport, suspect: str) -> str:
    return (
        f"{report.feature_set} on {report.engine} does not reproduce its pinned vectors. "
        f"Suspected: {suspect}. "
        f"Measured: cosine {report.avg_cosine:.5f} average-pooled (at least {MIN_AVG_COSINE}), "
        f"{report.max_cosine:.5f} max-pooled (at least {MIN_MAX_COSINE}), length off by "
        f"{report.length_change:.3f} (at most {MAX_LENGTH_CHANGE}), pixels off by {report.pixel_change:.4f} "
        f"(at most {MAX_PIXEL_CHANGE:.4f}). Install again, or delete the cache folder."
    )


def least_cosine(found: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    """The least cosine of two float32 (n, dim), row by row."""
    dot = np.einsum("ij,ij->i", found, expected, dtype=np.float64)
    lengths = np.linalg.norm(found, axis=1) * np.linalg.norm(expected, axis=1)
    return float((dot / lengths).min())


def _length_change(found: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    return float(np.abs(np.linalg.norm(found, axis=1) / np.linalg.norm(expected, axis=1) - 1).max())
