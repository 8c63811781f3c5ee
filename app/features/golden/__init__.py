"""The golden check: fixed scans through the whole chain, compared with pinned vectors."""

from app.features.golden.inputs import golden_scans, prepared_scans
from app.features.golden.vectors import GoldenVectors, pinned
from app.features.golden.verify import MIN_AVG_COSINE, MIN_MAX_COSINE, GoldenReport, check, least_cosine

__all__ = [
    "MIN_AVG_COSINE",
    "MIN_MAX_COSINE",
    "GoldenReport",
    "GoldenVectors",
    "check",
    "golden_scans",
    "least_cosine",
    "pinned",
    "prepared_scans",
]
