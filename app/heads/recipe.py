"""How to train a head: what to search and how, weights, calibration, policy. Checked before a job is queued. Light."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal, get_args

from app.errors import InvalidInput
from app.heads.algorithms import Algorithm, Candidate, Space
from app.heads.policy_words import DEFAULT_POLICY, Abstention, ThresholdPolicy
from app.heads.pooling import Pooling

Augmentation = Literal["soft", "strong"]
Calibration = Literal["auto", "none", "platt", "isotonic", "temperature"]
MAX_CANDIDATES = 2000
MAX_SECONDS = 7 * 24 * 3600.0


class Method(StrEnum):
    GRID = "grid"
    RANDOM = "random"
    TPE = "tpe"  # Bergstra et al., Algorithms for Hyper-Parameter Optimization (2011), by Optuna


class Combination(StrEnum):
    """How an ensemble joins its members: the best candidate of each space."""

    AVERAGE = "average"
    STACKING = "stacking"


@dataclass(frozen=True)
class Search:
    """How candidates are chosen, and when to stop: after `trials` of them, or once `seconds` have passed."""

    method: Method = Method.GRID
    trials: int | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        if self.trials is not None and not 1 <= self.trials <= MAX_CANDIDATES:
            raise InvalidInput(f"{self.trials} trials: give 1 to {MAX_CANDIDATES}")
        if self.seconds is not None and not 0 < self.seconds <= MAX_SECONDS:
            raise InvalidInput(f"A budget of {self.seconds} seconds: give more than 0, and a week at most")
        if self.method is not Method.GRID and self.trials is None and self.seconds is None:
            raise InvalidInput(f"Search '{self.method}' needs a budget: trials, seconds or both")

    def to_json(self) -> dict[str, Any]:
        return {"method": self.method.value, "trials": self.trials, "seconds": self.seconds}

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> "Search":
        given = dict(raw)
        if "method" in given:
            given["method"] = Method(given["method"])
        return cls(**given)


@dataclass(frozen=True, kw_only=True)
class HeadRecipe:
    """How to train a head; see the fields' types. A single space with single values trains just that.

    `class_weight` multiplies a class's errors; `balanced` makes every class weigh the same. `sample_weight` multiplies
    those of a slice of the rows, such as {"source": {"simulator": 0.2}}. `sampling` `balanced`
    draws rows of the rarer classes repeatedly instead, for algorithms that know no weights. `augmentation` adds
    augmented copies to training folds. `prevalence` is the share of the positive class where the head will work.
    Raises `InvalidInput` for an unknown parameter or a value out of range.
    """

    spaces: tuple[Space, ...] = (Space(),)
    search: Search = field(default_factory=Search)
    ensemble: Combination | None = None
    class_weight: Literal["balanced"] | Mapping[str, float] | None = None
    sample_weight: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    sampling: Literal["balanced"] | None = None
    augmentation: Augmentation | None = None
    folds: int = 5
    seed: int = 0
    calibration: Calibration = "auto"
    prevalence: float | None = None
    policy: ThresholdPolicy = DEFAULT_POLICY
    abstain: str | None = None

    @classmethod
    def single(
        cls,
        algorithm: Algorithm = Algorithm.LOGISTIC_REGRESSION,
        *,
        pooling: Pooling = Pooling.BOTH,
        params: Mapping[str, Any] | None = None,
        **rest: Any,
    ) -> "HeadRecipe":
        """Return the recipe of one algorithm on one pooling; a list of values for a parameter is a grid."""
        return cls(spaces=(Space(algorithm, (pooling,), params or {}),), **rest)

    def __post_init__(self) -> None:
        if not self.spaces or len(self.spaces) > 32:
            raise InvalidInput(f"{len(self.spaces)} spaces: give 1 to 32")
        if self.ensemble is not None and len(self.spaces) < 2:
            raise InvalidInput("An ensemble joins the best of each space; give two spaces or more")
        if not 2 <= self.folds <= 20:
            raise InvalidInput(f"{self.folds} folds: give 2 to 20")
        if not 0 <= self.seed < 2**32:
            raise InvalidInput(f"Seed {self.seed}: give a whole number from 0 to 2^32 - 1")
        if self.prevalence is not None and not 0 < self.prevalence < 1:
            raise InvalidInput(f"Prevalence {self.prevalence}: give a share above 0 and below 1")
        _check_word("sampling", self.sampling, ("balanced",))
        _check_word("augmentation", self.augmentation, get_args(Augmentation))
        _check_word("calibration", self.calibration, get_args(Calibration))
        _check_class_weight(self.class_weight)
        _check_sample_weight(self.sample_weight)
        if self.abstain is not None:
            Abstention.parse(self.abstain)
        if self.search.method is Method.GRID:
            self._check_grid()

    def _check_grid(self) -> None:
        if sum(space.grid_size() for space in self.spaces) > MAX_CANDIDATES:
            raise InvalidInput(f"The grid has more than {MAX_CANDIDATES} candidates; give fewer values")

    def candidates(self) -> list[Candidate]:
        """Return the grid's candidates, each once, space by space."""
        found = {candidate.key: candidate for space in self.spaces for candidate in space.grid()}
        return list(found.values())[: self.search.trials]

    @property
    def algorithm_name(self) -> str:
        """What a list of heads says: the algorithm, or how many are searched or joined."""
        names = list(dict.fromkeys(space.algorithm.value for space in self.spaces))
        if self.ensemble is not None:
            return f"{self.ensemble.value} of {len(self.spaces)}"
        return names[0] if len(names) == 1 else f"best of {', '.join(names)}"[:64]

    def to_json(self) -> dict[str, Any]:
        weight = self.class_weight
        return {
            "spaces": [space.to_json() for space in self.spaces],
            "search": self.search.to_json(),
            "ensemble": self.ensemble and self.ensemble.value,
            "class_weight": dict(weight) if isinstance(weight, Mapping) else weight,
            "sample_weight": {name: dict(weights) for name, weights in self.sample_weight.items()},
            "sampling": self.sampling,
            "augmentation": self.augmentation,
            "folds": self.folds,
            "seed": self.seed,
            "calibration": self.calibration,
            "prevalence": self.prevalence,
            "policy": str(self.policy),
            "abstain": self.abstain,
        }

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> "HeadRecipe":
        """Read what `to_json` wrote, or part of it; `algorithm`, `pooling` and `params` stand for a single space.

        Raises `InvalidInput` for unknown names and values.
        """
        given = dict(raw)
        try:
            one = {name: given.pop(name) for name in ("algorithm", "pooling", "params") if name in given}
            if one and given.get("spaces"):
                raise InvalidInput("Give spaces, or one algorithm with its pooling and params, not both")
            if one or "spaces" in given:
                given["spaces"] = tuple(Space.from_json(space) for space in given.get("spaces", [one]))
            if "search" in given:
                given["search"] = Search.from_json(given["search"] or {})
            if given.get("ensemble") is not None:
                given["ensemble"] = Combination(given["ensemble"])
            if "policy" in given:
                given["policy"] = ThresholdPolicy.parse(given["policy"])
            return cls(**given)
        except (TypeError, ValueError, AttributeError, KeyError) as error:
            raise InvalidInput(f"The recipe cannot be read: {error}") from error


def _check_word(name: str, value: Any, known: tuple[str, ...]) -> None:
    if value is not None and value not in known:
        raise InvalidInput(f"{name} is {value!r}; say {', '.join(known)}")


def _check_class_weight(weight: Any) -> None:
    if weight is None or weight == "balanced":
        return
    if not _are_weights(weight):
        raise InvalidInput(f"class_weight is {weight!r}; say balanced, or a positive number for each class")


def _check_sample_weight(weights: Any) -> None:
    if not isinstance(weights, Mapping) or not all(_are_weights(one) for one in weights.values()):
        raise InvalidInput(f"sample_weight is {weights!r}; give positive numbers by slice and value")


def _are_weights(given: Any) -> bool:
    if not isinstance(given, Mapping):
        return False
    return all(isinstance(one, (int, float)) and not isinstance(one, bool) and 0 < one < 1e6 for one in given.values())
