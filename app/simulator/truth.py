"""What is known about a simulated scan."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

ClassName = Literal["empty", "loaded"]


class Family(StrEnum):
    """How the cargo is packed."""

    STACKS = "stacks"
    ROLLS = "rolls"
    DRUMS = "drums"
    BULK = "bulk"
    PALLETS = "pallets"
    BOXES = "boxes"
    MACHINES = "machines"
    LIGHT = "light"
    SPARSE = "sparse"


class Kind(StrEnum):
    """ISO 668 container types; a reefer here is a 40-foot high-cube one."""

    TWENTY = "20"
    FORTY = "40"
    FORTY_HIGH_CUBE = "40HC"
    REEFER = "40RF"


class PixelBox(NamedTuple):
    """Left, top, width, height in pixels."""

    x: int
    y: int
    w: int
    h: int


@dataclass(frozen=True)
class Truth:
    """The ground truth of one scan; `boxes` holds one box per cargo item in view."""

    class_name: ClassName
    container_number: str
    kind: Kind
    container_box: PixelBox
    family: Family | None
    boxes: tuple[PixelBox, ...]
    cargo_mass_kg: float
    cargo_optical_depth: float
    """Optical depth that the cargo adds, averaged over the container's box."""

    def as_dict(self) -> dict[str, Any]:
        """JSON-able: names, numbers and lists only."""
        return {
            "class_name": self.class_name,
            "container_number": self.container_number,
            "kind": self.kind.value,
            "container_box": list(self.container_box),
            "family": self.family.value if self.family else None,
            "boxes": [list(box) for box in self.boxes],
            "cargo_mass_kg": round(self.cargo_mass_kg, 1),
            "cargo_optical_depth": round(self.cargo_optical_depth, 4),
        }


@dataclass(frozen=True, eq=False)
class Scan:
    """One simulated scan: uint8 (height, width), light background, and its truth."""

    pixels: NDArray[np.uint8]
    truth: Truth
