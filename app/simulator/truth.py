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
    LONG = "long"


class Kind(StrEnum):
    """ISO 668 container types; a reefer here is a 40-foot high-cube one."""

    TWENTY = "20"
    FORTY = "40"
    FORTY_HIGH_CUBE = "40HC"
    REEFER = "40RF"


class Case(StrEnum):
    """Ordinary, or hard on purpose: loads that look like none, and empty containers that look loaded."""

    ORDINARY = "ordinary"
    ONE_PALLET = "one-pallet"
    FLOOR_ONLY = "floor-only"
    BY_DOOR = "by-door"
    FOAM = "foam"
    HIDDEN_LOAD = "hidden-load"
    DARK_EMPTY = "dark-empty"
    DIRT = "dirt"
    TRAILER = "trailer"

    @property
    def loaded(self) -> bool | None:
        """The class that the case belongs to; an ordinary scan has either."""
        if self is Case.ORDINARY:
            return None
        return self not in (Case.DARK_EMPTY, Case.DIRT, Case.TRAILER)


class Place(StrEnum):
    """Where a hidden load lies."""

    FLOOR = "floor"
    DOORS = "doors"
    END_WALL = "end-wall"
    SIDE_WALL = "side-wall"
    CROSS_MEMBERS = "cross-members"
    ROOF = "roof"
    MACHINERY = "machinery"


class PixelBox(NamedTuple):
    """Left, top, width, height in pixels."""

    x: int
    y: int
    w: int
    h: int

    def moved(self, right: int, down: int) -> "PixelBox":
        return PixelBox(self.x + right, self.y + down, self.w, self.h)

    def scaled(self, across: float, down: float) -> "PixelBox":
        """The whole pixels of a grid that is so many times finer which the box touches."""
        x, y = int(self.x * across), int(self.y * down)
        right, bottom = -int(-(self.x + self.w) * across // 1), -int(-(self.y + self.h) * down // 1)
        return PixelBox(x, y, right - x, bottom - y)


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
    """Optical depth at 3 MeV that the cargo adds, averaged over the container's box."""
    case: Case
    scanner: str
    inverted: bool
    """Light on dark."""
    place: Place | None = None
    """Of a hidden load alone."""
    matter: str | None = None
    """Of a hidden load alone: what it attenuates like."""

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
            "case": self.case.value,
            "scanner": self.scanner,
            "inverted": self.inverted,
            "place": self.place.value if self.place else None,
            "matter": self.matter,
        }


@dataclass(frozen=True, eq=False)
class Scan:
    """One simulated scan and its truth: uint8 (height, width), or (height, width, 3) from a scanner with colours."""

    pixels: NDArray[np.uint8]
    truth: Truth
