"""Which candidates a search looks at, and in which order: all of a grid, random draws, or what TPE proposes."""

import itertools
import math
from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np

from app.heads.algorithms import Candidate, Range, Space, Value, is_integer
from app.heads.recipe import MAX_CANDIDATES, HeadRecipe, Method

# TPE learns from results: the fewer it is asked for at once, the more it knows. Two keep a restart's order the same.
TPE_BATCH = 2


class Proposals(Protocol):
    """A source of candidates; the same recipe and results give the same candidates."""

    @property
    def total(self) -> int | None:
        """How many there will be, where that is known."""
        ...

    def ask(self, count: int) -> list[Candidate]:
        """Return up to `count` further candidates; none means that there are no more."""
        ...

    def tell(self, candidate: Candidate, auc: float) -> None: ...


def proposals_for(recipe: HeadRecipe) -> Proposals:
    if recipe.search.method is Method.TPE:
        return Tpe(recipe)
    drawn = iter(recipe.candidates()) if recipe.search.method is Method.GRID else random_candidates(recipe)
    total = len(recipe.candidates()) if recipe.search.method is Method.GRID else recipe.search.trials
    return Listed(drawn, total)


class Listed:
    """Candidates that do not depend on results."""

    def __init__(self, candidates: Iterator[Candidate], total: int | None) -> None:
        self._candidates = candidates
        self.total = total

    def ask(self, count: int) -> list[Candidate]:
        return list(itertools.islice(self._candidates, count))

    def tell(self, candidate: Candidate, auc: float) -> None:
        """Nothing follows from a result."""


def random_candidates(recipe: HeadRecipe) -> Iterator[Candidate]:
    """Draw different candidates from each space in turn (Bergstra and Bengio, JMLR 13, 2012)."""
    rng = np.random.default_rng(recipe.seed)
    seen: set[str] = set()
    misses = 0
    wanted = recipe.search.trials or MAX_CANDIDATES
    for space in itertools.cycle(recipe.spaces):
        candidate = _draw(space, rng)
        if candidate.key in seen:
            misses += 1  # a small space is soon exhausted
            if misses > 20 * len(recipe.spaces):
                return
            continue
        misses = 0
        seen.add(candidate.key)
        yield candidate
        if len(seen) == wanted:
            return


def _draw(space: Space, rng: np.random.Generator) -> Candidate:
    pooling = space.pooling[int(rng.integers(len(space.pooling)))]
    params = {
        name: _draw_value(choices, rng, integer=is_integer(space.algorithm, name))
        for name, choices in space.choices().items()
    }
    return Candidate(space.algorithm, pooling, params)


def _draw_value(choices: tuple[Value, ...] | Range, rng: np.random.Generator, *, integer: bool) -> Value:
    if not isinstance(choices, Range):
        return choices[int(rng.integers(len(choices)))]
    low, high = choices.low, choices.high
    drawn = math.exp(rng.uniform(math.log(low), math.log(high))) if choices.log else float(rng.uniform(low, high))
    value = min(max(drawn, low), high)
    return round(value) if integer else float(f"{value:.6g}")


class Tpe:
    """The tree-structured Parzen estimator (Bergstra et al., NIPS 2011) as Optuna has it.

    One study over all spaces; an ensemble has one a space, asked in turn, since it needs a winner of each.
    """

    def __init__(self, recipe: HeadRecipe) -> None:
        import optuna  # noqa: PLC0415 (a second of imports that the other methods need not pay)

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._spaces = recipe.spaces
        self.total = recipe.search.trials
        self._left = recipe.search.trials or MAX_CANDIDATES
        groups = [[i] for i in range(len(self._spaces))] if recipe.ensemble else [list(range(len(self._spaces)))]
        self._studies = [
            (optuna.create_study(direction="maximize", sampler=self._sampler(recipe.seed + number)), group)
            for number, group in enumerate(groups)
        ]
        self._turn = itertools.cycle(range(len(groups)))
        self._asked: dict[str, list[tuple[Any, Any]]] = {}

    @staticmethod
    def _sampler(seed: int) -> Any:
        import optuna  # noqa: PLC0415

        return optuna.samplers.TPESampler(seed=seed, constant_liar=True, n_startup_trials=10)

    def ask(self, count: int) -> list[Candidate]:
        asked: dict[str, Candidate] = {}
        for _ in range(min(count, TPE_BATCH, self._left)):
            study, group = self._studies[next(self._turn)]
            trial = study.ask()
            candidate = self._suggested(trial, group)
            self._asked.setdefault(candidate.key, []).append((study, trial))
            asked[candidate.key] = candidate
            self._left -= 1
        return list(asked.values())

    def tell(self, candidate: Candidate, auc: float) -> None:
        for study, trial in self._asked.pop(candidate.key, []):
            study.tell(trial, auc)

    def _suggested(self, trial: Any, group: list[int]) -> Candidate:
        number = group[0] if len(group) == 1 else trial.suggest_categorical("space", group)
        space = self._spaces[number]
        poolings = {pooling.value: pooling for pooling in space.pooling}
        chosen = trial.suggest_categorical(f"{number}.pooling", list(poolings))
        params = {
            name: self._suggest(trial, f"{number}.{name}", choices, integer=is_integer(space.algorithm, name))
            for name, choices in space.choices().items()
        }
        return Candidate(space.algorithm, poolings[chosen], params)

    @staticmethod
    def _suggest(trial: Any, name: str, choices: tuple[Value, ...] | Range, *, integer: bool) -> Value:
        value: Value
        if not isinstance(choices, Range):
            value = choices[0] if len(choices) == 1 else trial.suggest_categorical(name, list(choices))
        elif integer:
            value = trial.suggest_int(name, int(choices.low), int(choices.high), log=choices.log)
        else:
            value = float(f"{trial.suggest_float(name, choices.low, choices.high, log=choices.log):.6g}")
        return value
