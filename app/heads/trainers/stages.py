"""Candidates that are stages of one another: the first hundred trees of three hundred are fitted once."""

from collections.abc import Callable, Iterator

from app.heads.algorithms import Params
from app.heads.arrays import Float64


def by_stages(
    candidates: list[Params], count: str, scores_at: Callable[[Params, list[int]], dict[int, Float64]]
) -> Iterator[Float64]:
    """Yield each candidate's scores, in order; candidates that differ in parameter `count` alone share a fit.

    `scores_at(params, stages)` fits `params`, whose `count` is the largest, and returns the scores at each stage.
    """
    found: dict[frozenset[tuple[str, object]], dict[int, Float64]] = {}
    for params in candidates:
        rest = _without(params, count)
        if rest not in found:
            stages = sorted({int(one[count]) for one in candidates if _without(one, count) == rest})
            found[rest] = scores_at({**params, count: stages[-1]}, stages)
        yield found[rest][int(params[count])]


def _without(params: Params, count: str) -> frozenset[tuple[str, object]]:
    return frozenset((name, value) for name, value in params.items() if name != count)
