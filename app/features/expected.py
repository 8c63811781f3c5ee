"""Expectations beside a weights file: features of one fixed input, to prove that it was loaded right."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.errors import ConfigurationError
from app.features.spec import Features

INPUT_SIDE = 224
FIXED_INPUT = "np.linspace(-2,2,224*224*3,dtype=float32).reshape(1,224,224,3), NHWC, no further preprocessing"
RELATIVE_TOLERANCE = 1e-3  # the sums and norms carry six digits, and fp32 engines differ in the fifth
ABSOLUTE_TOLERANCE = 2e-5  # the single values carry six decimals

Pooled = Callable[[NDArray[np.float32]], Features]


def find_expected(weights: Path) -> Path | None:
    """The expectation that lies beside `weights`, if any: `NAME.expected.json`, or `EXPECTED.json`."""
    beside = (weights.with_suffix(".expected.json"), Path(f"{weights}.expected.json"))
    return next((path for path in (*beside, weights.with_name("EXPECTED.json")) if path.is_file()), None)


def prove(expected: Path, pooled: Pooled) -> None:
    """Run the fixed input through `pooled` (float32 (n, 224, 224, 3), already normalised) and compare.

    Raises ConfigurationError naming the first value that differs.
    """
    try:
        stated = json.loads(expected.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"Expectation {expected} cannot be read ({error}).") from error
    if stated.get("input") != FIXED_INPUT:
        raise ConfigurationError(f"Expectation {expected} states another input than {FIXED_INPUT!r}.")
    features = pooled(np.linspace(-2, 2, 224 * 224 * 3, dtype=np.float32).reshape(1, 224, 224, 3))
    for key, found in _found(features).items():
        if key in stated and not _close(stated[key], found):
            raise ConfigurationError(
                f"The weights beside {expected} give {key} = {found} where {stated[key]} is expected: "
                "the file or its loading is wrong."
            )


def _found(features: Features) -> Mapping[str, Any]:
    avg, peak = features.avg[0].astype(np.float64), features.max[0].astype(np.float64)
    average = {"first8": avg[:8].tolist(), "sum": avg.sum(), "l2": float(np.linalg.norm(avg))}
    return {
        **{f"average_{key}": value for key, value in average.items()},
        **{f"features_{key}": value for key, value in average.items()},  # how the older files say it
        "max_first8": peak[:8].tolist(),
        "max_l2": float(np.linalg.norm(peak)),
    }


def _close(stated: object, found: object) -> bool:
    return bool(
        np.allclose(
            np.asarray(stated, np.float64),
            np.asarray(found, np.float64),
            rtol=RELATIVE_TOLERANCE,
            atol=ABSOLUTE_TOLERANCE,
        )
    )
