"""How nearly bf16 gives what fp32 gives, on real scans: whether precision `auto` may take it for a network."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.errors import AppError, InvalidInput
from app.features.engines import build_extractor
from app.features.golden import MIN_AVG_COSINE, MIN_MAX_COSINE, least_cosine
from app.features.spec import Features, FeatureSetSpec
from app.imaging import Limits, load

LIMITS = Limits(1 << 28, 10**8, 16)


@dataclass(frozen=True)
class Agreement:
    """The least cosines of bf16 to fp32 over `scans` scans."""

    scans: int
    avg_cosine: float
    max_cosine: float

    @property
    def enough(self) -> bool:
        """Whether every scan stayed within the bounds of the golden check."""
        return self.avg_cosine >= MIN_AVG_COSINE and self.max_cosine >= MIN_MAX_COSINE


def chosen(folders: Sequence[Path], most: int) -> list[Path]:
    """At most `most` files of each folder and of what is below it, evenly over their sorted names."""
    found = []
    for folder in folders:
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        found += files[:: max(1, -(-len(files) // most))]
    return found


def measure(spec: FeatureSetSpec, weights: Path, files: Sequence[Path]) -> Agreement:
    """Hold OpenVINO in bf16 against itself in fp32, which equals Keras. Raises InvalidInput when no file is a scan."""
    scans = _prepared(spec, files)
    with tempfile.TemporaryDirectory() as cache:
        fp32, bf16 = (_features(spec, weights, scans, precision, Path(cache)) for precision in ("fp32", "bf16"))
    return Agreement(len(scans), least_cosine(bf16.avg, fp32.avg), least_cosine(bf16.max, fp32.max))


def _prepared(spec: FeatureSetSpec, files: Sequence[Path]) -> NDArray[np.float32]:
    scans = []
    for path in files:
        try:
            scans.append(load(path, LIMITS, spec.preprocessing))
        except AppError:
            continue  # a list of labels, or a text that lies beside the scans
    if not scans:
        raise InvalidInput("None of the folders holds a scan: name folders of films or container scans.")
    return np.stack(scans)


def _features(
    spec: FeatureSetSpec, weights: Path, scans: NDArray[np.float32], precision: str, cache: Path
) -> Features:  # fmt: skip
    extractor = build_extractor(
        spec, weights=str(weights), engine="openvino", precision=precision, device="cpu", cache_dir=cache
    )
    return extractor.extract(scans)
