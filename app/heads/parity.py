"""Is the artifact the model that was trained? Compared on real rows, before anybody may register it."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from app.errors import HeadRefused
from app.heads.arrays import Float32, Float64, Ints
from app.heads.artifact import PARITY_BOUND
from app.heads.scoring import Head, edge_distance

MOST_ROWS = 2000
NEAR_ROWS = 500


@dataclass(frozen=True)
class Parity:
    rows: int
    max_difference: float
    bound: float
    decisions_compared: int  # rows further than the bound from every threshold
    decisions_changed: int

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def measure_parity(
    head: Head, avg: Float32, max_: Float32, trainer: Callable[[Ints], Float64], *, seed: int = 0
) -> Parity:
    """Compare `head` with its trainer on up to 2,000 rows of `avg` and `max_`, the nearest to a threshold among them.

    `trainer(index)` gives the trainer's own probabilities float64 (len(index), classes) of those rows. Raises
    `HeadRefused`, with the measured difference, where they differ by more than `PARITY_BOUND` or decide otherwise.
    """
    scored = head.probabilities(avg, max_)
    index = _rows_to_compare(head, scored, seed)
    own = trainer(index)
    clear = edge_distance(head.metadata, own) > PARITY_BOUND
    changed = np.array(head.decide(scored[index])) != np.array(head.decide(own))
    difference = np.abs(scored[index] - own).max() if scored.shape[1] == own.shape[1] else np.inf
    parity = Parity(len(index), float(difference), PARITY_BOUND, int(clear.sum()), int((changed & clear).sum()))
    if not parity.max_difference <= PARITY_BOUND or parity.decisions_changed:
        raise HeadRefused(
            f"The converted head differs from its trainer by {parity.max_difference:.3g} (bound {PARITY_BOUND:g}) and "
            f"changes {parity.decisions_changed} of {parity.decisions_compared} decisions; train another algorithm"
        )
    return parity


def _rows_to_compare(head: Head, scored: Float32, seed: int) -> Ints:
    if len(scored) <= MOST_ROWS:
        return np.arange(len(scored))
    nearest = np.argsort(edge_distance(head.metadata, scored), kind="stable")
    others = np.random.default_rng(seed).permutation(nearest[NEAR_ROWS:])[: MOST_ROWS - NEAR_ROWS]
    return np.sort(np.concatenate([nearest[:NEAR_ROWS], others]))
