"""What an extractor is, what it makes, and what makes two of them the same."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Protocol, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from app.errors import ConfigurationError
from app.imaging.preprocessing import Preprocessing, digest_of

InputBatch: TypeAlias = NDArray[np.float32]
"""Prepared scans: float32 (n, height, width), grey in [0, 1], white is 1."""


@dataclass(frozen=True)
class FeatureSetSpec:
    """The identity of a feature set: vectors of equal `digest` may be compared, others never.

    weights_digest is that of the array contents (see `app.features.weights`); input_size is the side
    of the network's square input in pixels; avg_dim and max_dim are the lengths of the two poolings.
    """

    name: str
    backbone: str
    weights_digest: str
    preprocessing: Preprocessing
    input_size: int = 224
    avg_dim: int = 1024
    max_dim: int = 1024

    @cached_property
    def digest(self) -> str:
        """SHA-256, hexadecimal, over everything but the name: a name is a label, not an identity."""
        fields = self.as_dict()
        del fields["name"]
        return digest_of(fields)

    @cached_property
    def network_digest(self) -> str:
        """SHA-256, hexadecimal, of what the converted graph is made from: not of the steps between file and pixels.

        Feature sets of equal network_digest share one converted graph and, in one process, one compiled network.
        """
        steps = self.preprocessing
        return digest_of({
            "backbone": self.backbone, "weights": self.weights_digest, "height": steps.height, "width": steps.width,
            "mean": steps.mean, "std": steps.std, "channels": steps.channels,
        })  # fmt: skip

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {**asdict(self), "preprocessing": self.preprocessing.as_dict()}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Self:
        """The inverse of `as_dict`, also after a detour through JSON. Raises ConfigurationError."""
        try:
            return cls(**{**fields, "preprocessing": Preprocessing.from_dict(fields["preprocessing"])})
        except (TypeError, KeyError) as error:
            raise ConfigurationError(
                f"The stored feature set does not fit this version ({error}): use the version that made it."
            ) from error


@dataclass(frozen=True, slots=True)
class Features:
    """Both poolings of the last feature map (after its ReLU): float32 (n, avg_dim) and (n, max_dim)."""

    avg: NDArray[np.float32]
    max: NDArray[np.float32]


class Extractor(Protocol):
    """A backbone with its weights and preprocessing, run by an engine."""

    @property
    def spec(self) -> FeatureSetSpec: ...

    @property
    def engine(self) -> str:
        """What runs it, and how precisely: `openvino/bf16`."""
        ...

    def extract(self, batch: InputBatch) -> Features:
        """Features of float32 (n, height, width) in [0, 1], in the same order."""
        ...

    def feature_map(self, batch: InputBatch) -> NDArray[np.float32]:
        """The last feature map of float32 (n, height, width), after its activation and before pooling.

        float32 (n, rows, columns, channels), in the engine's own precision; its mean and maximum over rows and
        columns are `extract`'s vectors but for rounding.
        """
        ...
