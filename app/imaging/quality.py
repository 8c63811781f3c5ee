"""Whether a region can be judged at all: simple measurements of its pixels, and the problems that they show."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Quality:
    """`numbers` of a region, and `problems` ({"code", "message"}): any of them means that nobody can judge it."""

    numbers: dict[str, float] = field(default_factory=dict)
    problems: list[dict[str, str]] = field(default_factory=list)


def measure(plane: NDArray[np.float32], *, profile: str | None, colour: NDArray[np.uint8] | None) -> Quality:
    """Measure a region: `plane` float32 (h, w) in [0, 1], as normalised and before it is resized.

    `profile` is `container`, `chest` or None; `colour` uint8 (h, w, 3) is the same region where the file has colour.
    """
    del profile, colour
    low, middle, high = (float(value) for value in np.percentile(plane[:: _step(plane), :: _step(plane)], (1, 50, 99)))
    return Quality({"p1": round(low, 4), "p50": round(middle, 4), "p99": round(high, 4)})


def _step(plane: NDArray[np.float32]) -> int:
    return max(1, min(plane.shape) // 512)
