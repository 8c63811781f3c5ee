"""Pinned answers to the golden scans, and what they were pinned for."""

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

from app.errors import ConfigurationError
from app.features.spec import Features, FeatureSetSpec

PINNED = Path(__file__).parent
PIXEL_STEP = 8


@dataclass(frozen=True, slots=True)
class GoldenVectors:
    """Features of the golden scans by the fp32 reference, and every eighth pixel of the prepared scans.

    The digests say which weights and preprocessing made them. pixels is float32 (4, 28, 28) in [0, 1].
    """

    weights_digest: str
    preprocessing_digest: str
    pixels: NDArray[np.float32]
    features: Features

    @classmethod
    def of(cls, spec: FeatureSetSpec, scans: NDArray[np.float32], features: Features) -> Self:
        return cls(spec.weights_digest, spec.preprocessing.digest, sampled(scans), features)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Raises ConfigurationError for a file that is absent or damaged."""
        try:
            with path.open("rb") as stream, NpzFile(stream, allow_pickle=False) as stored:
                digests = (str(stored["weights_digest"]), str(stored["preprocessing_digest"]))
                return cls(*digests, stored["pixels"], Features(stored["avg"], stored["max"]))
        except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise ConfigurationError(
                f"Golden vectors {path} cannot be read ({error}): delete the cache folder, or install again."
            ) from error

    def write(self, path: Path) -> None:
        np.savez_compressed(
            path,
            weights_digest=self.weights_digest,
            preprocessing_digest=self.preprocessing_digest,
            pixels=self.pixels,
            avg=self.features.avg,
            max=self.features.max,
        )


def pinned(golden: str) -> GoldenVectors | None:
    """The vectors that come with Penumbra for a known feature set, by its `KnownFeatureSet.golden`; None for none."""
    path = PINNED / f"{golden}.npz"
    return GoldenVectors.read(path) if path.is_file() else None


def sampled(scans: NDArray[np.float32]) -> NDArray[np.float32]:
    """Every eighth pixel of float32 (n, height, width), both ways: points, so that a filter shows."""
    return np.ascontiguousarray(scans[:, ::PIXEL_STEP, ::PIXEL_STEP])
