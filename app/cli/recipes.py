"""How the command line writes a recipe: options and parameters in words, or a file."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from app.errors import InvalidInput
from app.heads.algorithms import PARAMS, Algorithm

# A range that spans two powers of ten or more is a matter of magnitude.
LOG_DECADES = 2.0


def whole(
    given: Mapping[str, Any],
    recipe: Path | None,
    algorithm: Sequence[str] | None,
    pooling: Sequence[str] | None,
    param: Sequence[str] | None,
) -> dict[str, Any]:
    """Return the recipe that options and a file make together; options count more. Raises InvalidInput."""
    found = (from_file(recipe) if recipe else {}) | without_none(given)
    if algorithm or pooling or param or not {"spaces", "algorithm", "pooling", "params"} & found.keys():
        found = {name: value for name, value in found.items() if name not in ("algorithm", "pooling", "params")}
        found["spaces"] = spaces(
            algorithm or ["logistic-regression"], pooling or ["both"], param or [], ensemble=found.get("ensemble")
        )
    return found


def without_none(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def spaces(
    algorithms: Sequence[str], poolings: Sequence[str], params: Sequence[str], *, ensemble: str | None
) -> list[dict[str, Any]]:
    """Return a space an algorithm, or for an ensemble one an algorithm and pooling, since each gives a member.

    `params` are `NAME=VALUE`, `NAME=VALUE,VALUE` or `NAME=LOW..HIGH`, of one algorithm alone when written
    `ALGORITHM.NAME=`. Raises InvalidInput for one that no algorithm has.
    """
    chosen = [_known(name) for name in algorithms]
    given: dict[str, dict[str, Any]] = {name: {} for name in chosen}
    for text in params:
        for algorithm, name, value in _parameter(text, chosen):
            given[algorithm][name] = value
    apart = ensemble is not None
    return [
        {"algorithm": name, "pooling": pooling, "params": given[name]}
        for name in chosen
        for pooling in ([[one] for one in poolings] if apart else [list(poolings)])
    ]


def from_file(path: Path) -> dict[str, Any]:
    """Return the recipe of a file, or of the report that it is. Raises InvalidInput for anything else."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InvalidInput(f"{path} is no JSON: {error}") from error
    if isinstance(found, dict):
        found = found.get("recipe", found)
    if not isinstance(found, dict):
        raise InvalidInput(f'{path} holds no recipe; write an object such as {{"algorithm": "rbf-svm"}}')
    return found


def class_weight(text: str | None) -> Any:
    if text is None or text == "balanced":
        return text
    try:
        return {name: float(weight) for name, weight in (pair.split("=") for pair in text.split(","))}
    except ValueError as error:
        raise InvalidInput("--class-weight: give balanced, or CLASS=WEIGHT,CLASS=WEIGHT.") from error


def sample_weight(texts: Sequence[str]) -> dict[str, dict[str, float]]:
    """Read `SLICE:VALUE=WEIGHT`. Raises InvalidInput for anything else."""
    found: dict[str, dict[str, float]] = {}
    for text in texts:
        left, _, weight = text.rpartition("=")
        name, colon, value = left.partition(":")
        try:
            found.setdefault(name, {})[value] = float(weight)
        except ValueError:
            colon = ""
        if not colon:
            raise InvalidInput(f"--sample-weight {text}: give SLICE:VALUE=WEIGHT, such as source:simulator=0.2.")
    return found


def _known(name: str) -> str:
    if name not in set(Algorithm):
        raise InvalidInput(f"Unknown algorithm '{name}'; there are {', '.join(Algorithm)}.")
    return name


def _parameter(text: str, algorithms: Sequence[str]) -> list[tuple[str, str, Any]]:
    """Return (algorithm, name, values) for each algorithm that the parameter is of."""
    left, found, right = text.partition("=")
    if not found or not right:
        raise InvalidInput(f"--param {text}: give NAME=VALUE, NAME=VALUE,VALUE or NAME=LOW..HIGH.")
    algorithm, _, name = left.rpartition(".")
    owners = [algorithm] if algorithm else [one for one in algorithms if name in PARAMS[Algorithm(one)]]
    if algorithm and algorithm not in algorithms:
        raise InvalidInput(f"--param {text}: {algorithm} is not among the algorithms {', '.join(algorithms)}.")
    if not owners:
        known = ", ".join(dict.fromkeys(name for one in algorithms for name in PARAMS[Algorithm(one)]))
        raise InvalidInput(f"--param {text}: there is no parameter {name}; there are {known}.")
    return [(owner, name, _values(text, right)) for owner in owners]


def _values(text: str, right: str) -> Any:
    low, ranged, high = right.partition("..")
    if not ranged:
        return [_value(part) for part in right.split(",")]
    ends = _value(low), _value(high)
    if not all(isinstance(end, (int, float)) for end in ends):
        raise InvalidInput(f"--param {text}: a range is LOW..HIGH, such as C=1e-5..10.")
    log = ends[0] > 0 and ends[1] > 0 and math.log10(ends[1] / ends[0]) >= LOG_DECADES
    return {"low": ends[0], "high": ends[1], "log": log}


def _value(text: str) -> Any:
    for read in (int, float):
        try:
            return read(text)
        except ValueError:
            continue
    return text.strip()
