"""How many scans each question is asked of."""

from dataclasses import asdict, dataclass
from typing import Any

MASSES_KG = (1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0)


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """films and covid are the most images to take (None: all), whole subjects of each class by its share.

    day: simulated scans that heads are trained on; extra: hard ones beside them; unknown: ones of scanners drawn at
    random; the others are scans of scanners that no head was trained on: per_mass of each of `masses_kg`, empties, and
    per_case of each hard case. scenes are those whose change of embedding is measured.
    """

    films: int | None
    covid: int | None
    day: int
    extra: int
    unknown: int
    masses_kg: tuple[float, ...]
    per_mass: int
    empties: int
    per_case: int
    scenes: int

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


FULL = Sizes(
    films=None, covid=None, day=3000, extra=800, unknown=3000, masses_kg=MASSES_KG, per_mass=100, empties=600,
    per_case=100, scenes=60,
)  # fmt: skip
BRIEF = Sizes(
    films=1200, covid=200, day=400, extra=150, unknown=400, masses_kg=MASSES_KG[::2], per_mass=30, empties=150,
    per_case=15, scenes=16,
)  # fmt: skip
