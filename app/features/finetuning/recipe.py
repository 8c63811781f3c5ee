"""How to train a backbone, checked before a job is queued. Light."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self, get_args

from app.errors import InvalidInput

Augmentation = Literal["soft", "strong"]
FINE_TUNING_RATE, SCRATCH_RATE = 1e-4, 1e-3
LEAST_ROWS, LEAST_OF_A_CLASS = 20, 4  # of the rows that are learned from, and of each class on each side

_BOUNDS: Mapping[str, tuple[float, float]] = {
    "epochs": (1, 200),
    "rate": (1e-7, 1e-1),
    "copies": (0, 49),
    "blocks": (1, 3),
    "batch": (2, 256),
    "weight_decay": (0, 1),
    "patience": (1, 200),
    "validation": (0.05, 0.5),
    "seed": (0, 2**32 - 1),
}


@dataclass(frozen=True, kw_only=True)
class BackboneRecipe:
    """What is trained, and how. Raises InvalidInput for a value out of range.

    - `scratch`: an architecture that starts from random weights; without it the dataset's own network is fine-tuned;
    - `blocks`: how many of its last blocks (`app.features.finetuning.boundaries`);
    - `epochs` at most, each of which sees every scan once, as itself or as one of its `copies` by the recipe
      `augmentation`; `patience`: epochs without a lower validation loss before it ends;
    - `rate`: the highest learning rate, reached after the first epoch and falling as a cosine; None: 1e-4 for a
      pretrained network, 1e-3 for a new one;
    - `weight_decay` of kernels (AdamW); `class_weight` `balanced` makes every class weigh the same;
    - `validation`: the share of training subjects held out where the dataset has no validation split of its own.
    """

    scratch: str | None = None
    blocks: int = 1
    epochs: int = 20
    rate: float | None = None
    copies: int = 4
    augmentation: Augmentation = "soft"
    batch: int = 32
    weight_decay: float = 1e-4
    patience: int = 6
    class_weight: Literal["balanced"] | None = "balanced"
    validation: float = 0.2
    seed: int = 0

    def __post_init__(self) -> None:
        for name, (least, most) in _BOUNDS.items():
            value = getattr(self, name)
            if value is not None and not least <= value <= most:
                raise InvalidInput(f"{name} is {value:g}; give {least:g} to {most:g}.")
        if self.augmentation not in get_args(Augmentation):
            raise InvalidInput(f"augmentation is {self.augmentation!r}; say soft or strong.")
        if self.class_weight not in (None, "balanced"):
            raise InvalidInput(f"class_weight is {self.class_weight!r}; say balanced, or leave it out.")

    @property
    def highest_rate(self) -> float:
        return self.rate or (SCRATCH_RATE if self.scratch else FINE_TUNING_RATE)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote, or part of it. Raises InvalidInput for unknown names."""
        try:
            return cls(**raw)
        except TypeError as error:
            raise InvalidInput(f"The recipe cannot be read: {error}.") from error
