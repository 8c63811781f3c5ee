"""What to train: algorithm, pooling, parameters and rules, checked before a job is queued. Light: no framework."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

from app.errors import InvalidInput
from app.heads.pooling import Pooling
from app.heads.thresholds import DEFAULT_POLICY, ThresholdPolicy

Number = int | float
Params = Mapping[str, Number]
MAX_CANDIDATES = 200


class Algorithm(StrEnum):
    LOGISTIC_REGRESSION = "logistic-regression"
    RBF_SVM = "rbf-svm"
    KERAS_NETWORK = "keras-network"


@dataclass(frozen=True)
class Param:
    """A parameter's default values (more than one is a grid) and its allowed range, both ends included."""

    default: tuple[Number, ...]
    low: float
    high: float
    integer: bool = False

    def read(self, name: str, given: Any) -> tuple[Number, ...]:
        """Return one or more checked values; raises `InvalidInput` naming the parameter."""
        values = tuple(given) if isinstance(given, (list, tuple)) else (given,)
        for value in values:
            wrong_type = isinstance(value, bool) or not isinstance(value, int if self.integer else (int, float))
            if wrong_type or not self.low <= value <= self.high:
                kind = "a whole number" if self.integer else "a number"
                raise InvalidInput(f"Parameter '{name}' is {value!r}; give {kind} from {self.low:g} to {self.high:g}")
        if not values:
            raise InvalidInput(f"Parameter '{name}' has no value; leave it out for the default")
        return values


PARAMS: Mapping[Algorithm, Mapping[str, Param]] = {
    Algorithm.LOGISTIC_REGRESSION: {
        # Standardised features of 1,024 or more dimensions want a strong penalty; every C above 1 overfits alike.
        "C": Param((1e-4, 1e-3, 1e-2, 1e-1, 1.0), 1e-8, 1e6),
        "max_iter": Param((500,), 1, 100_000, integer=True),
    },
    Algorithm.RBF_SVM: {
        "C": Param((1.0, 10.0), 1e-6, 1e6),
        # In units of 1 / dimensions: 1.0 is scikit-learn's `scale` on standardised features.
        "gamma": Param((0.3, 1.0), 1e-6, 1e3),
    },
    Algorithm.KERAS_NETWORK: {
        "units": Param((128,), 1, 4096, integer=True),
        "l2": Param((1e-3,), 0.0, 10.0),
        "dropout": Param((0.5,), 0.0, 0.95),
        "learning_rate": Param((1e-3,), 1e-7, 1.0),
        "batch_size": Param((256,), 2, 65_536, integer=True),
        "epochs": Param((60,), 1, 10_000, integer=True),
        "patience": Param((8,), 1, 10_000, integer=True),
    },
}


@dataclass(frozen=True, kw_only=True)
class HeadRecipe:
    """How to train a head. A list of values for a parameter is a grid, searched by out-of-fold AUC.

    `class_weight` multiplies a class's errors; `balanced` makes every class weigh the same. Raises `InvalidInput`
    for an unknown parameter or a value out of range.
    """

    algorithm: Algorithm = Algorithm.LOGISTIC_REGRESSION
    pooling: Pooling = Pooling.BOTH
    params: Mapping[str, Any] = field(default_factory=dict)
    class_weight: Literal["balanced"] | Mapping[str, float] | None = None
    folds: int = 5
    seed: int = 0
    policy: ThresholdPolicy = DEFAULT_POLICY

    def __post_init__(self) -> None:
        known = PARAMS[self.algorithm]
        for name in self.params:
            if name not in known:
                raise InvalidInput(f"'{self.algorithm}' has no parameter '{name}'; it has {', '.join(known)}")
        if not 2 <= self.folds <= 20:
            raise InvalidInput(f"{self.folds} folds: give 2 to 20")
        if not 0 <= self.seed < 2**32:
            raise InvalidInput(f"Seed {self.seed}: give a whole number from 0 to 2^32 - 1")
        _check_class_weight(self.class_weight)
        if len(self.candidates()) > MAX_CANDIDATES:
            raise InvalidInput(f"The grid has more than {MAX_CANDIDATES} candidates; give fewer values")

    def candidates(self) -> list[dict[str, Number]]:
        """Return every combination of the parameters, in the order in which values were given."""
        known = PARAMS[self.algorithm]
        values = [p.read(name, self.params[name]) if name in self.params else p.default for name, p in known.items()]
        return [dict(zip(known, chosen, strict=True)) for chosen in itertools.product(*values)]

    def to_json(self) -> dict[str, Any]:
        weight = self.class_weight
        return {
            "algorithm": self.algorithm.value,
            "pooling": self.pooling.value,
            "params": dict(self.params),
            "class_weight": dict(weight) if isinstance(weight, Mapping) else weight,
            "folds": self.folds,
            "seed": self.seed,
            "policy": str(self.policy),
        }

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> "HeadRecipe":
        """Read what `to_json` wrote, or part of it; raises `InvalidInput` for unknown names and values."""
        given = dict(raw)
        try:
            if "algorithm" in given:
                given["algorithm"] = Algorithm(given["algorithm"])
            if "pooling" in given:
                given["pooling"] = Pooling(given["pooling"])
            if "policy" in given:
                given["policy"] = ThresholdPolicy.parse(given["policy"])
            return cls(**given)
        except (TypeError, ValueError, AttributeError) as error:
            raise InvalidInput(f"The recipe cannot be read: {error}") from error


def _check_class_weight(weight: Any) -> None:
    if weight is None or weight == "balanced":
        return
    if not isinstance(weight, Mapping) or not all(
        isinstance(value, (int, float)) and 0 < value < 1e6 for value in weight.values()
    ):
        raise InvalidInput(f"class_weight is {weight!r}; say balanced, or a positive number for each class")
