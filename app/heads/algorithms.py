"""What can be trained: algorithms, their parameters, and spaces of candidates to search. Light: no framework."""

import hashlib
import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from app.errors import InvalidInput
from app.heads.pooling import Pooling

Value = int | float | str
Params = Mapping[str, Value]


class Algorithm(StrEnum):
    LOGISTIC_REGRESSION = "logistic-regression"
    LINEAR_SVM = "linear-svm"
    RBF_SVM = "rbf-svm"
    RANDOM_FOREST = "random-forest"
    GRADIENT_BOOSTING = "gradient-boosting"
    K_NEAREST = "k-nearest-neighbours"
    MLP = "mlp"
    KERAS_NETWORK = "keras-network"


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included, drawn evenly or (`log`) evenly in their logarithm."""

    low: float
    high: float
    log: bool = False


@dataclass(frozen=True)
class Param:
    """A parameter: default values (more than one is a grid), what is allowed, and where random search and TPE look.

    A number lies between `low` and `high`, both included; a word is one of `choices`.
    """

    default: tuple[Value, ...]
    low: float = 0.0
    high: float = 0.0
    integer: bool = False
    choices: tuple[str, ...] = ()
    search: Range | None = None

    def read(self, name: str, given: Any) -> "tuple[Value, ...] | Range":
        """Return checked values, or the checked range of `{"low", "high", "log"}`; raises `InvalidInput`."""
        if isinstance(given, Range):
            given = {"low": given.low, "high": given.high, "log": given.log}
        if isinstance(given, Mapping):
            return self._range(name, given)
        values = tuple(given) if isinstance(given, (list, tuple)) else (given,)
        if not values:
            raise InvalidInput(f"Parameter '{name}' has no value; leave it out for the default")
        for value in values:
            self._check(name, value)
        return values

    def _check(self, name: str, value: Any) -> None:
        if self.choices:
            if value not in self.choices:
                raise InvalidInput(f"Parameter '{name}' is {value!r}; say {' or '.join(self.choices)}")
            return
        wrong_type = isinstance(value, bool) or not isinstance(value, int if self.integer else (int, float))
        if wrong_type or not self.low <= value <= self.high:
            kind = "a whole number" if self.integer else "a number"
            raise InvalidInput(f"Parameter '{name}' is {value!r}; give {kind} from {self.low:g} to {self.high:g}")

    def _range(self, name: str, given: Mapping[str, Any]) -> Range:
        unknown = set(given) - {"low", "high", "log"}
        if self.choices or unknown or not {"low", "high"} <= given.keys():
            raise InvalidInput(f"Parameter '{name}': a range of numbers is written {{low, high, log}}")
        for end in ("low", "high"):
            self._check(name, given[end])
        log = bool(given.get("log", False))
        if given["low"] > given["high"] or (log and given["low"] <= 0):
            raise InvalidInput(f"Parameter '{name}': give a range from low to high, above 0 if it is logarithmic")
        return Range(given["low"], given["high"], log)


def _count(default: int, high: int, *, low: int = 1, search: Range | None = None) -> Param:
    return Param((default,), low, high, integer=True, search=search)


_C = Range(1e-5, 10.0, log=True)
PARAMS: Mapping[Algorithm, Mapping[str, Param]] = {
    Algorithm.LOGISTIC_REGRESSION: {
        # Standardised features of 1,024 or more dimensions want a strong penalty; every C above 1 overfits alike.
        "C": Param((1e-4, 1e-3, 1e-2, 1e-1, 1.0), 1e-8, 1e6, search=_C),
        "penalty": Param(("l2",), choices=("l2", "l1", "elastic-net")),
        "l1_ratio": Param((0.5,), 0.0, 1.0, search=Range(0.05, 0.95)),  # the share of L1 in elastic-net
        "max_iter": _count(500, 100_000),
    },
    Algorithm.LINEAR_SVM: {
        "C": Param((1e-5, 1e-4, 1e-3, 1e-2), 1e-8, 1e6, search=Range(1e-6, 1.0, log=True)),
        "max_iter": _count(1000, 100_000),
    },
    Algorithm.RBF_SVM: {
        "C": Param((1.0, 10.0), 1e-6, 1e6, search=Range(0.1, 100.0, log=True)),
        # In units of 1 / dimensions: 1.0 is scikit-learn's `scale` on standardised features.
        "gamma": Param((0.3, 1.0), 1e-6, 1e3, search=Range(0.05, 5.0, log=True)),
    },
    Algorithm.RANDOM_FOREST: {
        "trees": _count(300, 5000, search=Range(100, 600)),
        "max_features": Param((0.03,), 1e-4, 1.0, search=Range(0.005, 0.3, log=True)),  # share of the features
        "min_leaf": _count(1, 10_000, search=Range(1, 20, log=True)),
    },
    Algorithm.GRADIENT_BOOSTING: {
        "iterations": _count(200, 5000, search=Range(50, 400)),
        "learning_rate": Param((0.1,), 1e-4, 1.0, search=Range(0.02, 0.3, log=True)),
        "max_leaves": _count(15, 1024, low=2, search=Range(3, 31, log=True)),
        "l2": Param((1.0,), 0.0, 1e4, search=Range(0.01, 100.0, log=True)),
        "max_features": Param((0.1,), 1e-4, 1.0, search=Range(0.02, 1.0, log=True)),
    },
    Algorithm.K_NEAREST: {
        "k": Param((5, 15, 45), 1, 1000, integer=True, search=Range(3, 100, log=True)),
        "weights": Param(("distance",), choices=("distance", "uniform")),
        "metric": Param(("cosine",), choices=("cosine", "euclidean")),
    },
    Algorithm.MLP: {
        "units": _count(64, 4096, search=Range(16, 256, log=True)),
        "layers": _count(1, 4, search=Range(1, 2)),
        "alpha": Param((1.0,), 0.0, 1e4, search=Range(1e-3, 100.0, log=True)),
        "learning_rate": Param((1e-3,), 1e-7, 1.0, search=Range(1e-4, 1e-2, log=True)),
        "max_iter": _count(60, 10_000),
    },
    Algorithm.KERAS_NETWORK: {
        "layers": _count(1, 4, search=Range(1, 3)),
        "units": _count(128, 4096, search=Range(16, 512, log=True)),
        "l1": Param((0.0,), 0.0, 10.0),
        "l2": Param((1e-3,), 0.0, 10.0, search=Range(1e-5, 1e-1, log=True)),
        "dropout": Param((0.5,), 0.0, 0.95, search=Range(0.0, 0.7)),
        "batch_norm": Param(("yes",), choices=("yes", "no")),
        "learning_rate": Param((1e-3,), 1e-7, 1.0, search=Range(1e-4, 1e-2, log=True)),
        "schedule": Param(("constant",), choices=("constant", "cosine", "plateau")),
        "batch_size": _count(256, 65_536, low=2),
        "epochs": _count(60, 10_000),
        "patience": _count(8, 10_000),
    },
}


@dataclass(frozen=True)
class Candidate:
    """One algorithm on one pooling with every parameter set."""

    algorithm: Algorithm
    pooling: Pooling
    params: Params

    def to_json(self) -> dict[str, Any]:
        return {"algorithm": self.algorithm.value, "pooling": self.pooling.value, "params": dict(self.params)}

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> "Candidate":
        return cls(Algorithm(raw["algorithm"]), Pooling(raw["pooling"]), dict(raw["params"]))

    @property
    def key(self) -> str:
        """SHA-256, hexadecimal: the same candidate has the same key in every process."""
        return hashlib.sha256(json.dumps(self.to_json(), sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Space:
    """Candidates of one algorithm: poolings, and values or ranges for its parameters; the rest has its default."""

    algorithm: Algorithm = Algorithm.LOGISTIC_REGRESSION
    pooling: tuple[Pooling, ...] = (Pooling.BOTH,)
    params: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        known = PARAMS[self.algorithm]
        for name, given in self.params.items():
            if name not in known:
                raise InvalidInput(f"'{self.algorithm}' has no parameter '{name}'; it has {', '.join(known)}")
            known[name].read(name, given)
        if not self.pooling or len(set(self.pooling)) != len(self.pooling):
            raise InvalidInput("Give one or more different poolings: avg, max, both")

    def grid_size(self) -> int:
        size = len(self.pooling)
        for values in self._grid_values():
            size *= len(values)
        return size

    def grid(self) -> list[Candidate]:
        """Return every combination, in the order in which values were given. Raises `InvalidInput` for a range."""
        names = tuple(PARAMS[self.algorithm])
        chosen = list(itertools.product(*self._grid_values()))
        return [
            Candidate(self.algorithm, pooling, dict(zip(names, values, strict=True)))
            for pooling in self.pooling
            for values in chosen
        ]

    def _grid_values(self) -> list[tuple[Value, ...]]:
        found = []
        for name, param in PARAMS[self.algorithm].items():
            values = param.read(name, self.params[name]) if name in self.params else param.default
            if isinstance(values, Range):
                raise InvalidInput(f"Parameter '{name}' is a range; a grid needs values (or search: random or tpe)")
            found.append(values)
        return found

    def holds(self, candidate: Candidate) -> bool:
        """Whether `candidate` may come of this space."""
        if candidate.algorithm is not self.algorithm or candidate.pooling not in self.pooling:
            return False
        for name, given in self.params.items():
            allowed, value = PARAMS[self.algorithm][name].read(name, given), candidate.params[name]
            if isinstance(allowed, Range):
                if not (isinstance(value, (int, float)) and allowed.low <= value <= allowed.high):
                    return False
            elif value not in allowed:
                return False
        return True

    def choices(self) -> dict[str, "tuple[Value, ...] | Range"]:
        """Return what random search and TPE draw each parameter from: what was given, or its usual range."""
        drawn: dict[str, tuple[Value, ...] | Range] = {}
        for name, param in PARAMS[self.algorithm].items():
            if name in self.params:
                drawn[name] = param.read(name, self.params[name])
            else:
                drawn[name] = param.search or param.default
        return drawn

    def to_json(self) -> dict[str, Any]:
        params = {
            name: {"low": v.low, "high": v.high, "log": v.log} if isinstance(v, Range) else v
            for name, v in self.params.items()
        }
        return {"algorithm": self.algorithm.value, "pooling": [p.value for p in self.pooling], "params": params}

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> "Space":
        given = dict(raw)
        if "algorithm" in given:
            given["algorithm"] = Algorithm(given["algorithm"])
        if "pooling" in given:
            pooling = given["pooling"]
            given["pooling"] = tuple(Pooling(p) for p in ([pooling] if isinstance(pooling, str) else pooling))
        return cls(**given)


def is_integer(algorithm: Algorithm, name: str) -> bool:
    return PARAMS[algorithm][name].integer
