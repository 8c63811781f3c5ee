"""How a backbone is pretrained, checked before anything is simulated or loaded. Light."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from app.errors import InvalidInput
from app.imaging.preprocessing import digest_of

MULTIPLE = 32  # the last feature map is this much smaller than the input
BACKENDS = ("torch", "tensorflow", "jax")
PRECISIONS = ("bf16", "fp32")

_BOUNDS: Mapping[str, tuple[float, float]] = {
    "films": (0, 512),
    "views": (0, 512),
    "pairs": (0, 512),
    "scenes": (1, 1_000_000),
    "rate": (1e-6, 1e-1),
    "warmup": (0, 100_000),
    "weight_decay": (0, 1),
    "distillation": (0, 100),
    "truth": (0, 100),
    "invariance": (0, 100),
    "nuisance": (0, 2),
    "seed": (0, 2**32 - 1),
}


@dataclass(frozen=True)
class Phase:
    """`steps` steps on inputs of `side` x `side` pixels: small ones first, which are cheap and teach most."""

    side: int
    steps: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `SIDExSTEPS`, such as 112x900. Raises InvalidInput."""
        side, _, steps = text.partition("x")
        if not (side.isdecimal() and steps.isdecimal()):
            raise InvalidInput(f"{text!r} is no phase; say SIDExSTEPS, such as 112x900.")
        return cls(int(side), int(steps))


@dataclass(frozen=True, kw_only=True)
class PretrainingRecipe:
    """What a network learns from, and how. Raises InvalidInput for a value out of range.

    - `phases`: sides and steps, in order;
    - of each step: `films` without labels; `views` simulated scenes, each by two scanners; `pairs` containers, each
      without and with a hidden load. `scenes` of the first and half as many of the second are simulated, with
      `random_scanners` half of all by scanners that are drawn at random;
    - `distillation`: weight of resembling the teacher's last feature map and both its poolings (0: no teacher);
      `truth`: of telling presence, mass, family and place of cargo from features; `invariance`: of the logarithm of
      how much two views of a scene differ over how much a hidden load changes it;
    - `nuisance`: how far exposure, contrast and noise of what the student sees are varied (1: as `nuisance.py` says);
    - `rate`: the highest learning rate of AdamW, up over `warmup` steps, then down as a cosine; `weight_decay` of
      kernels;
    - `batch_statistics`: whether batch normalisation learns new statistics, which a fresh network needs.
    """

    phases: tuple[Phase, ...] = (Phase(112, 900), Phase(160, 500), Phase(224, 250))
    films: int = 16
    views: int = 8
    pairs: int = 6
    scenes: int = 6000
    random_scanners: bool = True
    distillation: float = 1.0
    truth: float = 1.0
    invariance: float = 0.1
    nuisance: float = 1.0
    rate: float = 5e-4
    warmup: int = 60
    weight_decay: float = 0.02
    batch_statistics: bool = True
    precision: str = "bf16"
    seed: int = 0

    def __post_init__(self) -> None:
        for name, (least, most) in _BOUNDS.items():
            if not least <= getattr(self, name) <= most:
                raise InvalidInput(f"{name} is {getattr(self, name):g}; give {least:g} to {most:g}.")
        if self.precision not in PRECISIONS:
            raise InvalidInput(f"precision is {self.precision!r}; say {' or '.join(PRECISIONS)}.")
        self._check_phases()
        self._check_lessons()

    def _check_phases(self) -> None:
        if not self.phases or sum(phase.steps for phase in self.phases) < 1:
            raise InvalidInput("There is no step to take; give at least one phase such as 112x900.")
        odd = [phase.side for phase in self.phases if phase.side % MULTIPLE and phase.side not in (112, 150)]
        odd += [phase.side for phase in self.phases if not 64 <= phase.side <= 512]
        if odd:
            raise InvalidInput(f"A side of {odd[0]}: give 112, or a multiple of {MULTIPLE} from 64 to 512.")

    def _check_lessons(self) -> None:
        if self.films + self.views + self.pairs == 0:
            raise InvalidInput("A step without films, views and pairs teaches nothing.")
        if self.films and not self.distillation:
            raise InvalidInput("Films have no truth of their own: give distillation a weight and name a teacher.")
        if self.invariance and not (self.views and self.pairs):
            raise InvalidInput("Invariance compares views with pairs: give both, or weigh it 0.")
        if self.distillation + self.truth + self.invariance == 0:
            raise InvalidInput("Every loss weighs nothing; weigh at least one.")

    @property
    def steps(self) -> int:
        return sum(phase.steps for phase in self.phases)

    @property
    def simulated(self) -> int:
        """Scans a step that have a truth."""
        return 2 * (self.views + self.pairs)

    def phase_of(self, step: int) -> Phase:
        """The phase that step `step` (from 0) belongs to."""
        for phase in self.phases:
            if step < phase.steps:
                return phase
            step -= phase.steps
        return self.phases[-1]

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "phases": [asdict(phase) for phase in self.phases]}

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote, or part of it. Raises InvalidInput for unknown names."""
        try:
            fields = dict(raw)
            if "phases" in fields:
                fields["phases"] = tuple(Phase(**phase) for phase in fields["phases"])
            return cls(**fields)
        except TypeError as error:
            raise InvalidInput(f"The recipe cannot be read: {error}.") from error

    @property
    def digest(self) -> str:
        """SHA-256, hexadecimal, of all of it."""
        return digest_of(self.to_json())
