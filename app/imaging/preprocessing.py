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

# What a plain preprocessing does at each step. A step that changes gets a new word, so that vectors made before
# and after it have different digests.
PLAIN: Mapping[str, str] = {
    "greyscale": "itu-r-601-luma, alpha and icc ignored",
    "depth": "full scale of the sample depth",
    "orientation": "exif",
    "polarity": "as displayed",
    "crop": "none",
    "resize": "pillow bilinear antialiased, float",
    "fit": "squash",
    "channels": "repeat 3",
}
PROFILES = ("container", "chest")
WHOLE_FRAMES = "frame"
BY_STEP = "by step"

# The steps of each profile, in the order in which they are carried out: name and version (app.imaging.profiles).
PROFILE_STEPS: Mapping[str, tuple[str, ...]] = {
    "container": ("colour/1", "overlay/1", "border/1", "lines/1", "range/1", "polarity/1", "bands/1", "container/1"),
    "chest": ("colour/1", "overlay/1", "border/1", "range/1", "polarity/1"),
}
# A region is first reduced to a shorter side of 448 to 895 pixels; there its tone is set and its quality measured.
BY_WAY: Mapping[str, str] = {
    "container": "means of boxes down to 448 or more, then pillow bilinear antialiased, float",
    "chest": "least dct scale with 448, means of boxes down to 448 or more, then pillow bilinear antialiased, float",
}
CUTS: Mapping[str | None, str] = {None: WHOLE_FRAMES, "container": "container-1", "chest": WHOLE_FRAMES}


@dataclass(frozen=True)
class Preprocessing:
    """Named, versioned steps from a file to the network's input.

    height and width are pixels. mean and std (one a channel, for values in [0, 1]) and the repetition of the grey
    channel are carried out inside the engine's graph, not by `prepare`. profile is None for plain pixels, or one of
    `PROFILES`, whose `steps` ("name/version") then make scans of different scanners comparable; cut names how frames
    are divided into regions: `frame` for whole frames, else the detector that finds them.
    Raises ConfigurationError for a step that this version cannot carry out.
    """

    name: str = "xray-grey"
    version: int = 1
    greyscale: str = PLAIN["greyscale"]
    depth: str = PLAIN["depth"]
    orientation: str = PLAIN["orientation"]
    polarity: str = PLAIN["polarity"]
    crop: str = PLAIN["crop"]
    resize: str = PLAIN["resize"]
    fit: str = PLAIN["fit"]
    height: int = 224
    width: int = 224
    channels: str = PLAIN["channels"]
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    profile: str | None = None
    cut: str = WHOLE_FRAMES
    steps: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.profile not in (None, *PROFILES):
            self._refuse("profile", self.profile, f"one of {', '.join(PROFILES)}")
        for step, known in {**_words(self.profile), "cut": CUTS[self.profile]}.items():
            if getattr(self, step) != known:
                self._refuse(step, getattr(self, step), repr(known))
        if self.steps != PROFILE_STEPS.get(self.profile or "", ()):
            self._refuse("steps", self.steps, repr(PROFILE_STEPS.get(self.profile or "", ())))

    def _refuse(self, step: str, asked: object, known: str) -> None:
        raise ConfigurationError(
            f"Preprocessing {self.name} v{self.version} asks for {step} = {asked!r} and this version "
            f"only knows {known}: use the version that made it."
        )

    @classmethod
    def of_profile(cls, profile: str) -> Self:
        """The present preprocessing of a profile. Raises ConfigurationError for one that is not in `PROFILES`."""
        if profile not in PROFILES:
            raise ConfigurationError(f"There is no profile {profile!r}: use one of {', '.join(PROFILES)}.")
        fields: dict[str, Any] = {
            **_words(profile), "profile": profile, "cut": CUTS[profile], "steps": PROFILE_STEPS[profile],
        }  # fmt: skip
        return cls(name=f"xray-{profile}", version=2, **fields)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON. Plain preprocessing says nothing of profiles: it is older than they are."""
        fields = asdict(self)
        if self.profile is None:
            for newer in ("profile", "cut", "steps"):
                del fields[newer]
        return fields

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Self:
        """The inverse of `as_dict`, also after a detour through JSON. Raises ConfigurationError."""
        try:
            tuples = {name: tuple(fields[name]) for name in ("mean", "std")}
            return cls(**{**fields, **tuples, "steps": tuple(fields.get("steps", ()))})
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


def _words(profile: str | None) -> dict[str, str]:
    if profile is None:
        return dict(PLAIN)
    by_step = dict.fromkeys(("greyscale", "depth", "polarity", "crop"), BY_STEP)
    return {**PLAIN, **by_step, "resize": BY_WAY[profile]}
