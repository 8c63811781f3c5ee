"""Grey values on one scale: the range that a scan uses, and which end of it the open beam has."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from app.imaging.polarity_templates import EDGES, TEMPLATES

Grey = NDArray[np.float32]

LOW, HIGH = 0.5, 99.5
"""Percentiles that become 0 and 1."""
SAMPLES = 20_000
LEAST_RANGE = {8: 32 / 255, 16: 1 / 255}
"""Below this the values are too few (8 bit), or noise alone, to be stretched."""
UNSURE = 1.0
"""Score (log odds, on the scans that the templates were made from) within which polarity is left alone."""


@dataclass(frozen=True, slots=True)
class Tone:
    """low becomes 0 and high 1, what lies beyond is cut off; then white and black change places if `inverted`."""

    low: float = 0.0
    high: float = 1.0
    inverted: bool = False

    def applied(self, plane: Grey) -> Grey:
        """A new plane, float32 in [0, 1]."""
        scaled = plane - np.float32(self.low)
        scaled *= np.float32(1 / (self.high - self.low))
        np.clip(scaled, 0, 1, out=scaled)
        return np.subtract(np.float32(1), scaled, out=scaled) if self.inverted else scaled


def stretched(plane: Grey, bits: int) -> tuple[Tone, dict[str, Any]]:
    """From percentile 0.5 to 0 and from percentile 99.5 to 1, whatever part of its range a file uses."""
    step = max(1, round((plane.size / SAMPLES) ** 0.5))
    low, high = (float(value) for value in np.percentile(plane[::step, ::step], (LOW, HIGH)))
    finding = {"low": round(low, 5), "high": round(high, 5), "bits": bits}
    if high - low < LEAST_RANGE[8 if bits <= 8 else 16]:
        return Tone(), {"found": "hardly any contrast", **finding, "did": "nothing"}
    return Tone(low, high), {"found": "range", **finding, "did": "stretched"}


def polarity(plane: Grey, profile: str) -> tuple[bool, dict[str, Any]]:
    """Whether `plane`, float32 in [0, 1], shows its subject inverted, with the score that says so.

    A linear template over 10 x 10 cells, finer at the borders and the same left and right, of the plane less one half:
    the inverted scan has exactly the opposite score. Positive is as it should be: the open beam white for containers,
    air dark for chest films.
    """
    step = max(1, round((plane.size / 5000) ** 0.5))
    if float(np.ptp(np.percentile(plane[::step, ::step], (1, 99)))) < LEAST_RANGE[8]:
        return False, {"found": "unsure", "score": 0.0, "did": "nothing"}
    score = float((cells(plane) * np.array(TEMPLATES[profile], np.float32)).sum())
    if abs(score) < UNSURE:
        return False, {"found": "unsure", "score": round(score, 2), "did": "nothing"}
    if score < 0:
        return True, {"found": "inverted", "score": round(score, 2), "did": "inverted"}
    return False, {"found": "as it should be", "score": round(score, 2)}


def cells(plane: Grey) -> Grey:
    """Mean of each cell of a plane less one half, its left and right half averaged: float32 (10, 5)."""
    places = np.rint(np.array(EDGES) * 100).astype(int)
    even = np.asarray(Image.fromarray(plane).resize((200, 100), Image.Resampling.BOX)) - np.float32(0.5)
    sums = np.add.reduceat(np.add.reduceat(even, places[:-1], axis=0), 2 * places[:-1], axis=1)
    means = sums / (2 * np.outer(np.diff(places), np.diff(places)))
    return np.asarray((means + means[:, ::-1])[:, :5] / 2, np.float32)
