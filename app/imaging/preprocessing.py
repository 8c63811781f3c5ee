"""The identity of everything that happens to a pixel between the file and the network."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Self

from app.errors import ConfigurationError

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

# The one way this version knows for each step. A step that changes gets a new word here, so that
# vectors made before and after it have different digests.
STEPS: Mapping[str, str] = {
    "greyscale": "itu-r-601-luma, alpha and icc ignored",
    "depth": "full scale of the sample depth",
    "orientation": "exif",
    "polarity": "as displayed",
    "crop": "none",
    "resize": "pillow bilinear antialiased, float",
    "fit": "squash",
    "channels": "repeat 3",
}


@dataclass(frozen=True)
class Preprocessing:
    """Named, versioned steps from a file to the network's input.

    height and width are pixels. mean and std (one a channel, for values in [0, 1]) and the repetition
    of the grey channel are carried out inside the engine's graph, not by `prepare`.
    Raises ConfigurationError for a step that this version cannot carry out.
    """

    name: str = "xray-grey"
    version: int = 1
    greyscale: str = STEPS["greyscale"]
    depth: str = STEPS["depth"]
    orientation: str = STEPS["orientation"]
    polarity: str = STEPS["polarity"]
    crop: str = STEPS["crop"]
    resize: str = STEPS["resize"]
    fit: str = STEPS["fit"]
    height: int = 224
    width: int = 224
    channels: str = STEPS["channels"]
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD

    def __post_init__(self) -> None:
        for step, known in STEPS.items():
            asked = getattr(self, step)
            if asked != known:
                raise ConfigurationError(
                    f"Preprocessing {self.name} v{self.version} asks for {step} = {asked!r} and this version "
                    f"only knows {known!r}: use the version that made it."
                )

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Self:
        """The inverse of `as_dict`, also after a detour through JSON. Raises ConfigurationError."""
        try:
            return cls(**{**fields, "mean": tuple(fields["mean"]), "std": tuple(fields["std"])})
        except (TypeError, KeyError) as error:
            raise ConfigurationError(
                f"The stored preprocessing does not fit this version ({error}): use the version that made it."
            ) from error

    @cached_property
    def digest(self) -> str:
        """SHA-256, hexadecimal, of the canonical JSON (sorted keys, no blanks)."""
        return digest_of(self.as_dict())


def digest_of(fields: Mapping[str, Any]) -> str:
    """SHA-256, hexadecimal, of `fields` as canonical JSON."""
    canonical = json.dumps(fields, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()
